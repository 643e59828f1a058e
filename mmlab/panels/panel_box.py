"""The outer box of every panel: keys stay in it, its controls have names and states, and a saved notebook shows it.

ipywidgets alone does none of this: a key that is pressed on a button or a slider is a command of the notebook (`d d`
deletes the cell), a pressed toggle has no state, and a notebook that is opened again shows nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import ipywidgets as widgets
import traitlets
from IPython.display import HTML, display, update_display

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
