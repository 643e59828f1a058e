"""Cosines of right pairs against wrong ones: how well does the space separate them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.evaluate.space.modalities import joint_vectors, share_space
from mmlab.items import Vectors

BINS = 50


@dataclass(frozen=True)
class Separation:
    """How far apart the cosines of right and wrong pairs lie.

    Both means; `auc` in [0, 1] (0.5: not at all); `overlap` in [0, 1], the area that both histograms share
    (0: apart, 1: alike); `ashman_d` >= 0: over 2, the two form two peaks of their own, else one.
    """

    positive_mean: float
    negative_mean: float
    auc: float
    overlap: float
    ashman_d: float


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


def cosines_between(sides: Mapping[str, Vectors], qrels: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """`pair_cosines` of texts and images ("text" and "image" -> vectors); no rows where they lie in two spaces."""
    if not share_space(sides):
        return qrels[["query_id", "item_id"]].head(0).assign(positive=0.0, negative=0.0)
    return pair_cosines(joint_vectors(sides), qrels, seed)


def separation(positive: np.ndarray, negative: np.ndarray) -> Separation:
    """Means, AUC, overlap and bimodality of the cosines of right (P,) and wrong (N,) pairs.

    AUC = U / (P N) with Mann and Whitney's U, ties counting one half: the chance that a random right pair has a
    higher cosine than a random wrong one. Overlap = sum of the smaller share in each of 50 equal bins (Inman
    and Bradley 1989). Ashman's D = sqrt(2) |difference of means| / sqrt(sum of variances) (Ashman, Bird and
    Zepf 1994); infinite for two different constants. Raises ValueError where one of them is empty.
    """
    positive, negative = (np.asarray(values, dtype=float) for values in (positive, negative))
    if not len(positive) or not len(negative):
        raise ValueError(f"expected right and wrong pairs, found {len(positive)} and {len(negative)}")
    ranks = pd.Series(np.concatenate([positive, negative])).rank().to_numpy()[: len(positive)]
    u = ranks.sum() - len(positive) * (len(positive) + 1) / 2
    return Separation(
        positive_mean=float(positive.mean()),
        negative_mean=float(negative.mean()),
        auc=float(u / (len(positive) * len(negative))),
        overlap=_overlap(positive, negative),
        ashman_d=_ashman_d(positive, negative),
    )


def _overlap(positive: np.ndarray, negative: np.ndarray) -> float:
    edges = np.histogram_bin_edges(np.concatenate([positive, negative]), bins=BINS)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (positive, negative)]
    return float(np.minimum(*shares).sum())


def _ashman_d(positive: np.ndarray, negative: np.ndarray) -> float:
    apart = abs(positive.mean() - negative.mean())
    width = np.sqrt(positive.var() + negative.var())
    if width == 0:
        return 0.0 if apart == 0 else float("inf")
    return float(np.sqrt(2) * apart / width)


def _draw_wrong(rng: np.random.Generator, gallery: int, query: int, right: set[tuple[int, int]]) -> int:
    for _ in range(1000):
        drawn = int(rng.integers(gallery))
        if (query, drawn) not in right:
            return drawn
    raise ValueError("no wrong item found in 1,000 draws: nearly every item answers this query")
