"""Late fusion: several rankings of the same queries -> one, by scores or by ranks.

All rankings are pooled: a query or an item of any of them is in the result, ranked by the fused score, equal
scores by item_id. Items are the same where their ids are.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mmlab.retrieve.normalize import normalize, three_sigma
from mmlab.retrieve.order import Coded, finite_scores, rank_by_score

Weight = float | pd.Series  # for all queries, or by query_id

TOLERANCE = 1e-6  # how far a sum of weights may be from 1


def weighted_sum(
    rankings: Sequence[pd.DataFrame],
    weights: Sequence[Weight] | None = None,
    normalizer: str | None = "min-max",
) -> pd.DataFrame:
    """The sum of weight x normalised score; without weights every ranking has the same.

    Weights are not negative and add up to 1 for every query. An item that a ranking lacks gets that ranking's
    lowest normalised score of the query (with min-max: 0), so a ranking says nothing of what lies past its end;
    a ranking without the query adds 0. `normalizer` is a name of NORMALIZERS; None takes the scores as they
    are, for rankings that are on one scale already, such as calibrated ones.
    """
    coded, ranked = _coded(rankings)
    scaled = ranked if normalizer is None else [normalize(ranking, normalizer) for ranking in ranked]
    by_query = _weights(coded, [1 / len(scaled)] * len(scaled) if weights is None else weights)
    off = np.abs(np.sum(by_query, axis=0) - 1) > TOLERANCE
    if off.any():
        found = np.sum(by_query, axis=0)[off][0]
        raise ValueError(f"weights: expected to add up to 1, found {found:.6g}; divide them by their sum")
    parts = _weighted(coded, [finite_scores(ranking) for ranking in scaled], by_query)
    lacking = [
        _lowest(query, part, len(coded.queries)) for query, part in zip(coded.query, parts, strict=True)
    ]
    return _pool(coded, parts, lacking)


def rrf(
    rankings: Sequence[pd.DataFrame], weights: Sequence[Weight] | None = None, k: float = 60
) -> pd.DataFrame:
    """Reciprocal rank fusion: the sum of 1 / (k + rank), over the rankings that have the item.

    A weight w, 1 unless given, divides the rank: 1 / (k + rank / w), and 0 for w = 0; that is Qdrant's formula,
    whose k counts ranks from 0 and so is one more than this one. Source: Cormack, Clarke, Buettcher,
    Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods (SIGIR 2009).
    """
    if not 0 <= k < np.inf:
        raise ValueError(f"k is 0 or a positive number, found {k}")
    coded, ranked = _coded(rankings)
    by_query = _weights(coded, [1.0] * len(ranked) if weights is None else weights)
    parts = []
    for query, ranking, weight in zip(coded.query, ranked, by_query, strict=True):
        parts.append(weight[query] / (k * weight[query] + ranking["rank"].to_numpy()))
    return _pool(coded, parts)


def dbsf(rankings: Sequence[pd.DataFrame], weights: Sequence[Weight] | None = None) -> pd.DataFrame:
    """Distribution-based score fusion, as Qdrant has it: the sum of weight x three-sigma score, see `three_sigma`.

    Weights are 1 unless given, and not negative; a ranking adds 0 for an item that it lacks.
    """
    coded, ranked = _coded(rankings)
    by_query = _weights(coded, [1.0] * len(ranked) if weights is None else weights)
    return _pool(coded, _weighted(coded, [finite_scores(three_sigma(r)) for r in ranked], by_query))


FUSIONS: dict[str, Callable[..., pd.DataFrame]] = {
    "weighted-sum": weighted_sum,
    "rrf": rrf,
    "dbsf": dbsf,
}


def _coded(rankings: Sequence[pd.DataFrame]) -> tuple[Coded, list[pd.DataFrame]]:
    """The rankings in their one order, so that sums do not depend on the order of the rows, and their codes."""
    if not rankings:
        raise ValueError("a fusion needs at least one ranking, found none")
    ranked = [rank_by_score(ranking) for ranking in rankings]
    return Coded.of(ranked), ranked


def _weights(coded: Coded, weights: Sequence[Weight]) -> list[np.ndarray]:
    """One weight for every ranking and query: arrays (Q,)."""
    if len(weights) != len(coded.query):
        raise ValueError(f"expected a weight for each of {len(coded.query)} rankings, found {len(weights)}")
    by_query = []
    for weight in weights:
        column = weight.reindex(coded.queries) if isinstance(weight, pd.Series) else weight
        values = np.broadcast_to(np.asarray(column, dtype=np.float64), len(coded.queries))
        wrong = ~((values >= 0) & (values < np.inf))  # also true for NaN
        if wrong.any():
            found, query = values[wrong][0], coded.queries[wrong][0]
            raise ValueError(f"weights: expected numbers from 0, found {found} for query {query}")
        by_query.append(values)
    return by_query


def _weighted(coded: Coded, scores: list[np.ndarray], by_query: list[np.ndarray]) -> list[np.ndarray]:
    rows = zip(coded.query, scores, by_query, strict=True)
    return [weight[query] * score for query, score, weight in rows]


def _lowest(query: np.ndarray, values: np.ndarray, queries: int) -> np.ndarray:
    """The lowest value of each query (Q,), 0 for one without any."""
    lowest = pd.Series(values).groupby(query).min()
    return lowest.reindex(range(queries), fill_value=0.0).to_numpy()


def _pool(coded: Coded, parts: list[np.ndarray], lacking: list[np.ndarray] | None = None) -> pd.DataFrame:
    """Add up the parts (R,) of all rankings; `lacking` (Q,) is what each adds for an item that it has not, else 0."""
    keys = [coded.key(table) for table in range(len(parts))]
    slots, pooled = pd.factorize(np.concatenate(keys))
    score = np.bincount(slots, weights=np.concatenate(parts), minlength=len(pooled)).astype(np.float64)
    query, item = np.divmod(pooled, max(len(coded.items), 1))
    ends = np.cumsum([len(key) for key in keys])[:-1]
    for slot, low in zip(np.split(slots, ends), lacking or [], strict=False):
        absent = np.ones(len(pooled), dtype=bool)
        absent[slot] = False
        score[absent] += low[query[absent]]
    return coded.rankings(query, item, score)
