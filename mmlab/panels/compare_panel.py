"""The compare panel: one query answered in two ways. `compare_answers` gives the same by a plain call."""

from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from mmlab.panels import controls
from mmlab.panels.answer_comparison import compare_answers
from mmlab.panels.hit_grids import PanelData
from mmlab.panels.outputs import show_in
from mmlab.panels.query_form import QueryForm
from mmlab.panels.search_controls import SearchControls
from mmlab.visualize import Html


def compare_panel(
    data: PanelData, query: str | Path = "", k: int = 8, parameters: pd.DataFrame | None = None
) -> widgets.VBox:
    """Return a panel with the query on top, then the settings of either side, both answers and their differences.

    The first system answers on the left, the second on the right; a single one answers by exact search on the right.
    query: a text, or the path of an image of the collection; k: how many hits, 1 to 50; parameters: as in
    `compare_answers`. Raises ValueError for an image that the collection does not have.
    """
    return ComparePanel(data, query, k, parameters).box


class ComparePanel:
    """A form, two sets of settings, the left one first, and the two answers."""

    def __init__(
        self, data: PanelData, query: str | Path = "", k: int = 8, parameters: pd.DataFrame | None = None
    ) -> None:
        self.data, self.parameters = data, parameters
        self.form = QueryForm(data, query)
        first, second = (list(data.systems) * 2)[:2]
        self.settings = (
            SearchControls(data, k, first),
            SearchControls(data, k, second, exact=data.live and first == second),
        )
        self.result = widgets.HTML()
        columns = [_column(*pair) for pair in zip(("Left", "Right"), self.settings, strict=True)]
        last = controls.row(*self.form.last)
        self.box = widgets.VBox([*self.form.rows, last, controls.row(*columns), self.result])
        self.box.add_class("mmlab-compare")
        for part in (self.form, *self.settings):
            part.listen(self.ask)
        if query:
            self.ask()

    def ask(self) -> None:
        """Answer what the form says, in both ways."""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """Return both answers, and how they differ."""
        left, right = (self.form.query(**settings.values) for settings in self.settings)
        return compare_answers(self.data, left, right, self.parameters)


def _column(place: str, settings: SearchControls) -> widgets.VBox:
    """Put the settings of one side under its name, all but the model folded away."""
    models = [one for one in settings.ranking if one is settings.models]
    parts = {
        f"{place}: how it is ranked": [one for one in settings.ranking if one is not settings.models],
        f"{place}: filters": list(settings.filters.values()),
    }
    layout = widgets.Layout(flex="1 1 300px", min_width="0")
    heading = widgets.HTML(f"<b>{place}</b>")
    return widgets.VBox([heading, *models, settings.k, controls.folded_rows(parts)], layout=layout)
