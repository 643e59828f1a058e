"""Less of the same: reorder the first items of a ranking so that they differ from each other."""

import numpy as np
import pandas as pd

from mmlab.items import Vectors
from mmlab.retrieve.order import Coded, rank_by_score


def diversify(rankings: pd.DataFrame, vectors: Vectors, k: int = 10, balance: float = 0.5) -> pd.DataFrame:
    """Maximal marginal relevance: k items of each query, each chosen for its score and against those chosen before.

    The next item is the one with the highest balance x score - (1 - balance) x its greatest cosine with an item
    chosen before (-1 for the first); that value becomes its score. A balance of 1 keeps the ranking's order, 0
    looks at variety alone. Scores should be cosines, or on a scale like theirs; `vectors` holds all ranked items.
    Source: Carbonell and Goldstein, The Use of MMR (SIGIR 1998). Raises KeyError for an item without a vector.
    """
    if not (0 <= balance <= 1 and k >= 1):
        raise ValueError(f"expected a balance in [0, 1] and k of at least 1, found {balance} and {k}")
    ranked = rank_by_score(rankings)
    coded = Coded.of([ranked])
    rows = vectors.take(coded.items.to_numpy(dtype=str)).array[coded.item[0]]
    score = balance * ranked["score"].to_numpy(dtype=np.float64)
    ends = np.flatnonzero(np.diff(coded.query[0])) + 1
    chosen, values = [np.empty(0, dtype=int)], [np.empty(0)]
    for first, part, own in zip([0, *ends], np.split(score, ends), np.split(rows, ends), strict=True):
        order, value = _choose(part, own, 1 - balance, k)
        chosen.append(first + order)
        values.append(value)
    kept = ranked.iloc[np.concatenate(chosen)].assign(score=np.concatenate(values))
    return kept.assign(rank=kept.groupby("query_id", sort=False).cumcount() + 1).reset_index(drop=True)


def _choose(score: np.ndarray, rows: np.ndarray, strength: float, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (k,) in the order chosen, and the value that each was chosen for."""
    nearest, left = np.full(len(score), -1.0), np.ones(len(score), dtype=bool)
    order, values = [], []
    for _ in range(min(k, len(score))):
        value = np.where(left, score - strength * nearest, -np.inf)
        best = int(value.argmax())
        order.append(best)
        values.append(value[best])
        left[best] = False
        nearest = np.maximum(nearest, rows @ rows[best])
    return np.array(order, dtype=int), np.array(values)
