"""Studies of scores: which calibration makes probabilities of them, and what is done about hubs and the gap."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.evaluate import modality_gap, score_queries
from mmlab.evaluate.measures.geometry import count_occurrences, skewness
from mmlab.items import DIRECTIONS, MODALITIES, Vectors, exact_search, is_among
from mmlab.items.options import OPTIONS
from mmlab.items.tables import Ids, TooFew
from mmlab.retrieve.query.rank import vectors_of_modality
from mmlab.retrieve.scores.fitted_calibration import compare_calibrations
from mmlab.retrieve.scores.hubness import Rescored, rescore
from mmlab.retrieve.scores.query_split import split_queries
from mmlab.retrieve.scores.vector_arithmetic import Centring

INTRA_MODAL = {"text-to-text": ("text", "pair_id"), "image-to-image": ("image", "label")}
MAX_QUERIES = 1000  # of a direction, to fit on and to evaluate on each
CALIBRATION_COLUMNS = ["direction", "calibration", "ece", "low", "high", "predicted", "observed", "count"]


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
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CALIBRATION_COLUMNS)
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


RescoringsTried = dict[str, dict[str, Rescored]]  # direction -> rescoring -> rankings with their temperature
RESCORING_COLUMNS = ["rescoring", "skewness", "most", "never", "Success@1", "temperature"]


def try_rescorings(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> RescoringsTried:
    """Rank all queries of both directions as they are ("none") and by every rescoring, from exact scores.

    What is chosen is chosen on the queries to fit on, see `split_queries` and `rescore`. A rescoring that has too few
    pairs, or vectors that do not differ, is left out. Empty where the vectors do not hold texts and images: without a
    joint space there is nothing to rescore. Raises TooFew for fewer than two pairs.
    """
    by_modality = {modality: vectors_of_modality(vectors, items, modality) for modality in MODALITIES}
    if not all(map(len, by_modality.values())):
        return {}
    pairs = items.set_index("item_id")["pair_id"]
    tried: RescoringsTried = {}
    for direction, (source, target) in DIRECTIONS.items():
        queries, gallery = by_modality[source], by_modality[target]
        split = split_queries(items, queries.ids, seed)
        tried[direction] = {}
        for rescoring in OPTIONS["rescoring"]:
            with suppress(TooFew):
                rescored = rescore(queries, gallery, pairs, rescoring, source, k, seed, split)
                tried[direction][rescoring] = rescored
    return tried


def compare_rescorings(
    tried: RescoringsTried,
    vectors: Vectors,
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    k: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Return `hubness_table` of both directions, with the column direction in front.

    Hubs are counted over all queries; Success@1 is that of the queries that nothing was chosen on.
    """
    tables = []
    for direction, rescored in tried.items():
        queries, gallery = (vectors_of_modality(vectors, items, side) for side in DIRECTIONS[direction])
        others = split_queries(items, queries.ids, seed).evaluation_rows(qrels[direction])
        table = hubness_table(rescored, gallery.ids, others, k)
        table.insert(0, "direction", direction)
        tables.append(table)
    return (
        pd.concat(tables, ignore_index=True)
        if tables
        else pd.DataFrame(columns=["direction", *RESCORING_COLUMNS])
    )


def hubness_table(
    rescored: Mapping[str, Rescored], item_ids: Ids, qrels: pd.DataFrame, k: int = 10
) -> pd.DataFrame:
    """Return one row per rescoring: rescoring, skewness, most, never, Success@1, temperature.

    skewness: of the k-occurrence; most: times that one item is among the first k; never: share of the gallery that is
    not once; Success@1: of the queries in `qrels`; temperature: NaN where there is none.
    """
    rows = []
    for name, (ranked, temperature) in rescored.items():
        counts = count_occurrences(ranked, list(item_ids), k)
        success = score_queries(ranked[ranked["rank"] == 1], qrels, ["Success@1"])["Success@1"].mean()
        found = (skewness(counts), int(counts.max()), float((counts == 0).mean()), float(success))
        rows.append((name, *found, np.nan if temperature is None else temperature))
    return pd.DataFrame(rows, columns=RESCORING_COLUMNS)


def occurrences(
    tried: RescoringsTried, vectors: Vectors, items: pd.DataFrame, k: int = 10
) -> dict[str, dict[str, pd.Series]]:
    """Count how often each item of the gallery is among the first k: direction -> rescoring -> counts by item."""
    galleries = {
        direction: vectors_of_modality(vectors, items, target).ids.tolist()
        for direction, (_, target) in DIRECTIONS.items()
    }
    return {
        direction: {
            name: count_occurrences(found.rankings, galleries[direction], k)
            for name, found in rescored.items()
        }
        for direction, rescored in tried.items()
    }


def measure_gap(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """Measure the modality gap (distance of the means, 0 to 2) before and after centring: vectors, modality gap.

    Beside it stands the mean cosine of a text and an image of one pair ("cosine of pairs"), which the gap lowers. No
    rows where the vectors do not hold both modalities; the first row alone where all texts or all images are alike.
    """
    text, image = (vectors_of_modality(vectors, items, modality) for modality in MODALITIES)
    if not (len(text) and len(image)):
        return pd.DataFrame({"vectors": [], "modality gap": [], "cosine of pairs": []})
    centring = Centring.fit(text, image)
    compared = {"as embedded": (text, image)}
    with suppress(TooFew):
        compared["centred"] = centring.apply(text, "text"), centring.apply(image, "image")
    pairs = items.set_index("item_id")["pair_id"]
    rows = [(name, modality_gap(*both), _cosine_of_pairs(*both, pairs)) for name, both in compared.items()]
    return pd.DataFrame(rows, columns=["vectors", "modality gap", "cosine of pairs"])


def _cosine_of_pairs(text: Vectors, image: Vectors, pairs: pd.Series) -> float:
    rows = pd.Series(range(len(image)), index=pairs.reindex(image.ids)).groupby(level=0).first()
    place = rows.reindex(pairs.reindex(text.ids)).to_numpy()
    paired = ~pd.isna(place)
    images = image.array[place[paired].astype(int)]
    return float((text.array[paired] * images).sum(axis=1).mean()) if paired.any() else float("nan")
