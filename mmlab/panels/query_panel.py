"""Ask the collection by text, image or both, live. What it shows is `answer_question`, a plain call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.answers import answer_question, shorten
from mmlab.panels.errors import show_in
from mmlab.panels.export import download_link, with_question
from mmlab.panels.form import Form
from mmlab.panels.settings import Settings
from mmlab.retrieve import Query, Retriever
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import CalibrationsBySystem
from mmlab.retrieve.query.spec import summarize_settings
from mmlab.retrieve.query.systems import Systems, retrievers_of, systems_of
from mmlab.visualize import Html

if TYPE_CHECKING:
    import ipywidgets

REMEMBERED = 20  # questions
EXPORTED = ("rank", "score", "probability", "item_id", "modality", "pair_id", "words", "label")


def query_panel(
    systems: Retriever | Mapping[str, Any],
    items: pd.DataFrame,
    query: str = "",
    k: int = 8,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
) -> "ipywidgets.VBox":
    """A panel over `answer_question`: asks when a control changes, shows errors, remembers what was asked.

    systems: one retriever, or several by name (`open_systems`), to choose from and to fuse. items: the run's, for
    images, values of filters and truth. calibrations: by the system's name, see `fit_calibrations`. match: judges
    the first hits again (`rerank`, `crop_matcher`), for a control that says how many.
    """
    return QueryPanel(systems_of(systems), items, query, k, calibrations or {}, match).box


class QueryPanel:
    """A form, the answer to what it says, a link that saves it, and what was asked before."""

    def __init__(
        self,
        systems: Systems,
        items: pd.DataFrame,
        query: str,
        k: int,
        calibrations: CalibrationsBySystem,
        match: Match | None,
    ) -> None:
        import ipywidgets as widgets

        self.systems, self.items, self.calibrations, self.match = systems, items, calibrations, match
        self.form = Form(items, query, bool(retrievers_of(systems)))
        self.settings = Settings(systems, items, k, calibrations, match is not None)
        self.asked: list[Query] = []
        self.quiet = False
        self.history = controls.choice([("", -1)], "Asked before")
        self.result, self.link = widgets.HTML(), widgets.HTML()
        parts = {"How it is ranked": self.settings.ranking, "Filters": list(self.settings.filters.values())}
        last = controls.row(self.settings.k, *self.form.last)
        self.box = widgets.VBox(
            [*self.form.rows, last, controls.folded(parts), self.history, self.result, self.link]
        )
        self.box.add_class("mmlab-query")
        self.form.changed = self.ask
        self.settings.listen(self.ask)
        self.history.observe(lambda change: self.ask_again(change["new"]), "value")
        if query:
            self.ask()

    def ask(self) -> None:
        """Answer what the form says now."""
        if self.quiet:
            return
        self.link.value = ""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """The answer to the form's question, which is then remembered."""
        question = self.form.question(**self.settings.values)
        shown, hits = answer_question(self.systems, question, self.items, self.calibrations, self.match)
        table = with_question(hits[[name for name in EXPORTED if name in hits]], question.to_dict())
        self.link.value = str(download_link(table, "hits.csv"))
        self.remember(question)
        return shown

    def remember(self, question: Query) -> None:
        """Put the question on top of those asked before."""
        self.asked = [question, *(one for one in self.asked if one != question)][:REMEMBERED]
        told = [shorten(one.describe(), 60) for one in self.asked]
        told = [
            " · ".join(filter(None, [words, summarize_settings(one)]))
            for words, one in zip(told, self.asked, strict=True)
        ]
        names = [(f"{n + 1}. {words}", n) for n, words in enumerate(told)]
        self.quiet = True
        self.history.options = names
        self.history.value = 0
        self.quiet = False

    def ask_again(self, number: Any) -> None:
        """Ask what was asked before, with all its settings."""
        if self.quiet:
            return
        self.quiet = True
        self.form.fill(self.asked[number])
        self.settings.fill(self.asked[number])
        self.quiet = False
        self.ask()
