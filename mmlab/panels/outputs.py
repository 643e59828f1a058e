"""A piece of work in a panel: it shows that it is busy, then the result, or the error with its cause."""

import traceback
from collections.abc import Callable, Iterator
from html import escape
from typing import TYPE_CHECKING

from mmlab.visualize import Html

if TYPE_CHECKING:
    import ipywidgets

BUSY = '<p role="status" style="font:13px sans-serif"><em>working &hellip;</em></p>'
RED = "color:#b00020;white-space:pre-wrap;overflow-wrap:anywhere"


class Unfinished(ValueError):
    """Something is still to be chosen or typed: the message says what, and a panel shows it as a hint."""


def show_in(area: "ipywidgets.HTML", work: Callable[[], Html | str]) -> bool:
    """Put the result of `work` into the area, or its error: ipywidgets would swallow it. True if it went well.

    Until then the area says that it is busy.
    """
    area.value = BUSY
    try:
        area.value = str(work())
    except Unfinished as hint:
        area.value = f'<p role="status" style="font:13px sans-serif"><em>{escape(str(hint))}</em></p>'
        return False
    except Exception as error:  # whatever it is, the person at the panel has to see it
        area.value = str(tell_error(error))
        return False
    return True


def tell_error(error: BaseException) -> Html:
    """The error, what it was caused by, and (folded away) the traceback; all of it as text."""
    causes = [f"{type(one).__name__}: {one}" for one in _chain(error)]
    told = "\n".join([causes[0], *(f"caused by {cause}" for cause in causes[1:])])
    trace = "".join(traceback.format_exception(error))
    return Html(
        f'<div role="alert"><pre style="{RED}">{escape(told)}</pre><details style="font:12px sans-serif">'
        f'<summary>where it happened</summary><pre style="overflow:auto">{escape(trace)}</pre></details></div>'
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
