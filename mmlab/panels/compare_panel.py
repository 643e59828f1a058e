"""The compare panel: one query answered in two ways, how the ranks of the hits changed, and why.

`compare_answers` gives the same by a plain call.
"""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.panels import controls
from mmlab.panels.controls import FONT, show_in, status_line, warning_line
from mmlab.panels.hit_grids import PanelData, describe_hit
from mmlab.panels.query_panel import QueryForm
from mmlab.panels.search_controls import SearchControls
from mmlab.retrieve import Query, SearchResult
from mmlab.retrieve.query.explain import describe_change, rank_changes
from mmlab.retrieve.query.known_queries import find_right_answers
from mmlab.retrieve.query.spec import differing_settings, format_setting
from mmlab.visualize import Html, gallery, table


def compare_panel(
    data: PanelData, query: str | Path = "", k: int = 8, parameters: pd.DataFrame | None = None
) -> widgets.VBox:
    """Return a panel with the query on top, then the settings of either side, both answers and their differences.

    The first system answers on the left, the second on the right; a single one answers on the right by the graph,
    or by exact search where the run's own answers are by the graph.
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
            SearchControls(data, k, second, exact=data.exact != (data.live and first == second)),
        )
        self.result = widgets.HTML()
        columns = [_settings_column(*pair) for pair in zip(("Left", "Right"), self.settings, strict=True)]
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


def _settings_column(place: str, settings: SearchControls) -> widgets.VBox:
    """Put the settings of one side under its name, all but the model folded away."""
    models = [one for one in settings.ranking if one is settings.models]
    parts = {
        f"{place}: how it is ranked": [one for one in settings.ranking if one is not settings.models],
        f"{place}: filters": list(settings.filters.values()),
    }
    layout = widgets.Layout(flex="1 1 300px", min_width="0")
    heading = widgets.HTML(f"<b>{place}</b>")
    return widgets.VBox([heading, *models, settings.k, controls.folded_rows(parts)], layout=layout)


COLUMN_STYLE = "flex:1 1 320px;min-width:0"
MAX_CHANGES = 12  # that are listed
MAX_WORDS_CHARS = 80  # of an item in the list


def compare_answers(
    data: PanelData, left: Query, right: Query, parameters: pd.DataFrame | None = None
) -> Html:
    """Show the answers to two queries side by side, then which hits changed their rank and why.

    Hits are marked right or wrong where the query belongs to the collection. Ranks are compared among the first `depth`
    hits of both. parameters: those in which runs differ, with a column for each run that is called like a system
    (`differing_parameters`); where each query is answered by one run, those of the two are shown. Raises ValueError for
    a query that the systems cannot answer.
    """
    queries = (left, right)
    results = [data.search(replace(query, k=max(query.k, query.depth))) for query in queries]
    found = [result.table for result in results]
    changes = rank_changes(*found)
    relevant = [find_right_answers(data.items, query) for query in queries]
    moved = dict(zip(changes["item_id"], changes["change"], strict=True))
    columns = [
        _answer_column(*side)
        for side in zip(("Left", "Right"), queries, results, relevant, ({}, moved), strict=True)
    ]
    words = pd.concat(found).drop_duplicates("item_id").set_index("item_id")["words"]
    shown = changes[(changes["before"] <= left.k) | (changes["after"] <= right.k)]
    return Html(
        f"{status_line(escape(describe_difference(left, right)))}"
        f'<div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(columns)}</div>'
        f"{parameters_table(parameters, left.models + right.models)}{changes_table(shown, words)}"
    )


def compare_two_systems(
    data: PanelData,
    query: str | Path,
    k: int = 8,
    to: str = "image",
    parameters: pd.DataFrame | None = None,
) -> Html:
    """Show one query answered by the first two systems side by side, as the compare panel does when it opens.

    query: a text, or the path of an image; parameters: as in `compare_answers`.

    >>> from mmlab.retrieve.query.known_queries import SavedRankings
    >>> items = pd.DataFrame({"item_id": [*"qab"], "modality": ["text", "image", "image"], "pair_id": [*"aab"]})
    >>> items = items.assign(text=["a mug", None, None], image=None, label="mug")
    >>> before = pd.DataFrame({"query_id": "q", "item_id": [*"ab"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> after = before.assign(item_id=[*"ba"])
    >>> runs = {"one": before, "other": after}
    >>> saved = {name: SavedRankings({"text-to-image": table}, items) for name, table in runs.items()}
    >>> "(▲ 1)" in str(compare_two_systems(PanelData(saved, items), "a mug"))
    True
    """
    content = {"text": query} if isinstance(query, str) else {"image": query}
    common: dict[str, Any] = {**content, "k": k, "to": to, "exact": data.exact}
    first, second = (Query(**common, models=(name,)) for name in list(data.systems)[:2])
    return compare_answers(data, first, second, parameters)


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


def _answer_column(
    place: str, query: Query, result: SearchResult, right: Sequence[str] | None, changes: dict[str, float]
) -> str:
    """Return one answer under the name of its system, each hit with the ranks that it gained or lost."""
    shown = result.table.head(query.k)
    marks = None if right is None else [item in right for item in shown["item_id"]]
    captions = [
        describe_hit(hit) + _arrow(changes.get(hit["item_id"], 0)) for hit in shown.to_dict("records")
    ]
    systems = " + ".join(query.models)
    name = escape(f"{place}: {systems}" if systems else place)
    heading = f'<h4 style="font:600 13px sans-serif;margin:4px 0">{name}</h4>'
    grid = gallery(list(shown["pair_image"]), captions, marks)
    shown_as = f"{heading}{warning_line(result.warning)}{grid}"
    return f'<section aria-label="{name}" style="{COLUMN_STYLE}">{shown_as}</section>'


def _arrow(change: float) -> str:
    """Return the ranks that a hit gained or lost in a few characters; `change`: NA for a hit on the right only."""
    if pd.isna(change):
        return " (new)"
    return "" if change == 0 else f" ({'▲' if change > 0 else '▼'} {abs(int(change))})"
