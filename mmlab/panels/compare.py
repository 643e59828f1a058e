"""One query, two settings or two runs side by side. What it shows is `compare_answers`, a plain call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.asking import systems_of
from mmlab.panels.errors import show_in
from mmlab.panels.form import Form
from mmlab.panels.moves import compare_answers
from mmlab.panels.recorded import Recorded
from mmlab.panels.settings import Settings
from mmlab.retrieve import Retriever
from mmlab.visualize import Html

if TYPE_CHECKING:
    import ipywidgets


def compare_panel(
    systems: Mapping[str, Retriever | Recorded], items: pd.DataFrame, query: str | Path = "", k: int = 8
) -> "ipywidgets.VBox":
    """A panel over `compare_answers`: what is asked on top, then the settings of either side, and what moved.

    systems: retrievers or written rankings by name; the first answers on the left, the second (or the first again,
    with other settings) on the right. query: a text, or the path of a picture of the collection.
    """
    return ComparePanel(dict(systems), items, query, k).box


class ComparePanel:
    """A form, two sets of settings and the two answers."""

    def __init__(
        self, systems: dict[str, Retriever | Recorded], items: pd.DataFrame, query: str | Path, k: int
    ) -> None:
        import ipywidgets as widgets

        self.systems, self.items = systems_of(systems), items
        self.form = Form(items, query if isinstance(query, str) else "", k)
        names = list(systems)
        self.sides = [Settings(names, first=names[0]), Settings(names, first=names[min(1, len(names) - 1)])]
        self.result = widgets.HTML()
        columns = [
            widgets.VBox([widgets.HTML(f"<b>{place}</b>"), *side.widgets])
            for place, side in zip(("Left", "Right"), self.sides, strict=True)
        ]
        folded = controls.folded({"Filters": list(self.form.filters.values())})
        self.box = widgets.VBox([*self.form.rows, folded, controls.row(*columns), self.result])
        self.box.add_class("mmlab-compare")
        self.form.changed = self.ask
        for side in self.sides:
            side.listen(self.ask)
        if isinstance(query, Path):
            self.form.choose(query)
        elif query:
            self.ask()

    def ask(self) -> None:
        """Answer what the form says now, twice."""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """Both answers, and what moved between them."""
        left, right = (self.form.question(**side.values) for side in self.sides)
        return compare_answers(self.systems, left, right, self.items)
