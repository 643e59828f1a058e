"""Several rankings side by side, so that many weights of a fusion are tried without fusing for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from mmlab.items.rankings import Coded
from mmlab.retrieve.scores.fuse import FUSIONS, RRF_K, check_fusion


@dataclass(frozen=True)
class Pooled:
    """What each of n rankings alone says of every pooled item: R rows of Q queries, by query and by item.

    query, item: codes (R,), of which a lower item wins a tie; right: (R,) bool; alone: (n, R), the fused score of the
    rows where all weight is on one ranking; judged: how many queries have a right answer, ranked or not.
    """

    query: np.ndarray
    item: np.ndarray
    right: np.ndarray
    alone: np.ndarray
    judged: int
    fusion: str

    @classmethod
    def of(cls, rankings: Sequence[pd.DataFrame], qrels: pd.DataFrame, fusion: str) -> Self:
        """Pool the rankings of the queries that `qrels` judges; ValueError without one, or for an unknown fusion."""
        check_fusion(fusion)
        answers = qrels[qrels["relevance"] > 0]
        judged = answers["query_id"].nunique()
        if not judged:
            raise ValueError("no query has a right answer: there is nothing to learn weights by")
        alone = [FUSIONS[fusion](rankings, weights) for weights in np.eye(len(rankings)).tolist()]
        coded = Coded.of([*alone, answers])
        keys = [coded.key(table) for table in range(len(alone) + 1)]
        orders = [np.argsort(key) for key in keys[:-1]]  # all hold the same rows
        first = orders[0][np.isin(coded.query[0][orders[0]], coded.query[-1])]
        kept = np.isin(np.sort(keys[0]), keys[0][first])
        scores = [one["score"].to_numpy()[order][kept] for one, order in zip(alone, orders, strict=True)]
        query = np.unique(coded.query[0][first], return_inverse=True)[1]
        right = np.isin(keys[0][first], keys[-1])
        return cls(query, coded.item[0][first], right, np.stack(scores), judged, fusion)

    def reciprocal_rank(self, shares: Sequence[float]) -> float:
        """The mean over all judged queries of 1 / rank of the first right item, 0 where none is ranked."""
        query, item, score = self.query, self.item, self._fused(shares)
        rows = np.flatnonzero(self.right)
        rows = rows[np.lexsort((item[rows], -score[rows], query[rows]))]
        first = rows[np.flatnonzero(np.diff(query[rows], prepend=-1))]  # the best right row of each query
        best = np.full(query.max(initial=-1) + 1, -1)
        best[query[first]] = first
        own = best[query]
        ahead = (score > score[own]) | ((score == score[own]) & (item < item[own]))
        before = np.bincount(query[ahead & (own >= 0)], minlength=len(best))
        return float((1 / (1 + before[query[first]])).sum() / self.judged)

    def _fused(self, shares: Sequence[float]) -> np.ndarray:
        """The fused score (R,) as `fuse` has it: linear in the weights, which in reciprocal rank fusion divide."""
        total = np.zeros(self.alone.shape[1])
        for share, own in zip(shares, self.alone, strict=True):
            weight = share if self.fusion == "weighted_sum" else len(self.alone) * share
            if self.fusion != "rrf":
                total += weight * own
                continue
            ranked = own > 0
            total[ranked] += weight / (RRF_K * weight + np.rint(1 / own[ranked] - RRF_K))
        return total
