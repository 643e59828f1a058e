"""What each way to rescore and to calibrate does to the queries of a collection: all are tried at once."""

from collections.abc import Mapping

import pandas as pd

from mmlab.evaluate import modality_gap
from mmlab.evaluate.space.geometry import count_occurrences
from mmlab.items import DIRECTIONS, Vectors, is_among
from mmlab.retrieve.scores.centring import Centring
from mmlab.retrieve.scores.fitted_calibration import compare_calibrations
from mmlab.retrieve.scores.query_split import fold_queries
from mmlab.retrieve.scores.rescore import COLUMNS, HOW, PLAIN, hubness_table, rescored

Tried = dict[str, dict[str, pd.DataFrame]]  # direction -> rescoring -> rankings


def try_rescorings(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> Tried:
    """All queries of both directions as they are ("none") and by every rescoring, from exact scores.

    What is chosen is chosen on the queries to fit on, see `fold_queries` and `rescored`. Empty where the vectors do
    not hold texts and images: without a joint space there is nothing to rescore.
    """
    sides = sides_of(vectors, items)
    if not all(map(len, sides.values())):
        return {}
    pairs, tried = items.set_index("item_id")["pair_id"], {}
    for name, (a, b) in DIRECTIONS.items():
        fold = fold_queries(items, sides[a].ids, seed)
        tried[name] = {
            how: rescored(sides[a], sides[b], pairs, how, a, k, seed, fold) for how in (PLAIN, *HOW)
        }
    return tried


def judge_rescorings(
    tried: Tried,
    vectors: Vectors,
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    k: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """`hubness_table` of both directions, with the column direction in front.

    Hubs are counted over all queries; Success@1 is that of the queries that nothing was chosen on.
    """
    tables, sides = [], sides_of(vectors, items)
    for name, ranked in tried.items():
        asked, gallery = (sides[side] for side in DIRECTIONS[name])
        judged = fold_queries(items, asked.ids, seed).judge_on(qrels[name])
        table = hubness_table(ranked, gallery.ids, judged, k)
        table.insert(0, "direction", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["direction", *COLUMNS])


def occurrences(
    tried: Tried, vectors: Vectors, items: pd.DataFrame, k: int = 10
) -> dict[str, dict[str, pd.Series]]:
    """Direction -> rescoring -> how often each item of the gallery is among the first k."""
    sides = sides_of(vectors, items)
    return {
        name: {
            how: count_occurrences(found, sides[DIRECTIONS[name][1]].ids, k) for how, found in ranked.items()
        }
        for name, ranked in tried.items()
    }


def measure_gap(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """The modality gap (distance of the means, 0 to 2) before and after centring; no rows without both modalities.

    Beside it the mean cosine of a text and an image of one pair, which the gap lowers.
    """
    text, image = sides_of(vectors, items).values()
    if not (len(text) and len(image)):
        return pd.DataFrame({"vectors": [], "modality gap": [], "cosine of pairs": []})
    centring = Centring.fit(text, image)
    rows = {"as embedded": (text, image)}
    rows["centred"] = centring.apply(text, "text"), centring.apply(image, "image")
    pairs = items.set_index("item_id")["pair_id"]
    told = [(name, modality_gap(*both), _cosine_of_pairs(*both, pairs)) for name, both in rows.items()]
    return pd.DataFrame(told, columns=["vectors", "modality gap", "cosine of pairs"])


def try_calibrations(
    rankings: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    k: int = 10,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """`compare_calibrations` of the first `k` hits of each direction's rankings, with the column direction in front.

    And how each direction's queries were divided, or why it could not be calibrated.
    """
    tables, says = [], {}
    for name, ranked in rankings.items():
        first = ranked[ranked["rank"] <= k]
        try:
            fold = fold_queries(items, first["query_id"].unique(), seed)
            table = compare_calibrations(first, qrels[name], fold)
        except ValueError as error:
            says[name] = f"not calibrated: {error}"
            continue
        says[name] = fold.says
        table.insert(0, "direction", name)
        tables.append(table)
    columns = ["direction", "calibration", "ece", "low", "high", "predicted", "observed", "count"]
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)), says


def sides_of(vectors: Vectors, items: pd.DataFrame) -> dict[str, Vectors]:
    """The vectors of the texts and those of the images, no rows of what is not embedded."""
    ids = {side: items.loc[items["modality"] == side, "item_id"] for side in ("text", "image")}
    return {side: vectors.take(own[is_among(own, vectors.ids)]) for side, own in ids.items()}


def _cosine_of_pairs(text: Vectors, image: Vectors, pairs: pd.Series) -> float:
    owner = pd.Series(range(len(image)), index=pairs.reindex(image.ids)).groupby(level=0).first()
    place = owner.reindex(pairs.reindex(text.ids)).to_numpy()
    there = ~pd.isna(place)
    rows = image.array[place[there].astype(int)]
    return float((text.array[there] * rows).sum(axis=1).mean()) if there.any() else float("nan")
