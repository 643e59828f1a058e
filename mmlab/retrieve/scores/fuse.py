"""Late fusion: several rankings of the same queries -> one, by scores or by ranks.

All rankings are pooled: a query or an item of any of them is in the result, ranked by the fused score, equal
scores by item_id. Items are the same where their ids are.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from mmlab.items import RANKING_COLUMNS
from mmlab.items.rankings import (
    SORTED_ROWS,
    Coded,
    check_once,
    finite_scores,
    is_sorted,
    ranks,
    sort_block,
    sort_rows,
)
from mmlab.retrieve.scores.normalize import normalize, three_sigma

Weight = float | pd.Series  # for all queries, or by query_id

RRF_K = 60  # of the paper on reciprocal rank fusion
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
    rankings: Sequence[pd.DataFrame], weights: Sequence[Weight] | None = None, k: float = RRF_K
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
        each = _each(weight, query)
        parts.append(each / (k * each + ranking["rank"].to_numpy()))
    return _pool(coded, parts)


def dbsf(rankings: Sequence[pd.DataFrame], weights: Sequence[Weight] | None = None) -> pd.DataFrame:
    """Distribution-based score fusion, as Qdrant has it: the sum of weight x three-sigma score, see `three_sigma`.

    Weights are 1 unless given, and not negative; a ranking adds 0 for an item that it lacks.
    """
    coded, ranked = _coded(rankings)
    by_query = _weights(coded, [1.0] * len(ranked) if weights is None else weights)
    return _pool(coded, _weighted(coded, [finite_scores(three_sigma(r)) for r in ranked], by_query))


FUSIONS: dict[str, Callable[..., pd.DataFrame]] = {
    "weighted_sum": weighted_sum,
    "rrf": rrf,
    "dbsf": dbsf,
}


def fuse(how: str, rankings: Sequence[pd.DataFrame], shares: Sequence[Weight] | None = None) -> pd.DataFrame:
    """A fusion of FUSIONS by shares that add up to 1 for every query, equal ones unless given.

    Equal shares give what the fusion gives without weights, in every one of them: a weight of `rrf` and `dbsf` counts
    from 1, and in `rrf` it divides the rank, so that there it is the share times the number of rankings.
    """
    check_fusion(how)
    if shares is None or how == "weighted_sum":
        return FUSIONS[how](rankings, shares)
    return FUSIONS[how](rankings, [len(rankings) * share for share in shares])


def check_fusion(how: str) -> None:
    """ValueError for what is not in FUSIONS, naming those that are."""
    if how not in FUSIONS:
        raise ValueError(f"fusion: expected one of {', '.join(FUSIONS)}, found {how!r}")


def _coded(rankings: Sequence[pd.DataFrame]) -> tuple[Coded, list[pd.DataFrame]]:
    """The codes of all rankings, and each one with codes for ids in its one order, whatever order its rows had."""
    if not rankings:
        raise ValueError("a fusion needs at least one ranking, found none")
    scores = [finite_scores(ranking) for ranking in rankings]
    coded = Coded.of(rankings)
    ranked = [
        _ranked(query, item, score)
        for query, item, score in zip(coded.query, coded.item, scores, strict=True)
    ]
    query, item = ([table[column].to_numpy() for table in ranked] for column in ("query_id", "item_id"))
    return Coded(coded.queries, coded.items, query, item), ranked


def _ranked(query: np.ndarray, item: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    if not is_sorted(query, item, score):  # rankings mostly stand in order, and a look is cheaper than a copy
        order, _ = sort_rows(query, item, score)
        query, item, score = query[order], item[order], score[order]
    columns = (query, item, ranks(query), score)
    return pd.DataFrame(dict(zip(RANKING_COLUMNS, columns, strict=True)), copy=False)


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
    return [_each(weight, query) * score for query, score, weight in rows]


def _each(by_query: np.ndarray, query: np.ndarray) -> np.ndarray | float:
    """The value of each row's query; one number where it is the same for all, as weights mostly are."""
    return by_query[0] if len(by_query) and not np.ptp(by_query) else by_query[query]


def _lowest(query: np.ndarray, values: np.ndarray, queries: int) -> np.ndarray:
    """The lowest value of each query (Q,), 0 for one without any."""
    starts = np.flatnonzero(np.diff(query, prepend=-1))  # rows stand by query
    lowest = np.zeros(queries)
    if len(values):
        lowest[query[starts]] = np.minimum.reduceat(values, starts)
    return lowest


def _pool(coded: Coded, parts: list[np.ndarray], lacking: list[np.ndarray] | None = None) -> pd.DataFrame:
    """Add up the parts (R,) of all rankings; `lacking` (Q,) is what each adds for an item that it has not, else 0.

    In blocks of whole queries: sums that fit the cache are made several times faster.
    """
    lacking = lacking or [np.zeros(len(coded.queries))] * len(parts)
    sizes = sum(np.bincount(query, minlength=len(coded.queries)) for query in coded.query)
    starts = np.unique(np.cumsum(sizes) // SORTED_ROWS, return_index=True)[1]
    cuts = list(pairwise([*starts.tolist(), len(coded.queries)]))
    done = [_pool_block(coded, parts, lacking, first, end) for first, end in cuts]
    columns = [np.concatenate(column) for column in zip(*done, strict=True)] or [np.empty(0, dtype=int)] * 3
    return coded.rankings(*columns)


def _pool_block(
    coded: Coded, parts: list[np.ndarray], lacking: list[np.ndarray], first: int, end: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, item and sum of the queries from `first` to before `end`, in their order."""
    rows = [slice(*np.searchsorted(query, (first, end))) for query in coded.query]
    width = max(len(coded.items), 1)
    keys = [coded.key(table, own) - first * width for table, own in enumerate(rows)]
    slots, pooled = _slots(np.concatenate(keys), (end - first) * width)
    query, item = np.divmod(pooled, width)
    query += first
    score, found = np.zeros(len(pooled)), np.zeros(len(pooled), dtype=bool)
    own = np.split(slots, np.cumsum([len(key) for key in keys])[:-1])
    for table, (slot, low) in enumerate(zip(own, lacking, strict=True)):
        added, there = low[query], np.zeros(len(pooled), dtype=bool)
        added[slot] = parts[table][rows[table]]
        there[slot] = True
        if there.sum() < len(slot):
            check_once(coded, table)
        score += added
        found |= there
    query, item, score = query[found], item[found], score[found]
    order = sort_block(query, item, score)
    return query[order], item[order], score[order]


def _slots(keys: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The place of each key in a table, and the keys of its places: a place for every cell where most are in use."""
    return (keys, np.arange(cells)) if cells <= 4 * len(keys) else pd.factorize(keys)
