"""The query panel, which asks the collection by text, image or both, and shows, labels and saves what is found.

`answer_query` gives the same by a plain call.
"""

import time
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import pandas as pd

from mmlab.panels import controls
from mmlab.panels.controls import (
    PanelBox,
    Unfinished,
    add_query_columns,
    download_link,
    show_quietly,
    warning_line,
)
from mmlab.panels.hit_grid import LESS, MORE, HitGrid, hit_cards, item_details
from mmlab.panels.panel_data import PanelData, describe_answer, shorten, show_hits
from mmlab.panels.query_form import IMAGE, QueryForm
from mmlab.panels.search_controls import PAIRS, SearchControls
from mmlab.retrieve import Query
from mmlab.retrieve.query.known_queries import find_right_answers
from mmlab.retrieve.query.spec import FEEDBACK, summarize_settings

if TYPE_CHECKING:
    from mmlab.retrieve.query.spec import Content

MAX_HISTORY = 20  # queries
MAX_HISTORY_CHARS = 60  # of a query in the list
MAX_PART_CHARS = 30  # of an item that a query is refined by
REPEAT_SECONDS = 3.0  # within which the button does not ask again what has just been answered
STATIC_SECONDS = 0.4  # after an answer, what stands in for the panel is made
EXPORTED = ("rank", "score", "probability", "item_id", "modality", "pair_id", "words", "label")
LABEL_COLUMNS = ("question", "item_id", "relevance")
MARKS_HINT = "ask again: nearer to the hits marked as right than to those marked as wrong"
MARK_FIRST = "Mark some of the hits as right or as wrong first."
NO_HITS = "Nothing is found: no item passes the filters."


def query_panel(
    data: PanelData, query: str | Path = "", k: int = 8, where: Mapping[str, Any] | None = None
) -> "QueryPanel":
    """Return a panel that answers anew whenever a control changes, shows errors and remembers what was asked.

    query: a text, or the path of an image of the collection, to begin with. k: how many hits, 1 to 200. where: a filter
    to begin with, such as the `where` of another panel, which can be cleared. Raises ValueError for an image that the
    collection does not have.
    """
    return QueryPanel(data, query, k, where)


class QueryPanel(PanelBox):
    """A form, the hits of what it says, and what was asked before.

    Attributes:
        hits: the hits of the last answer, as a DataFrame. question: its `Query`, None before the first.
        selected: those of the hits that are selected. labels: all labels of this session (question, item_id,
            relevance), as a DataFrame.
    """

    def __init__(
        self, data: PanelData, query: str | Path = "", k: int = 8, where: Mapping[str, Any] | None = None
    ) -> None:
        self.data = data
        self.form, self.settings = QueryForm(data, query), SearchControls(data, k)
        self.settings.given = dict(where or {})
        self.grid = HitGrid(details=partial(item_details, data.items), empty="")
        if not data.live:
            self.grid.actions = ["label", "select"]
        self.hits = pd.DataFrame()
        self.question: Query | None = None
        self.asked: list[Query] = []
        self.parts: dict[str, list[Content]] = {MORE: [], LESS: []}
        self._judged: dict[str, dict[str, int]] = {}
        self._answered: tuple[Any, float] = (None, 0.0)
        self._answering = self._again = self.by_marks = False
        self.listening = controls.Listening()
        self.message, self.link, self.refined = widgets.HTML(), widgets.HTML(), controls.row()
        self.ask_soon = controls.LastCall(self.answer_now)
        self.static_soon = controls.LastCall(self._make_static, STATIC_SECONDS)
        self.history = controls.choose_one([("", -1)], "Asked before", "600px")
        self.again = controls.button("Again with my marks", MARKS_HINT, self.ask_with_marks, "auto")
        self.saved = SavedControls(self)
        super().__init__(self._rows(), "query")
        self._listen()
        if query:
            self.answer_now()

    def _rows(self) -> list[widgets.Widget]:
        filters = list(self.settings.filters.values())
        parts = {"Ranking": self.settings.ranking, "Filters": filters, "Saved": self.saved.rows}
        findable = [self.form.to] if self.data.live else []
        more = controls.folded_rows(parts, *findable, self.settings.k)
        above = [*self.form.rows, more, self.settings.set_filters, self.refined, self.message]
        again = [self.again] if self.data.live else []
        return [*above, self.grid, controls.row(*again, self.history, self.link)]

    def _listen(self) -> None:
        self.form.listen(self.ask)
        self.settings.listen(self.ask)
        self.listening.watch(self.history, lambda number: self.ask_again(self.asked[number]))
        self.grid.on_action(self.refine)
        self.grid.on_label(self._keep_label)

    @property
    def selected(self) -> pd.DataFrame:
        """The hits that are selected."""
        return self.hits[self.hits["item_id"].isin(self.grid.selected)] if len(self.hits) else self.hits

    @property
    def labels(self) -> pd.DataFrame:
        """All labels of this session: question, item_id, relevance (1 or 0)."""
        rows = [(name, *label) for name, labels in self._judged.items() for label in labels.items()]
        return pd.DataFrame(rows, columns=list(LABEL_COLUMNS))

    def ask(self) -> None:
        """Answer what the form says soon; the old answer is dimmed, and of many questions the last is answered."""
        answered, when = self._answered
        if answered == self._state() and time.monotonic() - when < REPEAT_SECONDS:
            return
        self.grid.busy = True
        self.ask_soon()

    def answer_now(self) -> None:
        """Answer what the form says; what is missing or goes wrong is shown above the hits."""
        self.ask_soon.cancel()
        if self._answering:  # a kernel takes messages meanwhile: this one waits for its turn
            self._again = True
            return
        self._answering, state = True, self._state()
        self._answered = (state, time.monotonic())  # so that the same question is not asked meanwhile
        try:
            self.settings.count(self.form.to.value)
            went_well = show_quietly(self.message, self._answer)
        finally:
            self._answering = False
        self._answered = (state if went_well else None, time.monotonic())
        if not went_well:
            self.hits, self.question, self.link.value = pd.DataFrame(), None, ""
            self.grid.status = self.grid.empty = ""
            self.grid.show([])
        if self._again:
            self._again = False
            self.ask_soon()

    def refine(self, action: str, item_id: str) -> None:
        """Ask for more or for less like a hit."""
        self._put_part(action, item_id)
        self._show_parts()
        self.ask()

    def ask_with_marks(self) -> None:
        """Ask again by relevance feedback: the hits that were marked as right are wanted, those marked as wrong not.

        Where all marks are of one kind, which leaves nothing to compare, they count as the setting "Examples by" says.
        """
        known = set(self.data.items["item_id"])  # a saved question may have marks of items that are no more
        judged = {} if self.question is None else self._judged.get(self.question.describe(), {})
        marks = {item_id: mark for item_id, mark in judged.items() if item_id in known}
        if not marks:
            self.message.value = controls.status_line(f"<em>{MARK_FIRST}</em>")
            return
        for item_id, mark in marks.items():
            self._put_part(MORE if mark else LESS, item_id)
        self.by_marks = True
        self._show_parts()
        self.ask()

    def _put_part(self, action: str, item_id: str) -> None:
        """Make a hit an example, which it is only once."""
        items = self.data.items
        hit = items[items["item_id"] == item_id].iloc[0]
        part = Path(hit["image"]) if hit["modality"] == IMAGE else str(hit["text"])
        for parts in self.parts.values():
            parts[:] = [one for one in parts if one != part]
        self.parts[action].append(part)

    def ask_again(self, query: Query) -> None:
        """Ask again what was asked before, with all its settings."""
        self.form.fill(query)
        self.settings.fill(query)
        self.parts = {MORE: list(query.plus), LESS: list(query.minus)}
        if query.context:
            self.parts = {MORE: [one for one, _ in query.context], LESS: [one for _, one in query.context]}
            self.settings.recommend.value = PAIRS
        self.by_marks = query.recommend == FEEDBACK
        self._show_parts()
        self.ask()

    def _state(self) -> tuple[Any, ...]:
        """Return what the controls say, to compare."""
        parts = tuple(self.parts[MORE]), tuple(self.parts[LESS])
        return self.form.state, self.settings.values, self.settings.recommend.value, *parts, self.by_marks

    def _examples(self) -> dict[str, Any]:
        """Return the examples of the query, and how they count: by marks, in pairs, or as the settings say."""
        plus, minus = (tuple(self.parts[name]) for name in (MORE, LESS))
        if self.settings.recommend.value == PAIRS and plus and minus and not self.by_marks:
            return {"context": tuple(zip(plus, minus, strict=False))}
        by_marks = {"recommend": FEEDBACK} if self.by_marks and plus and minus else {}
        return {"plus": plus, "minus": minus, **by_marks}

    def _answer(self) -> str:
        """Show the answer to what the form says, and return the warnings that come with it."""
        query = self.form.query(**{**self.settings.values, **self._examples()})
        result = self.data.search(query)
        right = find_right_answers(self.data.items, query)
        self.hits, self.question, self._last = result.table, query, (query, result, right)
        self.grid.empty = NO_HITS
        cards = hit_cards(result.table, right and right.item_ids)
        self.grid.show(cards, self._judged.get(query.describe()))
        self.grid.status = ": ".join(describe_answer(query, result, right))
        self.link.value = ""
        self._remember(query)
        self.static_soon()
        return warning_line(result.warning)

    def _make_static(self) -> None:
        """Make what is not needed at once: what stands in for the panel, and the link that saves the hits."""
        self.static_soon.cancel()
        if self.question is not None:
            query, result, right = self._last
            columns = [name for name in EXPORTED if name in result.table]
            table = add_query_columns(result.table[columns], query.to_dict())
            self.link.value = str(download_link(table, "hits.csv"))
            self.show_static(show_hits(query, result, right))

    def _keep_label(self, item_id: str, relevance: int | None) -> None:
        if self.question is None:
            return
        labels = self._judged.setdefault(self.question.describe(), {})
        labels.pop(item_id, None)
        if relevance is not None:
            labels[item_id] = relevance
        self.saved.note(f"{len(labels)} hits labelled: in `panel.labels`; save the question to keep them.")

    def _show_parts(self) -> None:
        """Show what the question is refined by; a click takes it away."""
        self.by_marks = self.by_marks and any(self.parts.values())
        chips = []
        for sign, (action, parts) in zip("+−", self.parts.items(), strict=True):
            for part in parts:
                name = shorten(part.name if isinstance(part, Path) else str(part), MAX_PART_CHARS)
                chip = partial(self._drop_part, action, part)
                chips.append(controls.button(f"{sign} {name} ✕", f"take away: {sign} {name}", chip, "auto"))
        self.refined.children = chips

    def _drop_part(self, action: str, part: "Content") -> None:
        self.parts[action].remove(part)
        self._show_parts()
        self.ask()

    def _remember(self, query: Query) -> None:
        """Put a query on top of those that were asked before."""
        self.asked = [query, *(one for one in self.asked if one != query)][:MAX_HISTORY]
        names = [f"{number}. {_summarize(one)}" for number, one in enumerate(self.asked, 1)]
        with self.listening.silenced():
            self.history.options = [(name, number) for number, name in enumerate(names)]
            self.history.value = 0


class SavedControls:
    """A name to save the question under, and the list of those that were saved, to open them again."""

    def __init__(self, panel: QueryPanel) -> None:
        self.panel, self.questions = panel, panel.data.questions
        self.name = controls.text_line("", "Name", "a name for this question")
        self.button = controls.button("Save", "save the question with its hits and labels", self.save)
        self.opened = controls.choose_one([("", "")], "Open", "420px")
        self.status = widgets.HTML()
        self.listening = controls.Listening()
        self.listening.watch(self.opened, self.open)
        if self.questions:
            show_quietly(self.status, self._list)

    @property
    def rows(self) -> list[widgets.Widget]:
        """The widgets; none where nothing can be saved."""
        return [self.name, self.button, self.opened, self.status] if self.questions else []

    def save(self) -> None:
        """Save the question that is answered, with its hits and labels."""
        show_quietly(self.status, self._save)

    def open(self, name: str) -> None:
        """Ask a saved question again, with its labels."""
        if name and self.questions and show_quietly(self.status, self._list):
            query, table = self.questions.queries()[name], self.questions.table
            labels = table[(table["name"] == name) & table["relevance"].notna()]
            kept = dict(zip(labels["item_id"], labels["relevance"].astype(int), strict=True))
            self.panel._judged[query.describe()] = kept
            self.panel.ask_again(query)

    def note(self, text: str) -> None:
        """Say something beside the button."""
        self.status.value = controls.status_line(escape(text))

    def _save(self) -> str:
        panel = self.panel
        if panel.question is None or self.questions is None:
            raise Unfinished("Ask something first: what is answered can be saved.")
        if not self.name.value.strip():
            raise Unfinished("Type a name for this question.")
        labels = panel._judged.get(panel.question.describe())
        self.questions.save(self.name.value, panel.question, panel.hits, labels)
        self._list()
        return controls.status_line(escape(f"Saved in {self.questions.path}: `run.questions` lists it."))

    def _list(self) -> str:
        names = list(self.questions.queries()) if self.questions else []
        with self.listening.silenced():
            chosen = self.opened.value
            self.opened.options = [("", ""), *((name, name) for name in names)]
            self.opened.value = chosen if chosen in names else ""
        return ""


def _summarize(query: Query) -> str:
    parts = [shorten(query.describe(), MAX_HISTORY_CHARS), summarize_settings(query)]
    return " · ".join(filter(None, parts))
