"""Two answers to one query: what moved, by how many ranks, and what passed it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.panels.answers import FONT, tell_hit
from mmlab.retrieve import Query, search
from mmlab.retrieve.query.known_queries import add_pair_columns, find_right_answers
from mmlab.retrieve.query.rank_changes import describe_change, rank_changes
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import CalibrationsBySystem
from mmlab.retrieve.query.spec import differing_settings, format_setting
from mmlab.retrieve.query.systems import Systems, systems_of
from mmlab.visualize import Html, gallery, table

SIDE = "flex:1 1 320px;min-width:0"
SHOWN = 12  # moves


def compare_answers(
    systems: Systems,
    left: Query,
    right: Query,
    items: pd.DataFrame,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
    parameters: pd.DataFrame | None = None,
) -> Html:
    """The answers to two questions side by side, then what moved and why; marked where the truth is known.

    parameters: those in which runs differ, with a column for each run that is called like a system
    (`differing_parameters`): where each side is one run, those of the two are shown.
    """
    held, asked = int((items["modality"] == left.to).sum()), (left, right)
    found = [
        add_pair_columns(search(systems, one.limited_to(held), calibrations, match).table, items)
        for one in (replace(one, k=max(one.k, one.depth)) for one in asked)
    ]
    moved = rank_changes(*found)
    truth = [find_right_answers(items, one) for one in asked]
    sides = [
        _side("Left", left, found[0], truth[0]),
        _side("Right", right, found[1], truth[1], moved),
    ]
    words = pd.concat(found).drop_duplicates("item_id").set_index("item_id")["words"]
    shown = moved[(moved["before"] <= left.k) | (moved["after"] <= right.k)]
    return Html(
        f'<p role="status" style="{FONT}">{escape(tell_difference(left, right))}</p>'
        f'<div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(sides)}</div>'
        f"{tell_parameters(parameters, left.models + right.models)}{tell_moves(shown, words)}"
    )


def comparison(
    systems: Mapping[str, Any],
    items: pd.DataFrame,
    query: str | Path,
    k: int = 8,
    to: str = "image",
    parameters: pd.DataFrame | None = None,
) -> Html:
    """One query answered by the first two systems, by name, side by side: what the compare panel opens with."""
    told = {"text": query} if isinstance(query, str) else {"image": query}
    first, second = (Query(**told, k=k, to=to, models=(name,)) for name in list(systems)[:2])
    return compare_answers(systems_of(systems), first, second, items, parameters=parameters)


def tell_parameters(parameters: pd.DataFrame | None, runs: Sequence[str]) -> Html:
    """The parameters in which these two runs differ, as a table; nothing where they are not known."""
    if parameters is None or len(set(runs)) != 2 or not set(runs) <= set(parameters.columns):
        return Html("")
    left, right = runs
    differ = parameters[parameters[left] != parameters[right]]
    if differ.empty:
        return Html(f'<p style="{FONT}">Both runs were made with the same parameters.</p>')
    return table(differ[["notebook", "parameter", left, right]], "Parameters in which these runs differ")


def tell_difference(left: Query, right: Query) -> str:
    """The settings in which two questions differ, in words."""
    pairs = differing_settings(left, right)
    told = "; ".join(
        f"{name}: {format_setting(one)} | {format_setting(other)}" for name, (one, other) in pairs.items()
    )
    return f"{left.describe()} — {told or 'the same settings on both sides'}"


def tell_moves(moved: pd.DataFrame, words: pd.Series) -> Html:
    """The moves as a table with the reason of each in words; a sentence where nothing moved."""
    moved = moved[(moved["change"] != 0).fillna(True)]
    if moved.empty:
        return Html(f'<p style="{FONT}">Nothing moved.</p>')
    rows = [
        {
            "item": str(words[move["item_id"]])[:80],
            "before": move["before"],
            "after": move["after"],
            "why": describe_change(move),
        }
        for move in moved.head(SHOWN).to_dict("records")
    ]
    return table(pd.DataFrame(rows), f"What moved, the furthest first ({len(moved)} in all)", digits=0)


def _side(
    place: str,
    question: Query,
    hits: pd.DataFrame,
    right: list[str] | None,
    moved: pd.DataFrame | None = None,
) -> str:
    """One answer under the name of its system; on the right with how far each hit has moved."""
    shown = hits.head(question.k)
    marks = None if right is None else [item in right for item in shown["item_id"]]
    change = {} if moved is None else dict(zip(moved["item_id"], moved["change"], strict=True))
    captions = [tell_hit(hit) + _arrow(change.get(hit["item_id"], 0)) for hit in shown.to_dict("records")]
    systems = " + ".join(question.models)
    name = escape(f"{place}: {systems}" if systems else place)
    heading = f'<h4 style="font:600 13px sans-serif;margin:4px 0">{name}</h4>'
    grid = gallery(list(shown["pair_image"]), captions, marks)
    return f'<section aria-label="{name}" style="{SIDE}">{heading}{grid}</section>'


def _arrow(change: Any) -> str:
    if pd.isna(change):
        return " (new)"
    return "" if change == 0 else f" ({'▲' if change > 0 else '▼'} {abs(int(change))})"
