"""Study: how well each calibration turns the scores of each direction into probabilities, within modalities too."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import Vectors, exact_search, is_among
from mmlab.retrieve.scores.fitted_calibration import compare_calibrations
from mmlab.retrieve.scores.query_split import split_queries

INTRA_MODAL = {"text-to-text": ("text", "pair_id"), "image-to-image": ("image", "label")}
MAX_QUERIES = 1000  # of a direction, to fit on and to evaluate on each
COLUMNS = ["direction", "calibration", "ece", "low", "high", "predicted", "observed", "count"]


class CalibrationTrial(NamedTuple):
    """Reliability of each calibration by direction and bin; and how the queries of each direction were divided.

    table: direction, then the columns of `compare_calibrations`; splits: direction -> a sentence, on why it was not
    calibrated where it could not be.
    """

    table: pd.DataFrame
    splits: dict[str, str]


class IntraModal(NamedTuple):
    """Rankings and qrels, by direction."""

    rankings: dict[str, pd.DataFrame]
    qrels: dict[str, pd.DataFrame]


def try_calibrations(
    rankings: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    k: int = 10,
    seed: int = 0,
) -> CalibrationTrial:
    """Fit and evaluate every calibration on the first `k` hits of each direction, see `compare_calibrations`."""
    tables, splits = [], {}
    for direction, ranked in rankings.items():
        first = ranked[ranked["rank"] <= k]
        try:
            split = split_queries(items, first["query_id"].unique(), seed)
            table = compare_calibrations(first, qrels[direction], split)
        except ValueError as error:
            splits[direction] = f"not calibrated: {error}"
            continue
        splits[direction] = split.summary
        table.insert(0, "direction", direction)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return CalibrationTrial(table, splits)


def summarize_calibrations(trial: CalibrationTrial) -> str:
    """Return sentences on the calibration of the least error in each direction, and on what it was evaluated."""
    parts = []
    for direction, split in trial.splits.items():
        own = trial.table[trial.table["direction"] == direction]
        if len(own):
            best = own.loc[own["ece"].idxmin()]
            kind, error = best["calibration"], best["ece"]
            split = f"{kind} has the least expected calibration error, {error:.3f} ({split})"
        parts.append(f"**{direction}**: {split}.")
    return " ".join(parts) or "Nothing to calibrate: these models have no joint space of texts and images."


def rank_intra_modal(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> IntraModal:
    """Rank texts for texts, another text of the pair being right, and images for images of the same label.

    The directions are "text-to-text" and "image-to-image"; one that no query has an answer in is left out. For
    calibrating: only the queries to fit on and those to evaluate on (`split_queries`) are ranked, up to 1,000 of each.
    """
    ranked, qrels = {}, {}
    for direction, (modality, column) in INTRA_MODAL.items():
        own = items[
            (items["modality"] == modality) & is_among(items["item_id"], vectors.ids) & items[column].notna()
        ]
        answered = own[own.duplicated(column, keep=False)]
        if answered[column].nunique() < 2 or answered["pair_id"].nunique() < 2:
            continue
        split = split_queries(items, answered["item_id"], seed)
        rng = np.random.default_rng(seed)
        drawn = [
            item
            for query_ids in (split.fitting, split.evaluation)
            for item in rng.permutation(sorted(query_ids))[:MAX_QUERIES]
        ]
        ranked[direction] = exact_search(vectors.take(drawn), vectors.take(own["item_id"]), k)
        qrels[direction] = _qrels_by_value(own, drawn, column)
    return IntraModal(ranked, qrels)


def _qrels_by_value(items: pd.DataFrame, queries: list[str], column: str) -> pd.DataFrame:
    """Return the items that share a query's value, without the query itself: query_id, item_id, relevance 1."""
    known = items[["item_id", column]]
    asking = known[is_among(known["item_id"], queries)].rename(columns={"item_id": "query_id"})
    both = asking.merge(known, on=column)
    right = both.loc[both["query_id"] != both["item_id"], ["query_id", "item_id"]]
    return right.assign(relevance=1).reset_index(drop=True)
