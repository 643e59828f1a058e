"""Cosines of right pairs against wrong ones: how well does the space separate them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.items import Vectors


@dataclass(frozen=True)
class Separation:
    """How far apart right and wrong pairs lie: both means, and the AUC in [0, 1] (0.5: not at all)."""

    positive_mean: float
    negative_mean: float
    auc: float


def pair_cosines(vectors: Vectors, qrels: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Cosine of every right pair (`positive`) and of the same query with a random wrong item (`negative`).

    Returns query_id, item_id, positive, negative, one row per row of `qrels`; the wrong item is drawn
    from the items that `qrels` names and is right for another query but not for this one. Raises
    ValueError if there is only one item to draw from.
    """
    gallery, items = np.unique(qrels["item_id"].to_numpy(dtype=str), return_inverse=True)
    if len(gallery) < 2:
        raise ValueError(f"a wrong pair needs at least 2 items to draw from, found {len(gallery)}")
    queries = vectors.take(np.unique(qrels["query_id"].to_numpy(dtype=str)))
    query_rows = np.searchsorted(queries.ids, qrels["query_id"].to_numpy(dtype=str))
    right = set(zip(query_rows.tolist(), items.tolist(), strict=True))
    rng = np.random.default_rng(seed)
    wrong = [_draw_wrong(rng, len(gallery), query, right) for query in query_rows.tolist()]
    gallery_array = vectors.take(gallery).array
    left = queries.array[query_rows]
    positive = np.einsum("nd,nd->n", left, gallery_array[items])
    negative = np.einsum("nd,nd->n", left, gallery_array[wrong])
    return qrels[["query_id", "item_id"]].assign(positive=positive, negative=negative)


def separation(positive: np.ndarray, negative: np.ndarray) -> Separation:
    """Means and AUC: the chance that a random right pair has a higher cosine than a random wrong one.

    AUC = U / (n m) with Mann and Whitney's U, ties counting one half.
    """
    ranks = pd.Series(np.concatenate([positive, negative])).rank().to_numpy()[: len(positive)]
    u = ranks.sum() - len(positive) * (len(positive) + 1) / 2
    auc = u / (len(positive) * len(negative))
    return Separation(float(np.mean(positive)), float(np.mean(negative)), float(auc))


def _draw_wrong(rng: np.random.Generator, gallery: int, query: int, right: set[tuple[int, int]]) -> int:
    for _ in range(1000):
        drawn = int(rng.integers(gallery))
        if (query, drawn) not in right:
            return drawn
    raise ValueError("no wrong item found in 1,000 draws: nearly every item answers this query")
