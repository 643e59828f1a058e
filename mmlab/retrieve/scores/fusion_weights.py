"""How much weight each of several rankings gets in a fusion: learned from right answers, or by a rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from mmlab.items.options import Number, check_value
from mmlab.items.rankings import Coded, rank_by_score
from mmlab.retrieve.scores.fuse import FUSIONS, RRF_K, check_fusion, min_max

MAX_GRID_POINTS = 66  # weights that are tried: in steps of 1/20 for two rankings, of 1/10 for three
TIED = 1e-11  # fused scores this close are equal: they are sums of rounded ones
MAX_STEPS = 20  # from a weight of 0 to a weight of 1


class LearnedWeights(NamedTuple):
    """The best weight of each ranking, adding up to 1, and the table they were read from: weights (a tuple), value."""

    weights: tuple[float, ...]
    table: pd.DataFrame


def learn_weights(
    rankings: Sequence[pd.DataFrame],
    qrels: pd.DataFrame,
    fusion: str = "weighted_sum",
    grid: Sequence[Sequence[float]] | None = None,
    rrf_k: float = RRF_K,
) -> LearnedWeights:
    """Try weights of a fusion of FUSIONS and return those with the best mean reciprocal rank.

    Each entry of `grid` holds a weight per ranking, adding up to 1 (see `fuse`); equal weights and those of
    `weight_grid` are tried unless given. Give rankings and qrels of validation queries and evaluate the weights on
    other queries: on these they look better than they are. Among equal means the weights nearest to equal ones win,
    then those that are lower first. Raises ValueError for an empty grid and where no query has a right answer.

    >>> good = pd.DataFrame({"query_id": ["q", "q"], "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.1]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> learn_weights([good, good.assign(item_id=["b", "a"])], qrels, grid=[(0.2, 0.8), (0.8, 0.2)]).weights
    (0.8, 0.2)
    """
    equal = 1 / len(rankings)
    if grid is None:
        grid = list(dict.fromkeys([(equal,) * len(rankings), *weight_grid(len(rankings))]))
    if not grid:
        raise ValueError("grid: expected weights for each ranking, adding up to 1; found none")
    pooled = FusionGrid.of(rankings, qrels, fusion, rrf_k)
    values = [pooled.reciprocal_rank(weights) for weights in grid]
    table = pd.DataFrame({"weights": [tuple(map(float, weights)) for weights in grid], "value": values})
    best = table.loc[np.isclose(table["value"], table["value"].max(), rtol=0, atol=1e-12), "weights"]
    nearest = min(best, key=lambda weights: (round(sum((one - equal) ** 2 for one in weights), 9), weights))
    return LearnedWeights(nearest, table)


def weight_grid(n: int) -> Iterator[tuple[float, ...]]:
    """Yield all weights of `n` rankings that add up to 1 in equal steps, as fine as 66 of them allow.

    >>> list(weight_grid(1)), len(list(weight_grid(2)))
    ([(1.0,)], 21)
    """
    steps = max(
        parts
        for parts in range(1, MAX_STEPS + 1)
        if comb(parts + n - 1, n - 1) <= MAX_GRID_POINTS or parts == 1
    )
    for bars in combinations(range(steps + n - 1), n - 1):
        ends = (-1, *bars, steps + n - 1)
        yield tuple(round((last - first - 1) / steps, 9) for first, last in pairwise(ends))


@dataclass(frozen=True)
class FusionGrid:
    """What each of n rankings alone gives every pooled item, so that many weights are tried without fusing for each.

    R rows of Q queries. query: codes (R,); right: (R,) bool; alone: (n, R), the fused score of the rows where all
    weight is on one ranking; queries: how many have a right answer, ranked or not. The 21 weights of two rankings of
    5,000 queries are tried 3 to 5 times faster than by fusing.
    """

    query: np.ndarray
    right: np.ndarray
    alone: np.ndarray
    queries: int
    fusion: str
    rrf_k: float = RRF_K

    @classmethod
    def of(
        cls, rankings: Sequence[pd.DataFrame], qrels: pd.DataFrame, fusion: str, rrf_k: float = RRF_K
    ) -> Self:
        """Pool the rankings of the queries in `qrels`; raise ValueError without one, or for an unknown fusion."""
        check_fusion(fusion)
        answers = qrels[qrels["relevance"] > 0]
        queries = answers["query_id"].nunique()
        if not queries:
            raise ValueError("qrels: no query has a right answer; there is nothing to learn weights by")
        settings = {"k": rrf_k} if fusion == "rrf" else {}
        alone = [FUSIONS[fusion](rankings, weights, **settings) for weights in np.eye(len(rankings)).tolist()]
        coded = Coded.of([*alone, answers])
        keys = [coded.key(table) for table in range(len(alone) + 1)]
        orders = [np.argsort(key) for key in keys[:-1]]  # all hold the same rows
        first = orders[0][np.isin(coded.query[0][orders[0]], coded.query[-1])]
        kept = np.isin(np.sort(keys[0]), keys[0][first])
        scores = [one["score"].to_numpy()[order][kept] for one, order in zip(alone, orders, strict=True)]
        query = np.unique(coded.query[0][first], return_inverse=True)[1]
        right = np.isin(keys[0][first], keys[-1])
        return cls(query, right, np.stack(scores), queries, fusion, rrf_k)

    def reciprocal_rank(self, weights: Sequence[float]) -> float:
        """Return the mean over all queries with right answers of 1 / rank of the first one, 0 where none is ranked.

        Equal scores count against the right answer, as they do in an evaluation.
        """
        score = self._fused(weights)
        # the score of the first right answer of each query
        best = np.full(self.query.max(initial=-1) + 1, -np.inf)
        np.maximum.at(best, self.query[self.right], score[self.right])
        ahead = ~self.right & (score >= best[self.query] - TIED)
        before = np.bincount(self.query[ahead], minlength=len(best))
        return float((1 / (1 + before[np.isfinite(best)])).sum() / self.queries)

    def _fused(self, weights: Sequence[float]) -> np.ndarray:
        """Return the fused score (R,) as `fuse` has it: a sum, but that the weights of `rrf` divide the ranks."""
        total = np.zeros(self.alone.shape[1])
        for share, own in zip(weights, self.alone, strict=True):
            weight = share if self.fusion == "weighted_sum" else len(self.alone) * share
            if self.fusion != "rrf":
                total += weight * own
                continue
            ranked = own > 0
            # equal scores share a mean rank, which may be a half
            rank = np.rint(2 * (1 / own[ranked] - self.rrf_k)) / 2
            total[ranked] += weight / (self.rrf_k * weight + rank)
        return total


def confidence(rankings: pd.DataFrame) -> pd.Series:
    """Return how clearly the first item of each query leads, by query_id: (s1 - s2) / (s1 - sn), in [0, 1].

    sn is the lowest score, so that is the lead in min-max scores. It is 0 where there is no second item or all scores
    are equal. Compare it between rankings of the same depth only: the longer a ranking, the lower its sn.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": list("abc"), "rank": [1, 2, 3], "score": [9, 8, 5]})
    >>> confidence(rankings).to_dict()
    {'q': 0.25}
    """
    scaled = rank_by_score(min_max(rankings)).set_index("query_id")
    first, second = (scaled.loc[scaled["rank"] == rank, "score"] for rank in (1, 2))
    return (first - second.reindex(first.index)).fillna(0.0).rename("confidence")


def weights_by_confidence(
    rankings: Sequence[pd.DataFrame], share: float = 0.6
) -> tuple[pd.Series, pd.Series]:
    """Return weights by query: `share` for the more confident of two rankings, the rest for the other, 1/2 at a tie.

    Use it as `fuse(fusion, [a, b], weights_by_confidence([a, b]))`; see `confidence`. A ranking without the query has
    confidence 0. Raises ValueError unless there are two rankings and the share is in [0.5, 1].
    """
    if len(rankings) != 2:
        raise ValueError(f"rankings: the rule compares two rankings, found {len(rankings)}")
    check_value("share", share, Number(0.5, 1))
    one, other = (confidence(ranking) for ranking in rankings)
    queries = one.index.union(other.index, sort=False)
    lead = one.reindex(queries, fill_value=0.0) - other.reindex(queries, fill_value=0.0)
    lead = np.sign(lead.round(9))  # what differs by less is a tie that rounding broke
    return 0.5 + lead * (share - 0.5), 0.5 - lead * (share - 0.5)
