"""What a panel puts out: a result or an error in an area of its own, and a table as a link that saves it."""

import base64
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.visualize import Html

FONT = "font:13px sans-serif"
ERROR_STYLE = "color:#b00020;white-space:pre-wrap;overflow-wrap:anywhere"
WARNING_STYLE = "color:#7a4100;border-left:3px solid #e69f00;padding-left:8px;overflow-wrap:anywhere"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a text that begins so for a formula


class Unfinished(ValueError):
    """Something is still to be chosen or typed. The message says what, and a panel shows it as a hint."""


def status_line(content: str) -> str:
    """Return a line that screen readers read out when it changes; `content` is HTML."""
    return f'<p role="status" style="{FONT};overflow-wrap:anywhere">{content}</p>'


def warning_line(text: str) -> str:
    """Return a plain text as a line that stands out; nothing for none.

    >>> warning_line("")
    ''
    """
    return f'<p role="note" style="{FONT};{WARNING_STYLE}">{escape(text)}</p>' if text else ""


def notice(text: str) -> widgets.VBox:
    """Return what stands in the place of a panel that has nothing to show: a text that says why."""
    return widgets.VBox([widgets.HTML(status_line(escape(text)))])


BUSY = status_line("<em>working &hellip;</em>")


def show_in(area: widgets.HTML, work: Callable[[], Html | str]) -> bool:
    """Show the result of `work` in an area, or its error, which ipywidgets would swallow; return whether it went well.

    Until then the area says that the panel is busy.
    """
    area.value = BUSY
    try:
        area.value = str(work())
    except Unfinished as hint:
        area.value = status_line(f"<em>{escape(str(hint))}</em>")
        return False
    except Exception as error:  # whatever it is, the person at the panel has to see it
        area.value = str(describe_error(error))
        return False
    return True


def describe_error(error: BaseException) -> Html:
    """Return the error, its causes and, folded away, the traceback; all of it as text."""
    causes = [f"{type(one).__name__}: {one}" for one in _chain(error)]
    message = "\n".join([causes[0], *(f"caused by {cause}" for cause in causes[1:])])
    trace = "".join(traceback.format_exception(error))
    return Html(
        f'<div role="alert"><pre style="{ERROR_STYLE}">{escape(message)}</pre>'
        '<details style="font:12px sans-serif"><summary>where it happened</summary>'
        f'<pre style="overflow:auto">{escape(trace)}</pre></details></div>'
    )


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV that a spreadsheet opens safely.

    A text that begins like a formula gets a quotation mark before it; numbers stay numbers. Source: OWASP, CSV
    Injection.

    >>> to_csv(pd.DataFrame({"words": ["=1+1", "a mug"], "score": [-0.5, 1.0]})).splitlines()
    ['words,score', "'=1+1,-0.5", 'a mug,1.0']
    """
    safe = table.rename(columns=_quoted)
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_quoted)
    return safe.to_csv(index=False)


def add_query_columns(hits: pd.DataFrame, query: Mapping[str, Any]) -> pd.DataFrame:
    """Add what was asked to its hits, in columns asked_text, asked_k, ... with one value in all rows.

    Lists and filters are written as JSON. So the tables of several queries can be put together, and each row still
    says which query it answers. `query`: see `Query.to_dict`.
    """
    plain = {
        f"asked_{name}": json.dumps(value, default=str) if isinstance(value, list | dict) else value
        for name, value in query.items()
    }
    return hits.assign(**plain)


def download_link(table: pd.DataFrame, file_name: str) -> Html:
    """Return a link that saves a table as CSV. The table is in the link, so that no server is asked for it."""
    content = base64.b64encode(to_csv(table).encode("utf-8-sig")).decode()
    name, style = escape(file_name), f"{FONT};text-decoration:underline"
    link = f'<a download="{name}" href="data:text/csv;base64,{content}" style="{style}">'
    return Html(f"{link}Save these {len(table)} rows as {name}</a>")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was caused by, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _quoted(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
