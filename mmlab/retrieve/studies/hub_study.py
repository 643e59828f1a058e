"""Study: what each rescoring does to the hubs and the answers of a collection, and how wide its modality gap is."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.evaluate import modality_gap, score_queries
from mmlab.evaluate.measures.geometry import count_occurrences, skewness
from mmlab.items import DIRECTIONS, MODALITIES, Vectors
from mmlab.items.options import OPTIONS
from mmlab.items.tables import Ids
from mmlab.retrieve.query.rank import vectors_of_modality
from mmlab.retrieve.scores.hubness import Rescored, rescore
from mmlab.retrieve.scores.query_split import split_queries
from mmlab.retrieve.scores.vector_arithmetic import Centring

RescoringsTried = dict[str, dict[str, Rescored]]  # direction -> rescoring -> rankings with their temperature
COLUMNS = ["rescoring", "skewness", "most", "never", "Success@1", "temperature"]


def try_rescorings(vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0) -> RescoringsTried:
    """Rank all queries of both directions as they are ("none") and by every rescoring, from exact scores.

    What is chosen is chosen on the queries to fit on, see `split_queries` and `rescore`. Empty where the vectors do
    not hold texts and images: without a joint space there is nothing to rescore.
    """
    by_modality = {modality: vectors_of_modality(vectors, items, modality) for modality in MODALITIES}
    if not all(map(len, by_modality.values())):
        return {}
    pairs, tried = items.set_index("item_id")["pair_id"], {}
    for direction, (source, target) in DIRECTIONS.items():
        queries, gallery = by_modality[source], by_modality[target]
        split = split_queries(items, queries.ids, seed)
        tried[direction] = {
            rescoring: rescore(queries, gallery, pairs, rescoring, source, k, seed, split)
            for rescoring in OPTIONS["rescoring"]
        }
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
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["direction", *COLUMNS])


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
    return pd.DataFrame(rows, columns=COLUMNS)


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
    rows where the vectors do not hold both modalities.
    """
    text, image = (vectors_of_modality(vectors, items, modality) for modality in MODALITIES)
    if not (len(text) and len(image)):
        return pd.DataFrame({"vectors": [], "modality gap": [], "cosine of pairs": []})
    centring = Centring.fit(text, image)
    centred = centring.apply(text, "text"), centring.apply(image, "image")
    pairs = items.set_index("item_id")["pair_id"]
    rows = [
        (name, modality_gap(*both), _cosine_of_pairs(*both, pairs))
        for name, both in (("as embedded", (text, image)), ("centred", centred))
    ]
    return pd.DataFrame(rows, columns=["vectors", "modality gap", "cosine of pairs"])


def summarize_hubs(table: pd.DataFrame, gap: pd.DataFrame) -> str:
    """Return sentences on the skewness before, the rescoring that lowers it most in each direction, and the gap.

    `table`: of `compare_rescorings`; `gap`: of `measure_gap`.
    """
    if table.empty:
        return "No model here has a joint space of texts and images: no gap to close, nothing to rescore."
    parts = []
    for direction, part in table.groupby("direction", sort=False):
        before, least = part.iloc[0], part.loc[part["skewness"].idxmin()]
        change = least["Success@1"] - before["Success@1"]
        lowered = f"least with {least['rescoring']}: {least['skewness']:.2f}, where Success@1 changes by {change:+.3f}"
        outcome = lowered if least["skewness"] < before["skewness"] else "and no rescoring lowers it"
        parts.append(
            f"**{direction}**: the skewness of the 10-occurrence is {before['skewness']:.2f}, {outcome}"
        )
    before, after = gap["modality gap"]
    return (
        f"The modality gap is {before:.2f}, after centring {after:.2f}. {'. '.join(parts)}. Success@1 is of queries "
        "that nothing was chosen on. Above 1 a few hubs come up again and again; near 0 there are none."
    )


def _cosine_of_pairs(text: Vectors, image: Vectors, pairs: pd.Series) -> float:
    rows = pd.Series(range(len(image)), index=pairs.reindex(image.ids)).groupby(level=0).first()
    place = rows.reindex(pairs.reindex(text.ids)).to_numpy()
    paired = ~pd.isna(place)
    images = image.array[place[paired].astype(int)]
    return float((text.array[paired] * images).sum(axis=1).mean()) if paired.any() else float("nan")
