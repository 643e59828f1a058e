"""The compare panel: one query answered in two ways, how the ranks of the hits changed, and why.

`compare_answers` gives the same by a plain call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.panels import controls
from mmlab.panels.controls import FONT, PanelBox, show_quietly, status_line, warning_line
from mmlab.panels.hit_grid import HitGrid, hit_cards, item_details
from mmlab.panels.panel_data import PanelData, describe_answer, describe_hit
from mmlab.panels.query_form import QueryForm
from mmlab.panels.search_controls import SearchControls
from mmlab.retrieve import Query, SearchResult
from mmlab.retrieve.query.explain import describe_change, rank_changes
from mmlab.retrieve.query.known_queries import RightAnswers, find_right_answers
from mmlab.retrieve.query.spec import differing_settings, format_setting
from mmlab.visualize import Html, gallery, table


def compare_panel(
    data: PanelData, query: str | Path = "", k: int = 8, parameters: pd.DataFrame | None = None
) -> "ComparePanel":
    """Return a panel with the query on top, then the settings of either side, both answers and their differences.

    The first system answers on the left, the second on the right; a single one answers on the right by the graph, or by
    exact search where the run's own answers are by the graph. query: a text, or the path of an image of the collection;
    k: how many hits, 1 to 200; parameters: as in `compare_answers`. Raises ValueError for an image that the collection
    does not have.
    """
    return ComparePanel(data, query, k, parameters)


class ComparePanel(PanelBox):
    """A form, two sets of settings, the left one first, and the two answers.

    Attributes:
        hits: the hits of either side, by "left" and "right", as DataFrames. questions: their queries.
    """

    def __init__(
        self, data: PanelData, query: str | Path = "", k: int = 8, parameters: pd.DataFrame | None = None
    ) -> None:
        self.data, self.parameters = data, parameters
        self.form = QueryForm(data, query)
        first, second = _first_two(data)
        alone = data.live and first == second
        self.settings = (
            SearchControls(data, k, first),
            SearchControls(data, k, second, exact=data.exact != alone),
        )
        self.grids = tuple(HitGrid((), partial(item_details, data.items)) for _ in PLACES)
        self.hits: dict[str, pd.DataFrame] = {}
        self.questions: dict[str, Query] = {}
        self.message, self.difference, self.result = (widgets.HTML() for _ in range(3))
        self.ask_soon = controls.LastCall(self.answer_now)
        self.static_soon = controls.LastCall(self._make_static, STATIC_SECONDS)
        columns = [_column(*side) for side in zip(PLACES, self.settings, self.grids, strict=True)]
        both = controls.row(*columns)
        both.layout.align_items = "flex-start"
        findable = [controls.row(self.form.to)] if self.data.live else []
        above = [*self.form.rows, *findable, self.message, self.difference]
        super().__init__([*above, both, self.result], "compare")
        self.form.listen(self.ask)
        for settings in self.settings:
            settings.listen(self.ask)
        if query:
            self.answer_now()

    def ask(self) -> None:
        """Answer what the form says soon, on both sides; the old answers are dimmed."""
        for grid in self.grids:
            grid.busy = True
        self.ask_soon()

    def answer_now(self) -> None:
        """Answer what the form says, on both sides; what is missing or goes wrong is shown above them."""
        self.ask_soon.cancel()
        for settings in self.settings:
            settings.count(self.form.to.value)
        if not show_quietly(self.message, self._answer):
            self.hits, self.questions = {}, {}
            self.difference.value = self.result.value = ""
            for grid in self.grids:
                grid.status = ""
                grid.show([])

    def _answer(self) -> str:
        """Show both answers, and return the warnings that come with them."""
        left, right = (self.form.query(**settings.values) for settings in self.settings)
        self._last = comparison = Comparison.of(self.data, left, right)
        for name, grid, side in zip(PLACES, self.grids, comparison.answers, strict=True):
            self.hits[name.lower()], self.questions[name.lower()] = side.shown, side.query
            grid.show(side.cards())
            _, facts = describe_answer(side.query, replace(side.result, table=side.shown), side.right)
            grid.status = f"{name}{_system_name(side.query)}: {facts}"
        self.difference.value = status_line(escape(describe_difference(left, right)))
        self.result.value = comparison.differences(self.parameters)
        self.static_soon()
        return "".join(warning_line(side.result.warning) for side in comparison.answers)

    def _make_static(self) -> None:
        self.static_soon.cancel()
        if self.questions:
            self.show_static(self._last.html(self.parameters))


def _first_two(data: PanelData) -> tuple[str, str]:
    """Return the first system, and the next that texts and images can ask as well; BM25 reads no image."""
    first, *others = data.systems
    asked = data.systems[first].keys()
    return first, next((one for one in others if data.systems[one].keys() >= asked), first)


def _column(place: str, settings: SearchControls, grid: HitGrid) -> widgets.VBox:
    """Put the settings of one side over its answer, all but the model behind buttons."""
    models = [one for one in settings.ranking if one is settings.models]
    parts = {
        f"{place}: ranking": [one for one in settings.ranking if one is not settings.models],
        f"{place}: filters": list(settings.filters.values()),
    }
    layout = widgets.Layout(flex="1 1 320px", min_width="0")
    folded = controls.folded_rows(parts, settings.k)
    return widgets.VBox([*models, folded, settings.set_filters, grid], layout=layout)


PLACES = ("Left", "Right")
STATIC_SECONDS = 0.4  # after an answer, what stands in for the panel is made
COLUMN_STYLE = "flex:1 1 320px;min-width:0"
MAX_CHANGES = 12  # that are listed
MAX_WORDS_CHARS = 80  # of an item in the list


@dataclass(frozen=True)
class OneAnswer:
    """The answer of one side: the first `depth` hits, what is right, and the ranks that hits have gained."""

    query: Query
    result: SearchResult
    right: RightAnswers | None
    gained: Mapping[str, float]

    @property
    def shown(self) -> pd.DataFrame:
        """The first `k` hits."""
        return self.result.table.head(self.query.k)

    def cards(self) -> list[dict[str, Any]]:
        """Return a card for each hit, with the ranks that it gained or lost."""
        cards = hit_cards(self.shown, self.right and self.right.item_ids)
        return [card | {"note": _arrow(self.gained.get(card["item_id"], 0))} for card in cards]


@dataclass(frozen=True)
class Comparison:
    """Two answers, and how the ranks differ (see `rank_changes`)."""

    answers: tuple[OneAnswer, OneAnswer]
    changes: pd.DataFrame

    @classmethod
    def of(cls, data: PanelData, left: Query, right: Query) -> "Comparison":
        """Answer both queries, each as deep as hits are compared."""
        queries = (left, right)
        results = [data.search(replace(query, k=max(query.k, query.depth))) for query in queries]
        changes = rank_changes(*(result.table for result in results))
        gained = dict(zip(changes["item_id"], changes["change"], strict=True))
        one, other = (
            OneAnswer(query, result, find_right_answers(data.items, query), ranks)
            for query, result, ranks in zip(queries, results, ({}, gained), strict=True)
        )
        return cls((one, other), changes)

    def html(self, parameters: pd.DataFrame | None) -> Html:
        """Return both answers and their differences as HTML."""
        left, right = self.answers
        columns = "".join(map(_answer_column, PLACES, self.answers))
        return Html(
            f"{status_line(escape(describe_difference(left.query, right.query)))}"
            f'<div style="display:flex;flex-wrap:wrap;gap:16px">{columns}</div>{self.differences(parameters)}'
        )

    def differences(self, parameters: pd.DataFrame | None) -> str:
        """Return the parameters in which the runs differ, and the hits that changed their rank, as HTML."""
        left, right = self.answers
        words = pd.concat([one.result.table for one in self.answers]).drop_duplicates("item_id")
        near = (self.changes["before"] <= left.query.k) | (self.changes["after"] <= right.query.k)
        table_ = changes_table(self.changes[near], words.set_index("item_id")["words"])
        return f"{parameters_table(parameters, left.query.models + right.query.models)}{table_}"


def compare_answers(
    data: PanelData, left: Query, right: Query, parameters: pd.DataFrame | None = None
) -> Html:
    """Show the answers to two queries side by side, then which hits changed their rank and why.

    Hits are marked right or wrong where the query belongs to the collection. Ranks are compared among the first `depth`
    hits of both. parameters: those in which runs differ, with a column for each run that is called like a system
    (`differing_parameters`); where each query is answered by one run, those of the two are shown. Raises ValueError for
    a query that the systems cannot answer.
    """
    return Comparison.of(data, left, right).html(parameters)


def parameters_table(parameters: pd.DataFrame | None, runs: Sequence[str]) -> Html:
    """Return the parameters in which two runs differ as a table; nothing where they are not known."""
    if parameters is None or len(set(runs)) != 2 or not set(runs) <= set(parameters.columns):
        return Html("")
    left, right = runs
    differing = parameters[parameters[left] != parameters[right]]
    if differing.empty:
        return Html(f'<p style="{FONT}">Both runs were made with the same parameters.</p>')
    return table(differing[["notebook", "parameter", left, right]], "Parameters in which these runs differ")


def describe_difference(left: Query, right: Query) -> str:
    """Return the settings in which two queries differ, in words."""
    pairs = differing_settings(left, right)
    settings = "; ".join(
        f"{name}: {format_setting(one)} | {format_setting(other)}" for name, (one, other) in pairs.items()
    )
    return f"{left.describe()} — {settings or 'the same settings on both sides'}"


def changes_table(changes: pd.DataFrame, words: pd.Series) -> Html:
    """Return the changes of rank as a table with the reason of each; a sentence where no rank changed.

    changes: rows of `rank_changes`; words: those of each item, by item_id.
    """
    changed = changes[(changes["change"] != 0).fillna(True)]
    if changed.empty:
        return Html(f'<p style="{FONT}">Nothing moved.</p>')
    rows = [
        {
            "item": str(words[change["item_id"]])[:MAX_WORDS_CHARS],
            "before": change["before"],
            "after": change["after"],
            "why": describe_change(change),
        }
        for change in changed.head(MAX_CHANGES).to_dict("records")
    ]
    return table(pd.DataFrame(rows), f"What moved, the furthest first ({len(changed)} in all)", digits=0)


def _answer_column(place: str, one: OneAnswer) -> str:
    """Return one answer under the name of its system, each hit with the ranks that it gained or lost."""
    cards = one.cards()
    captions = [
        f"{describe_hit(hit)} {card['note']}".rstrip()
        for hit, card in zip(_records(one.shown), cards, strict=True)
    ]
    name = escape(f"{place}{_system_name(one.query)}")
    heading = f'<h4 style="font:600 13px sans-serif;margin:4px 0">{name}</h4>'
    grid = gallery(list(one.shown["pair_image"]), captions, [card["right"] for card in cards])
    shown_as = f"{heading}{warning_line(one.result.warning)}{grid}"
    return f'<section aria-label="{name}" style="{COLUMN_STYLE}">{shown_as}</section>'


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = table.to_dict("records")
    return records


def _system_name(query: Query) -> str:
    systems = " + ".join(query.models)
    return f": {systems}" if systems else ""


def _arrow(change: float) -> str:
    """Return the ranks that a hit gained or lost in a few characters; `change`: NA for a hit on the right only."""
    if pd.isna(change):
        return "(new)"
    return "" if change == 0 else f"({'▲' if change > 0 else '▼'} {abs(int(change))})"
