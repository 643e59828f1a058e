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
from mmlab.retrieve.scores.calibrate import CALIBRATIONS
from mmlab.retrieve.scores.fitted_calibration import (
    RELIABILITY_COLUMNS,
    FittedCalibration,
    Reliability,
    fit_calibration,
)
from mmlab.retrieve.scores.hubness import (
    MIN_REFERENCES,
    TEMPERED,
    Rescored,
    choose_temperature,
    find_banks,
    rescore,
)
from mmlab.retrieve.scores.query_split import TEST, VALIDATION, split_queries
from mmlab.retrieve.scores.vector_arithmetic import Centring

INTRA_MODAL = {"text-to-text": ("text", "pair_id"), "image-to-image": ("image", "label")}
MAX_QUERIES = 1000  # of a direction, to fit on and to evaluate on each
CALIBRATION_COLUMNS = [
    "direction",
    "calibration",
    "ece",
    "ece_equal_mass",
    "brier",
    "log_loss",
    *RELIABILITY_COLUMNS,
]


class CalibrationTrial(NamedTuple):
    """Reliability of each calibration by direction and bin; and how the queries of each direction were divided.

    table: direction, calibration, its errors (ece, ece_equal_mass, brier, log_loss: see `Reliability`), then the
    columns of `reliability_table`; splits: direction -> a sentence, on why it was not calibrated where it could not be;
    fitted: the very calibrations that were evaluated, by kind and direction.
    """

    table: pd.DataFrame
    splits: dict[str, str]
    fitted: dict[str, dict[str, FittedCalibration]]


class IntraModal(NamedTuple):
    """Rankings and qrels, by direction."""

    rankings: dict[str, pd.DataFrame]
    qrels: dict[str, pd.DataFrame]


def try_calibrations(
    rankings: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    galleries: Mapping[str, int] | None = None,
    seed: int = 0,
) -> CalibrationTrial:
    """Fit every calibration in each direction on the fitting queries of `split_queries`, and evaluate it on the others.

    `rankings` and `qrels`: by direction, of one system: its calibrations hold for no other. `galleries`: how many items
    can be found in each direction, those that are ranked unless given. A direction that cannot be fitted is left out.
    """
    tables: list[pd.DataFrame] = []
    fitted: dict[str, dict[str, FittedCalibration]] = {}
    splits = {}
    for direction, ranked in rankings.items():
        try:
            split = split_queries(items, ranked["query_id"].unique(), seed)
            gallery = (galleries or {}).get(direction)
            found = {
                kind: fit_calibration(kind, ranked, qrels[direction], split, gallery) for kind in CALIBRATIONS
            }
            evaluated = split.evaluation_rows(ranked), split.evaluation_rows(qrels[direction])
            held = {kind: one.reliability(*evaluated) for kind, one in found.items()}
        except ValueError as error:
            splits[direction] = f"not calibrated: {error}"
            continue
        splits[direction] = split.summary
        for kind, one in found.items():
            fitted.setdefault(kind, {})[direction] = one
            tables.append(_reliability_rows(direction, kind, held[kind]))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CALIBRATION_COLUMNS)
    return CalibrationTrial(table, splits, fitted)


def _reliability_rows(direction: str, kind: str, found: Reliability) -> pd.DataFrame:
    table, ece, equal_mass, brier, log_loss = found
    errors = {"ece": ece, "ece_equal_mass": equal_mass, "brier": brier, "log_loss": log_loss}
    return table.assign(direction=direction, calibration=kind, **errors)[CALIBRATION_COLUMNS]


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
        ranked[direction] = exact_search(vectors.take(drawn).asking(), vectors.take(own["item_id"]), k)
        qrels[direction] = _qrels_by_value(own, drawn, column)
    return IntraModal(ranked, qrels)


def _qrels_by_value(items: pd.DataFrame, queries: list[str], column: str) -> pd.DataFrame:
    """Return the items that share a query's value, without the query itself: query_id, item_id, relevance 1."""
    known = items[["item_id", column]]
    asking = known[is_among(known["item_id"], queries)].rename(columns={"item_id": "query_id"})
    both = asking.merge(known, on=column)
    right = both.loc[both["query_id"] != both["item_id"], ["query_id", "item_id"]]
    return right.assign(relevance=1).reset_index(drop=True)


RESCORING_COLUMNS = ["rescoring", "skewness", "most", "never", "Success@1", "temperature"]


class RescoringTrial(NamedTuple):
    """One direction rescored: rescoring -> rankings with their temperature, of the queries of the gallery's pairs.

    gallery: the ids of the items that can be found; judged: the queries that nothing was chosen on; summary: which
    gallery and bank; left_out: why there is none of a rescoring, by its name.
    """

    rescored: dict[str, Rescored]
    gallery: Ids
    judged: frozenset[str]
    summary: str
    left_out: dict[str, str]


RescoringsTried = dict[str, RescoringTrial]  # by direction


def try_rescorings(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> RescoringsTried:
    """Rank the queries of both directions as they are ("none") and by every rescoring, from exact scores.

    Where there is a test split (or a validation split beside others), the gallery are its items, the bank the queries
    of the other splits, and temperatures are chosen on validation. Without splits the gallery are all items,
    see `find_banks`, and temperatures are chosen on half of the pairs. A rescoring that has no bank, or vectors that do
    not differ, is left out. Empty where the vectors do not hold texts and images: without a joint space there is
    nothing to rescore. Raises TooFew for fewer than two pairs.
    """
    by_modality = {modality: vectors_of_modality(vectors, items, modality) for modality in MODALITIES}
    if not all(map(len, by_modality.values())):
        return {}
    return {
        direction: _try_direction(by_modality[source].asking(), by_modality[target], source, items, k, seed)
        for direction, (source, target) in DIRECTIONS.items()
    }


def _try_direction(
    queries: Vectors, gallery: Vectors, source: str, items: pd.DataFrame, k: int, seed: int
) -> RescoringTrial:
    pairs = items.set_index("item_id")["pair_id"]
    split = split_queries(items, queries.ids, seed)
    name, own = _own_split(items, queries, gallery)
    references = queries.take(queries.ids[~is_among(queries.ids, own)]) if name else None
    asked, found = (
        part.take(part.ids[is_among(part.ids, own)]) if name else part for part in (queries, gallery)
    )
    rescored, left_out = {}, {}
    for rescoring in OPTIONS["rescoring"]:
        try:
            chosen = _temperature(queries, gallery, references, rescoring, items, seed) if name else None
            rescored[rescoring] = rescore(
                asked, found, pairs, rescoring, source, k, seed, split, chosen, references
            )
        except TooFew as error:
            left_out[rescoring] = str(error)
    held = f"{len(found):,} items of the {name} split" if name else f"all {len(found):,} items"
    outside = references is not None and len(references) >= MIN_REFERENCES
    bank = "queries of the other splits" if outside else "queries of pairs that neither ask nor answer"
    summary = f"{held}, the bank are {bank}" if "csls" in rescored else f"{held}, no bank"
    judged = frozenset(asked.ids) if name else split.evaluation
    return RescoringTrial(rescored, found.ids, judged, summary, left_out)


def _own_split(items: pd.DataFrame, queries: Vectors, gallery: Vectors) -> tuple[str, frozenset[str]]:
    """Return the split to evaluate on and its items; "" where the queries are not of several splits."""
    known = items.set_index("item_id")["split"].astype("str").str.lower()
    asked, found = known.loc[queries.ids], known.loc[gallery.ids]
    for names in ((TEST,), VALIDATION):
        own = asked.isin(names)
        if own.any() and not own.all() and found.isin(names).any():
            return names[0], frozenset(known.index[known.isin(names)])
    return "", frozenset()


def _temperature(
    queries: Vectors,
    gallery: Vectors,
    references: Vectors | None,
    rescoring: str,
    items: pd.DataFrame,
    seed: int,
) -> float | None:
    """Return the temperature with the best Success@1 among the references' validation pairs, or half of their pairs."""
    if rescoring not in TEMPERED or references is None:
        return None
    pairs = items.set_index("item_id")["pair_id"]
    fitting = split_queries(items, references.ids, seed).fitting
    asked = references.take([name for name in references.ids if name in fitting])
    found = gallery.take(gallery.ids[is_among(pairs.reindex(gallery.ids), pairs.reindex(asked.ids))])
    banks = find_banks(asked, found, pairs, references, seed)
    return choose_temperature(
        asked, found, pairs, rescoring, banks, np.ones(len(asked), dtype=bool), seed=seed
    )


def compare_rescorings(
    tried: RescoringsTried, qrels: Mapping[str, pd.DataFrame], k: int = 10
) -> pd.DataFrame:
    """Return `hubness_table` of both directions, with the column direction in front.

    Hubs are counted over all queries of the gallery; Success@1 is that of the queries that nothing was chosen on. What
    could not be rescored has no numbers.
    """
    tables = []
    for direction, trial in tried.items():
        right = qrels[direction]
        right = right[is_among(right["query_id"], trial.judged) & is_among(right["item_id"], trial.gallery)]
        table = hubness_table(trial.rescored, trial.gallery, right, k)
        table = table.set_index("rescoring").reindex(OPTIONS["rescoring"]).reset_index()
        table.insert(0, "direction", direction)
        tables.append(table)
    empty = pd.DataFrame(columns=["direction", *RESCORING_COLUMNS])
    return pd.concat(tables, ignore_index=True) if tables else empty


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


def occurrences(tried: RescoringsTried, k: int = 10) -> dict[str, dict[str, pd.Series]]:
    """Count how often each item of the gallery is among the first k: direction -> rescoring -> counts by item."""
    return {
        direction: {
            name: count_occurrences(found.rankings, list(trial.gallery), k)
            for name, found in trial.rescored.items()
        }
        for direction, trial in tried.items()
    }


def measure_gap(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """Measure the modality gap (distance of the means, 0 to 2) before and after centring: vectors, modality gap.

    Beside it stands the mean cosine of a text and an image of one pair ("cosine of pairs"), which the gap lowers. No
    rows where the vectors do not hold both modalities; the first row alone where all texts or all images are alike.
    """
    text, image = (vectors_of_modality(vectors, items, modality).asking() for modality in MODALITIES)
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
