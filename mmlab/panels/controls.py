"""Labelled ipywidgets of one look; rows wrap, so that a narrow window works."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

NARROW = "300px"


def look(label: str, **layout: str) -> dict[str, Any]:
    """What all controls have in common: a label of one width, which is the tooltip too, and a width of their own."""
    import ipywidgets as widgets

    return {
        "description": label,
        "tooltip": label,  # without one, ipywidgets shows "null"
        "style": {"description_width": "90px"},
        "layout": widgets.Layout(**{"width": NARROW, "max_width": "97%", **layout}),
    }


def suggestions(options: Sequence[str], label: str, hint: str, width: str = "420px") -> "ipywidgets.Combobox":
    """A line of text with suggestions, that counts when Enter is pressed; any other text may be typed."""
    import ipywidgets as widgets

    return widgets.Combobox(
        options=list(options), placeholder=hint, continuous_update=False, **look(label, width=width)
    )


def line(value: str, label: str, hint: str) -> "ipywidgets.Text":
    """A short line of text."""
    import ipywidgets as widgets

    return widgets.Text(value, placeholder=hint, **look(label))


def choice(options: Sequence[Any], label: str, value: Any = None) -> "ipywidgets.Dropdown":
    """One of several; the first unless `value` says otherwise."""
    import ipywidgets as widgets

    first = options[0] if value is None else value
    shown = first[1] if isinstance(first, tuple) else first
    return widgets.Dropdown(options=options, value=shown, **look(label))


def several(options: Sequence[Any], label: str) -> "ipywidgets.SelectMultiple":
    """Any number of several, chosen with Ctrl or Shift; none chosen means all."""
    import ipywidgets as widgets

    return widgets.SelectMultiple(options=options, rows=min(len(options), 5), **look(label))


def buttons(options: Sequence[str], label: str) -> "ipywidgets.ToggleButtons":
    """One of a few, all in sight."""
    import ipywidgets as widgets

    made = look(label, width="auto", display="flex")  # else the label stands above
    made["style"] |= {"button_width": "90px"}
    return widgets.ToggleButtons(options=list(options), **made)


def button(label: str, hint: str, pressed: Callable[[], Any], width: str = "90px") -> "ipywidgets.Button":
    """A button that calls `pressed`."""
    import ipywidgets as widgets

    made = widgets.Button(description=label, tooltip=hint, layout=widgets.Layout(width=width))
    made.on_click(lambda _: pressed())
    return made


def upload(label: str) -> "ipywidgets.FileUpload":
    """A button to choose one image file of the reader's own."""
    import ipywidgets as widgets

    wide = widgets.Layout(width="auto")
    return widgets.FileUpload(accept="image/*", description=label, tooltip=label, layout=wide)


def number(value: float, low: float, high: float, label: str, step: float = 1) -> Any:
    """A slider that counts when it is let go; of whole numbers where all given are."""
    import ipywidgets as widgets

    whole = all(isinstance(given, int) for given in (value, low, high, step))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, continuous_update=False, **look(label))


def extent(low: float, high: float, label: str) -> Any:
    """A slider with two ends."""
    import ipywidgets as widgets

    whole = isinstance(low, int) and isinstance(high, int)
    kind = widgets.IntRangeSlider if whole else widgets.FloatRangeSlider
    step = 1 if whole else (high - low) / 100
    return kind(value=(low, high), min=low, max=high, step=step, continuous_update=False, **look(label))


def tick(value: bool, label: str) -> "ipywidgets.Checkbox":
    """Yes or no."""
    import ipywidgets as widgets

    return widgets.Checkbox(value, **look(label))


def row(*children: Any) -> "ipywidgets.HBox":
    """Side by side, wrapped where there is no room."""
    import ipywidgets as widgets

    wrapped = widgets.Layout(
        flex_flow="row wrap", align_items="flex-start", grid_gap="4px 10px", width="100%"
    )
    return widgets.HBox(children, layout=wrapped)


def folded(parts: dict[str, Sequence[Any]]) -> "ipywidgets.VBox":
    """Rows of controls that a button of their name folds out; an empty row is left out."""
    import ipywidgets as widgets

    rows = {name: row(*children) for name, children in parts.items() if children}
    wide = widgets.Layout(width="auto")
    switches = [
        widgets.ToggleButton(description=name, tooltip="show or hide these", icon="bars", layout=wide)
        for name in rows
    ]
    for switch, hidden in zip(switches, rows.values(), strict=True):
        hidden.layout.display = "none"
        switch.observe(partial(_fold_out, hidden), "value")
    return widgets.VBox([row(*switches), *rows.values()])


def _fold_out(hidden: "ipywidgets.HBox", change: dict[str, Any]) -> None:
    hidden.layout.display = "flex" if change["new"] else "none"
