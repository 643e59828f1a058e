"""Measures of a ranking, named as papers write them: `P@5 R@10 Success@1 RR RR@10 nDCG@10 AP AP@10`.

Rules: every query with a right answer counts, and one that the system did not answer scores 0; among
equal scores the wrong answers are taken to come first (`ties.py`). With r(q, k) the number of right answers
in the first k, R(q) the number of all right answers, f(q) the rank of the first one, and rel the relevance:

    P@k = r(q, k) / k        R@k = r(q, k) / R(q)        Success@k = [r(q, k) > 0]        RR = 1 / f(q)
    AP  = sum over the right answers of r(q, their rank) / their rank, divided by R(q)
    nDCG = DCG / DCG of the best order, DCG = sum over the right answers of rel / log2(1 + rank)

The gain of nDCG is the relevance itself (linear), as in Järvelin and Kekäläinen (2002), trec_eval and
ir-measures, not 2^rel - 1. With a cutoff, RR@k, AP@k and nDCG@k see the first k only; AP@k still divides by R(q).
Papers on captioning sets call Success@k "R@k"; with several captions per image the two differ.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.ranks import right_ranks


@dataclass(frozen=True)
class Answers:
    """The right answers, sorted by query and rank: query number, rank (inf: not ranked), relevance (all (A,))."""

    query: np.ndarray
    rank: np.ndarray
    relevance: np.ndarray

    def sum(self, values: np.ndarray, k: float) -> np.ndarray:
        """The sum of `values` (A,) over the answers in the first k, per query (Q,)."""
        return np.bincount(self.query, weights=np.where(self.rank <= min(k, 2**53), values, 0.0))

    def order(self) -> np.ndarray:
        """The place of each answer among the right answers of its query, from 1 (A,)."""
        return np.arange(len(self.query)) - np.searchsorted(self.query, self.query) + 1


Score = Callable[[Answers, float], np.ndarray]


def _precision(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(np.ones(len(answers.query)), k) / k


def _recall(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(np.ones(len(answers.query)), k) / np.bincount(answers.query)


def _success(answers: Answers, k: float) -> np.ndarray:
    return (answers.sum(np.ones(len(answers.query)), k) > 0).astype(float)


def _reciprocal_rank(answers: Answers, k: float) -> np.ndarray:
    return answers.sum((answers.order() == 1) / answers.rank, k)


def _average_precision(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(answers.order() / answers.rank, k) / np.bincount(answers.query)


def _gain(answers: Answers, k: float) -> np.ndarray:
    best = np.lexsort((-answers.relevance, answers.query))
    ideal = Answers(answers.query, answers.order().astype(float), answers.relevance[best])
    found, most = (a.sum(a.relevance / np.log2(1 + a.rank), k) for a in (answers, ideal))
    return found / most


MEASURES: dict[str, Score] = {
    "P": _precision,
    "R": _recall,
    "Success": _success,
    "RR": _reciprocal_rank,
    "nDCG": _gain,
    "AP": _average_precision,
}
WHOLE = ("RR", "nDCG", "AP")  # may be written without a cutoff


def score_queries(
    rankings: pd.DataFrame, qrels: pd.DataFrame, measures: Sequence[str], ties: str = "against"
) -> pd.DataFrame:
    """One row per query with a right answer, in the order of `qrels`; one column per measure after query_id.

    Values lie in [0, 1]. Raises ValueError for an unknown measure, listing the forms, and as `right_ranks` does.
    """
    return score_ranks(right_ranks(rankings, qrels, ties), measures)


def score_ranks(ranks: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """The same from the ranks of the right answers, as `right_ranks` and `exact_ranks` return them."""
    parsed = {name: _parse(name) for name in measures}
    query, queries = pd.factorize(ranks["query_id"])
    rank = ranks["rank"].fillna(np.inf).to_numpy(dtype=float)
    order = np.lexsort((rank, query))
    answers = Answers(query[order], rank[order], ranks["relevance"].to_numpy(dtype=float)[order])
    scores = {name: score(answers, k) for name, (score, k) in parsed.items()}
    return pd.DataFrame({"query_id": queries, **scores})


def _parse(name: str) -> tuple[Score, float]:
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d{0,8}))?", name)
    measure, cutoff = match.groups() if match else (None, None)
    if measure not in MEASURES or (cutoff is None and measure not in WHOLE):
        known = ", ".join([f"{m}@k" for m in MEASURES] + list(WHOLE))
        raise ValueError(f"unknown measure {name!r}; known: {known}, with k a positive whole number")
    return MEASURES[measure], float(cutoff) if cutoff else np.inf
