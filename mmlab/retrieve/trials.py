"""What each way to rescore and to calibrate does to the queries of a collection: all are tried at once."""

from collections.abc import Mapping

import pandas as pd

from mmlab.items import Vectors
from mmlab.retrieve.centring import Centring, modality_gap
from mmlab.retrieve.fitted import compare_calibrations
from mmlab.retrieve.fold import Fold, fold_queries
from mmlab.retrieve.hubness import count_occurrences
from mmlab.retrieve.rescore import HOW, PLAIN, hubness_table, rescored
from mmlab.retrieve.stepwise import DIRECTIONS

Tried = dict[str, dict[str, pd.DataFrame]]  # direction -> rescoring -> rankings


def try_rescorings(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> Tried:
    """All queries of both directions as they are ("none") and by every rescoring, from exact scores.

    Empty where the vectors do not hold texts and pictures: without a joint space there is nothing to rescore.
    """
    ids = {side: items.loc[items["modality"] == side, "item_id"] for side in ("text", "image")}
    sides = {side: vectors.take(own[own.isin(vectors.ids)]) for side, own in ids.items()}
    if not all(map(len, sides.values())):
        return {}
    pairs = items.set_index("item_id")["pair_id"]
    return {
        name: {how: rescored(sides[a], sides[b], pairs, how, a, k, seed) for how in (PLAIN, *HOW)}
        for name, (a, b) in DIRECTIONS.items()
    }


def judge_rescorings(
    tried: Tried, vectors: Vectors, items: pd.DataFrame, qrels: Mapping[str, pd.DataFrame], k: int = 10
) -> pd.DataFrame:
    """`hubness_table` of both directions, with the column direction in front."""
    tables = []
    for name, ranked in tried.items():
        table = hubness_table(ranked, _gallery(vectors, items, name), qrels[name], k)
        table.insert(0, "direction", name)
        tables.append(table)
    columns = ["direction", "rescoring", "skewness", "most", "never", "Success@1"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def occurrences(
    tried: Tried, vectors: Vectors, items: pd.DataFrame, k: int = 10
) -> dict[str, dict[str, pd.Series]]:
    """Direction -> rescoring -> how often each item of the gallery is among the first k."""
    return {
        name: {
            how: count_occurrences(found, _gallery(vectors, items, name), k) for how, found in ranked.items()
        }
        for name, ranked in tried.items()
    }


def measure_gap(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """The modality gap (distance of the means, 0 to 2) before and after centring; no rows without both modalities."""
    ids = {side: items.loc[items["modality"] == side, "item_id"] for side in ("text", "image")}
    text, image = (vectors.take(own[own.isin(vectors.ids)]) for own in ids.values())
    if not (len(text) and len(image)):
        return pd.DataFrame({"vectors": [], "modality gap": []})
    centring = Centring.fit(text, image)
    centred = modality_gap(centring.apply(text, "text"), centring.apply(image, "image"))
    return pd.DataFrame(
        {"vectors": ["as embedded", "centred"], "modality gap": [modality_gap(text, image), centred]}
    )


def try_calibrations(
    tried: Tried, items: pd.DataFrame, qrels: Mapping[str, pd.DataFrame], k: int = 10, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, str]]:
    """`compare_calibrations` of the first `k` hits of both directions, with the column direction in front.

    And how each direction's queries were divided, or why it could not be calibrated.
    """
    tables, says = [], {}
    for name, ranked in tried.items():
        first = ranked[PLAIN][ranked[PLAIN]["rank"] <= k]
        try:
            fold: Fold = fold_queries(items, first["query_id"].unique(), seed)
            table = compare_calibrations(first, qrels[name], fold)
        except ValueError as error:
            says[name] = f"not calibrated: {error}"
            continue
        says[name] = fold.says
        table.insert(0, "direction", name)
        tables.append(table)
    columns = ["direction", "calibration", "ece", "low", "high", "predicted", "observed", "count"]
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)), says


def _gallery(vectors: Vectors, items: pd.DataFrame, direction: str) -> list[str]:
    own = items.loc[items["modality"] == DIRECTIONS[direction][1], "item_id"]
    return own[own.isin(vectors.ids)].tolist()
