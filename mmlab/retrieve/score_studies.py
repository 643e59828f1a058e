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
from mmlab.items.rankings import no_rankings
from mmlab.items.tables import Ids, TooFew
from mmlab.retrieve.query.rank import vectors_of_modality
from mmlab.retrieve.scores.calibrate import CALIBRATIONS
from mmlab.retrieve.scores.fitted_calibration import (
    RELIABILITY_COLUMNS,
    FittedCalibration,
    Reliability,
    fit_calibration,
)
from mmlab.retrieve.scores.fuse import Centring
from mmlab.retrieve.scores.hubness import (
    MIN_REFERENCES,
    Rescored,
    fit_temperature,
    rescore,
)
from mmlab.retrieve.scores.query_split import ALL, Split, split_queries

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
    judged: Split,
    qrels: Mapping[str, pd.DataFrame],
    seed: int = 0,
) -> CalibrationTrial:
    """Fit every calibration in each direction on the fitting queries of `split_queries`, evaluate it on the others.

    `rankings` and `qrels`: by direction, of one system: its calibrations hold for no other; of the queries of each of
    `judged.galleries` in its own gallery. A direction that cannot be fitted is left out.
    """
    tables: list[pd.DataFrame] = []
    fitted: dict[str, dict[str, FittedCalibration]] = {}
    splits = {}
    for direction, ranked in rankings.items():
        try:
            split = split_queries(judged, ranked["query_id"].unique(), seed)
            gallery = split.holds(direction.rsplit("-to-", 1)[1])
            found = {
                kind: fit_calibration(kind, ranked, qrels[direction], split, gallery) for kind in CALIBRATIONS
            }
            evaluated = split.evaluation_rows(ranked), split.evaluation_rows(qrels[direction])
            held = {kind: one.reliability(*evaluated) for kind, one in found.items()}
        except ValueError as error:
            splits[direction] = f"not calibrated: {error}"
            continue
        splits[direction] = split.summary + (judged.drawing if direction in DIRECTIONS else "")
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


def rank_intra_modal(vectors: Vectors, judged: Split, k: int = 100, seed: int = 0) -> IntraModal:
    """Rank texts for texts, another text of the pair being right, and images for images of the same label.

    Queries are asked against the items of their own split. The directions are "text-to-text" and "image-to-image"; one
    that no query has an answer in is left out. For calibrating: only the queries to fit on and those to evaluate on
    (`split_queries`) are ranked, up to 1,000 of each.
    """
    ranked, qrels = {}, {}
    for direction, (modality, column) in INTRA_MODAL.items():
        galleries = [_with_value(part.items, vectors, modality, column) for part in judged.galleries]
        answered = [own[own.duplicated(column, keep=False)] for own in galleries]
        if answered[0][column].nunique() < 2 or answered[0]["pair_id"].nunique() < 2:
            continue
        split = split_queries(judged, pd.concat(answered)["item_id"], seed)
        rng = np.random.default_rng(seed)
        drawn = [
            item
            for query_ids in (split.fitting, split.evaluation)
            for item in rng.permutation(sorted(query_ids))[:MAX_QUERIES]
        ]
        found = [_ranked_by_value(vectors, own, drawn, column, k) for own in galleries]
        ranked[direction], qrels[direction] = map(pd.concat, zip(*found, strict=True))
    return IntraModal(ranked, qrels)


def _with_value(items: pd.DataFrame, vectors: Vectors, modality: str, column: str) -> pd.DataFrame:
    """Return the items of a modality that have a vector, and a value in the column."""
    own = items[(items["modality"] == modality) & items[column].notna()]
    return own[is_among(own["item_id"], vectors.ids)]


def _ranked_by_value(
    vectors: Vectors, own: pd.DataFrame, drawn: list[str], column: str, k: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rankings and qrels of those drawn queries that are of this gallery."""
    asked = [item for item, known in zip(drawn, is_among(drawn, own["item_id"]), strict=True) if known]
    ranked = (
        exact_search(vectors.take(asked).asking(), vectors.take(own["item_id"]), k)
        if asked
        else no_rankings()
    )
    return ranked, _qrels_by_value(own, asked, column)


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


def try_rescorings(vectors: Vectors, judged: Split, k: int = 100, seed: int = 0) -> RescoringsTried:
    """Rank the queries of both directions as they are ("none") and by every rescoring, from exact scores.

    Queries (`Split.of_compared_pairs`) and gallery are those of the judged split, the bank are the queries of the other
    splits, and temperatures are chosen on validation. Where all items are one gallery see `find_banks`, and
    temperatures are chosen on half of the pairs (`split_queries`). A rescoring that has no bank, or vectors that do not
    differ, is left out. Empty where the vectors do not hold texts and images: without a joint space there is nothing to
    rescore. Raises TooFew for fewer than two pairs.
    """
    known = pd.concat([judged.items, judged.others])
    by_modality = {modality: vectors_of_modality(vectors, known, modality) for modality in MODALITIES}
    if not all(len(judged.take(one)) for one in by_modality.values()):
        return {}
    return {
        direction: _try_direction(
            by_modality[source].asking(),
            by_modality[target],
            source,
            judged,
            known.set_index("item_id")["pair_id"],
            k,
            seed,
        )
        for direction, (source, target) in DIRECTIONS.items()
    }


def _try_direction(
    queries: Vectors, gallery: Vectors, source: str, judged: Split, pairs: pd.Series, k: int, seed: int
) -> RescoringTrial:
    compared = np.concatenate([part.comparing(queries, seed).ids for part in judged.galleries])
    split = split_queries(judged, compared, seed)
    fitted_on = split.gallery or judged
    asked, found, references = _vectors_of(queries, gallery, judged, judged, seed)
    rescored, left_out = {}, {}
    for rescoring in OPTIONS["rescoring"]:
        try:
            asking, own, bank = _vectors_of(queries, gallery, judged, fitted_on, seed)
            chosen = fit_temperature(asking, own, pairs, rescoring, list(split.fitting), seed, bank)
            rescored[rescoring] = rescore(asked, found, pairs, rescoring, source, k, seed, chosen, references)
        except TooFew as error:
            left_out[rescoring] = str(error)
    held = f"all {len(found):,} items" if judged.name == ALL else f"{len(found):,} items of {judged}"
    outside = len(references) >= MIN_REFERENCES
    bank_of = "queries of the other splits" if outside else "queries of pairs that neither ask nor answer"
    summary = f"{held}, reference queries: {bank_of}" if "csls" in rescored else f"{held}, no bank"
    drawn = f", {len(asked):,} queries{judged.drawing}" if judged.drawing else ""
    return RescoringTrial(rescored, found.ids, split.evaluation, summary + drawn, left_out)


def _vectors_of(
    queries: Vectors, gallery: Vectors, judged: Split, part: Split, seed: int
) -> tuple[Vectors, Vectors, Vectors]:
    """Return the queries of a split that ask, its gallery, and the queries outside both it and the judged one."""
    outside = queries.ids[is_among(queries.ids, judged.outside(part)["item_id"])]
    return part.comparing(queries, seed), part.take(gallery), queries.take(outside)


def compare_rescorings(
    tried: RescoringsTried, qrels: Mapping[str, pd.DataFrame], k: int = 10
) -> pd.DataFrame:
    """Return `hubness_table` of both directions, with the column direction in front.

    Hubs are counted over all queries that ask; Success@1 is that of the queries that nothing was chosen on. What
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
