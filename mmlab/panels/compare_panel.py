"""One query, two settings or two runs side by side. What it shows is `compare_answers`, a plain call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.comparison import compare_answers
from mmlab.panels.errors import show_in
from mmlab.panels.form import Form
from mmlab.panels.settings import Settings
from mmlab.retrieve import Retriever
from mmlab.retrieve.query.known_queries import SavedRankings
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import CalibrationsBySystem
from mmlab.retrieve.query.systems import retrievers_of, systems_of
from mmlab.visualize import Html

if TYPE_CHECKING:
    import ipywidgets


def compare_panel(
    systems: Retriever | Mapping[str, "Retriever | SavedRankings | Mapping[str, Any]"],
    items: pd.DataFrame,
    query: str | Path = "",
    k: int = 8,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
    parameters: pd.DataFrame | None = None,
) -> "ipywidgets.VBox":
    """A panel over `compare_answers`: what is asked on top, then the settings of either side, and what moved.

    systems: retrievers (`open_systems`) or saved rankings (`saved_rankings_by_run`) by name; the first answers on the
    left, the second on the right, or the first again by exact search. query: a text, or the path of an image of the
    collection. calibrations, match: as `query_panel`; parameters: as `compare_answers`.
    """
    return ComparePanel(systems, items, query, k, calibrations or {}, match, parameters).box


class ComparePanel:
    """A form, two sets of settings and the two answers."""

    def __init__(
        self,
        systems: Retriever | Mapping[str, Any],
        items: pd.DataFrame,
        query: str | Path = "",
        k: int = 8,
        calibrations: CalibrationsBySystem | None = None,
        match: Match | None = None,
        parameters: pd.DataFrame | None = None,
    ) -> None:
        import ipywidgets as widgets

        self.systems, self.items = systems_of(systems), items
        self.calibrations, self.match, self.parameters = calibrations or {}, match, parameters
        live, names = bool(retrievers_of(self.systems)), list(self.systems)
        self.form = Form(items, query if isinstance(query, str) else "", live)
        self.sides = [
            self.settings(names[0], k),
            self.settings(names[:2][-1], k, exact=live and len(names) == 1),
        ]
        self.result = widgets.HTML()
        columns = [_column(*side) for side in zip(("Left", "Right"), self.sides, strict=True)]
        last = controls.row(*self.form.last)
        self.box = widgets.VBox([*self.form.rows, last, controls.row(*columns), self.result])
        self.box.add_class("mmlab-compare")
        self.form.changed = self.ask
        for side in self.sides:
            side.listen(self.ask)
        if isinstance(query, Path):
            self.form.choose(query)
        elif query:
            self.ask()

    def settings(self, first: str, k: int, exact: bool = False) -> Settings:
        """The controls of one side."""
        return Settings(
            self.systems, self.items, k, self.calibrations, self.match is not None, first=first, exact=exact
        )

    def ask(self) -> None:
        """Answer what the form says now, twice."""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """Both answers, and what moved between them."""
        left, right = (self.form.question(**side.values) for side in self.sides)
        return compare_answers(
            self.systems, left, right, self.items, self.calibrations, self.match, self.parameters
        )


def _column(place: str, side: Settings) -> "ipywidgets.VBox":
    """The settings of one side under its name, all but the model folded away."""
    import ipywidgets as widgets

    several, rest = ([side.models], side.ranking[1:]) if len(side.known) > 1 else ([], side.ranking)
    folded = controls.folded(
        {f"{place}: how it is ranked": rest, f"{place}: filters": list(side.filters.values())}
    )
    beside = widgets.Layout(flex="1 1 300px", min_width="0")
    return widgets.VBox([widgets.HTML(f"<b>{place}</b>"), *several, side.k, folded], layout=beside)
