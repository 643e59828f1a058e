"""The parts of panels: labelled ipywidgets in one style, what shows a result, an error or a link, and the outer box.

Rows of widgets wrap, so that they fit a narrow window. The box keeps keys in it, gives its controls names and states,
and shows the panel of a saved notebook. ipywidgets alone does none of this: a key that is pressed on a button or a
slider is a command of the notebook (`d d` deletes the cell), a pressed toggle has no state, and a notebook that is
opened again shows nothing.
"""

import asyncio
import base64
import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets
from IPython.display import HTML, display, update_display

from mmlab.items.tables import to_csv
from mmlab.visualize import Html

CONTROL_WIDTH = "300px"
MAX_ROWS_SHOWN = 5  # of a list to choose from
FONT = "font:13px sans-serif"
ERROR_STYLE = "color:var(--mm-error,#b00020);white-space:pre-wrap;overflow-wrap:anywhere"
WARNING_STYLE = (
    "color:var(--mm-warning,#7a4100);border-left:3px solid #e69f00;padding-left:8px;overflow-wrap:anywhere"
)


class Listening:
    """Calls functions when controls change, but not while the program itself sets them.

    >>> listening, field, seen = Listening(), widgets.IntText(1), []
    >>> listening.watch(field, seen.append)
    >>> field.value = 2
    >>> with listening.silenced():
    ...     field.value = 3
    >>> seen
    [2]
    """

    def __init__(self) -> None:
        self.active = True

    def watch(self, control: widgets.Widget, changed: Callable[[Any], Any]) -> None:
        """Call `changed` with the new value of a control whenever a person changes it."""
        control.observe(lambda change: changed(change["new"]) if self.active else None, "value")

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Call nothing in this block."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before


def common_options(label: str, **layout: str) -> dict[str, Any]:
    """Return the options that all controls share: a label of one width, which is the tooltip too, and their width."""
    return {
        "description": label,
        "tooltip": label,  # without one, ipywidgets shows "null"
        "style": {"description_width": "90px"},
        "layout": widgets.Layout(**{"width": CONTROL_WIDTH, "max_width": "97%", **layout}),
    }


def text_with_suggestions(
    options: Sequence[str], label: str, hint: str, width: str = CONTROL_WIDTH
) -> widgets.Combobox:
    """Make a text line with suggestions that counts when Enter is pressed; any other text may be typed."""
    shared = common_options(label, width=width)
    return widgets.Combobox(options=list(options), placeholder=hint, continuous_update=False, **shared)


def text_line(value: str, label: str, hint: str) -> widgets.Text:
    """Make a short text line that counts when Enter is pressed or it is left."""
    return widgets.Text(value, placeholder=hint, continuous_update=False, **common_options(label))


def choose_one(options: Sequence[Any], label: str, width: str = CONTROL_WIDTH) -> widgets.Dropdown:
    """Make a list to choose one option from; the first is chosen."""
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    return widgets.Dropdown(options=options, value=first, **common_options(label, width=width))


class FacetList(anywidget.AnyWidget):
    """A list of values to tick, each with its count, and a search field where it is long; none ticked means all.

    options: [value, count] of each; value: those that are ticked.
    """

    _esm = Path(__file__).parent / "facet_list.js"
    label = traitlets.Unicode().tag(sync=True)
    options: Any = traitlets.List().tag(sync=True)
    value = traitlets.List(traitlets.Unicode()).tag(sync=True)


def choose_many(options: Sequence[Any], label: str) -> widgets.SelectMultiple:
    """Make a list to choose any number of options from with Ctrl or Shift; none chosen means all."""
    return widgets.SelectMultiple(
        options=options, rows=min(len(options), MAX_ROWS_SHOWN), **common_options(label)
    )


def toggle_buttons(options: Sequence[str], label: str) -> widgets.ToggleButtons:
    """Make a button for each of a few options, of which one is pressed."""
    shared = common_options(label, width="auto", display="flex")  # else the label stands above
    shared["style"] |= {"button_width": "90px"}
    return widgets.ToggleButtons(options=list(options), **shared)


def button(label: str, hint: str, pressed: Callable[[], Any], width: str = "90px") -> widgets.Button:
    """Make a button that calls `pressed`."""
    made = widgets.Button(description=label, tooltip=hint, layout=widgets.Layout(width=width))
    made.on_click(lambda _: pressed())
    return made


def slider(
    value: float, low: float, high: float, label: str, step: float = 1
) -> "widgets.IntSlider | widgets.FloatSlider":
    """Make a slider that counts when it is let go; of whole numbers where all given are."""
    whole = all(isinstance(given, int) for given in (value, low, high, step))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, continuous_update=False, **common_options(label))


def range_slider(low: float, high: float, label: str) -> "widgets.IntRangeSlider | widgets.FloatRangeSlider":
    """Make a slider with two ends; of whole numbers where both given are."""
    whole = isinstance(low, int) and isinstance(high, int)
    kind = widgets.IntRangeSlider if whole else widgets.FloatRangeSlider
    step = 1 if whole else (high - low) / 100
    shared = common_options(label)
    return kind(value=(low, high), min=low, max=high, step=step, continuous_update=False, **shared)


def number_field(value: int, low: int, high: int, label: str) -> widgets.BoundedIntText:
    """Make a field for a whole number that counts when Enter is pressed."""
    return widgets.BoundedIntText(value, min=low, max=high, continuous_update=False, **common_options(label))


def checkbox(value: bool, label: str) -> widgets.Checkbox:
    """Make a box to tick."""
    return widgets.Checkbox(value, **common_options(label))


def row(*children: widgets.Widget) -> widgets.HBox:
    """Put widgets side by side, wrapped where there is no room."""
    wrapped = widgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="4px 12px", width="100%")
    return widgets.HBox(children, layout=wrapped)


def folded_rows(parts: Mapping[str, Sequence[widgets.Widget]], *first: widgets.Widget) -> widgets.VBox:
    """Hide rows of controls behind buttons of their names, which fold them out; an empty row is left out.

    first: widgets that stand before the buttons.
    """
    rows = {name: row(*children) for name, children in parts.items() if children}
    wide = widgets.Layout(width="auto")
    switches = [widgets.ToggleButton(description=name, tooltip=name, layout=wide) for name in rows]
    for switch, hidden in zip(switches, rows.values(), strict=True):
        switch.add_class(EXPANDS)
        hidden.add_class("mmlab-fields")
        hidden.layout.display = "none"
        switch.observe(partial(_show_row, hidden), "value")
    return widgets.VBox([row(*first, *switches), *rows.values()])


def _show_row(hidden: widgets.HBox, change: Mapping[str, Any]) -> None:
    hidden.layout.display = "flex" if change["new"] else "none"


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
    return show_quietly(area, work)


def show_quietly(area: widgets.HTML, work: Callable[[], Html | str]) -> bool:
    """Do what `show_in` does, but leave the area as it is until the result is there."""
    try:
        area.value = str(work())
    except Unfinished as hint:
        area.value = status_line(f"<em>{escape(str(hint))}</em>")
        return False
    except Exception as error:  # whatever it is, the person at the panel has to see it
        area.value = str(describe_error(error))
        return False
    return True


class LastCall:
    """Runs `work` once for many calls in a row, `seconds` after the last: of ten questions only the last is answered.

    Without a running event loop, as in a script, each call runs it at once.

    >>> done = []
    >>> later = LastCall(lambda: done.append(1))
    >>> later()
    >>> done
    [1]
    """

    def __init__(self, work: Callable[[], Any], seconds: float = 0.015) -> None:
        self.work, self.seconds = work, seconds
        self._waiting: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        """Run the work soon, in place of the call that waits."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.work()
            return
        self.cancel()
        self._waiting = loop.call_later(self.seconds, self.work)

    def cancel(self) -> None:
        """Forget the call that waits."""
        if self._waiting:
            self._waiting.cancel()


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


HERE = Path(__file__).parent
NOT_ALIVE = "This panel answers while its kernel runs; below is what it showed last."
EXPANDS = "mmlab-expands"  # class of a toggle button that shows and hides something


class PanelSupport(anywidget.AnyWidget):
    """Looks after the panel that it stands in; draws nothing. twin: class of the HTML that stands in for the panel."""

    _esm = HERE / "panel_box.js"
    _css = HERE / "panel_box.css"
    twin = traitlets.Unicode().tag(sync=True)


class PanelBox(widgets.VBox):
    """The outer box of a panel called `name`, as "query".

    >>> "mmlab-panel" in PanelBox([widgets.Label("a panel")], "example")._dom_classes
    True
    """

    def __init__(self, children: Sequence[widgets.Widget], name: str) -> None:
        self._twin, self._static, self._displayed = f"mmlab-twin-{uuid4().hex}", "", False
        super().__init__([*children, PanelSupport(twin=self._twin)])
        for known in ("mmlab-panel", f"mmlab-{name}"):
            self.add_class(known)

    def show_static(self, html: object) -> None:
        """Give what stands in for the panel where it is not alive: in a saved notebook, in a report."""
        self._static = str(html)
        if self._displayed:
            update_display(self._stand_in(), display_id=self._twin)

    def _make_static(self) -> None:
        """Call `show_static` with what is not made yet; done before the panel is displayed."""

    def _stand_in(self) -> HTML:
        return HTML(f'<div class="mmlab-twin {self._twin}">{self._static}</div>')

    def _ipython_display_(self, **_: Any) -> None:
        """Show the panel, and below it what stands in for it, which the living panel hides."""
        self._make_static()
        display({**super()._repr_mimebundle_(), "text/plain": NOT_ALIVE}, raw=True)
        display(self._stand_in(), display_id=self._twin)
        self._displayed = True
