"""The query panel asks the collection by text, image or both. `answer_query` gives the same by a plain call."""

from pathlib import Path

import ipywidgets as widgets

from mmlab.panels import controls
from mmlab.panels.hit_grids import PanelData, answer_query, shorten
from mmlab.panels.outputs import add_query_columns, download_link, show_in
from mmlab.panels.query_form import QueryForm
from mmlab.panels.search_controls import SearchControls
from mmlab.retrieve import Query
from mmlab.retrieve.query.spec import summarize_settings
from mmlab.visualize import Html

MAX_HISTORY = 20  # queries
MAX_HISTORY_CHARS = 60  # of a query in the list
EXPORTED = ("rank", "score", "probability", "item_id", "modality", "pair_id", "words", "label")


def query_panel(data: PanelData, query: str | Path = "", k: int = 8) -> widgets.VBox:
    """Return a panel that answers anew whenever a control changes, shows errors and remembers what was asked.

    query: a text, or the path of an image of the collection, to begin with. k: how many hits, 1 to 50. Raises
    ValueError for an image that the collection does not have.
    """
    return QueryPanel(data, query, k).box


class QueryPanel:
    """A form, the answer to what it says, a link that saves the answer, and what was asked before."""

    def __init__(self, data: PanelData, query: str | Path = "", k: int = 8) -> None:
        self.data = data
        self.form, self.settings = QueryForm(data, query), SearchControls(data, k)
        self.asked: list[Query] = []
        self.listening = controls.Listening()
        self.history = controls.choose_one([("", -1)], "Asked before", "700px")
        self.result, self.link = widgets.HTML(), widgets.HTML()
        parts = {"How it is ranked": self.settings.ranking, "Filters": list(self.settings.filters.values())}
        last = controls.row(self.settings.k, *self.form.last)
        answer = [self.history, self.result, self.link]
        self.box = widgets.VBox([*self.form.rows, last, controls.folded_rows(parts), *answer])
        self.box.add_class("mmlab-query")
        self.form.listen(self.ask)
        self.settings.listen(self.ask)
        self.listening.watch(self.history, self.ask_again)
        if query:
            self.ask()

    def ask(self) -> None:
        """Answer what the form says."""
        self.link.value = ""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """Return the answer to what the form says, with a link that saves it, and remember the query."""
        query = self.form.query(**self.settings.values)
        shown, hits = answer_query(self.data, query)
        table = add_query_columns(hits[[name for name in EXPORTED if name in hits]], query.to_dict())
        self.link.value = str(download_link(table, "hits.csv"))
        self.remember(query)
        return shown

    def remember(self, query: Query) -> None:
        """Put a query on top of those that were asked before."""
        self.asked = [query, *(one for one in self.asked if one != query)][:MAX_HISTORY]
        names = [f"{number}. {_summarize(one)}" for number, one in enumerate(self.asked, 1)]
        with self.listening.silenced():
            self.history.options = [(name, number) for number, name in enumerate(names)]
            self.history.value = 0

    def ask_again(self, number: int) -> None:
        """Ask again what was asked before, with all its settings."""
        query = self.asked[number]
        self.form.fill(query)
        self.settings.fill(query)
        self.ask()


def _summarize(query: Query) -> str:
    parts = [shorten(query.describe(), MAX_HISTORY_CHARS), summarize_settings(query)]
    return " · ".join(filter(None, parts))
