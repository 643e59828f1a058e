"""Measures of a ranking, named as papers write them: `P@5`, `R@10`, `Success@1`, `RR`.

Rules: every query with a right answer counts, and one that the system did not answer scores 0; among
equal scores the wrong answers are taken to come first. With r(q, k) the number of right answers in the
first k, R(q) the number of all right answers, and f(q) the rank of the first one:

    P@k = r(q, k) / k        R@k = r(q, k) / R(q)        Success@k = [r(q, k) > 0]        RR = 1 / f(q)

Papers on captioning sets call Success@k "R@k"; with several captions per image the two differ.
"""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from mmlab.items import QREL_COLUMNS, RANKING_COLUMNS, check_columns

Score = Callable[[pd.DataFrame, pd.Series, int], pd.Series]


def _precision(right: pd.DataFrame, total: pd.Series, k: int) -> pd.Series:
    return _found(right, total, k) / k


def _recall(right: pd.DataFrame, total: pd.Series, k: int) -> pd.Series:
    return _found(right, total, k) / total


def _success(right: pd.DataFrame, total: pd.Series, k: int) -> pd.Series:
    return (_found(right, total, k) > 0).astype(float)


def _reciprocal_rank(right: pd.DataFrame, total: pd.Series, k: int | None) -> pd.Series:
    within = right if k is None else right[right["rank"] <= k]
    return (1 / within.groupby("query_id")["rank"].min()).reindex(total.index, fill_value=0.0)


def _found(right: pd.DataFrame, total: pd.Series, k: int) -> pd.Series:
    """How many right answers stand in the first k, per query (index: query_id)."""
    counts = right.loc[right["rank"] <= k, "query_id"].value_counts()
    return counts.reindex(total.index, fill_value=0)


MEASURES: dict[str, Score] = {
    "P": _precision,
    "R": _recall,
    "Success": _success,
    "RR": _reciprocal_rank,
}


def score_queries(rankings: pd.DataFrame, qrels: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """One row per query of `qrels` in its order, one column per measure: query_id, then e.g. `P@5`, `RR`.

    Values lie in [0, 1]. Raises ValueError for an unknown measure, naming the known ones.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    check_columns(qrels, QREL_COLUMNS, "qrels")
    total = qrels.groupby("query_id", sort=False)["item_id"].nunique()
    right = _right_answers(rankings, qrels)
    scores = {}
    for name in measures:
        score, k = _parse(name)
        scores[name] = score(right, total, k)
    return pd.DataFrame(scores, index=total.index).reset_index()


def _right_answers(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """The ranked right answers with their rank after ties went against them: query_id, item_id, rank."""
    judged = rankings.merge(qrels, on=["query_id", "item_id"], how="left")
    judged["relevance"] = judged["relevance"].fillna(0)
    judged = judged.sort_values(["query_id", "score", "relevance"], ascending=[True, False, True])
    judged["rank"] = judged.groupby("query_id").cumcount() + 1
    return judged.loc[judged["relevance"] > 0, ["query_id", "item_id", "rank"]]


def _parse(name: str) -> tuple[Score, int | None]:
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", name)
    measure, cutoff = match.groups() if match else (None, None)
    if measure not in MEASURES or (cutoff is None and measure != "RR"):
        known = ", ".join(m if m == "RR" else f"{m}@k" for m in MEASURES)
        raise ValueError(f"unknown measure {name!r}; known: {known}, with k a positive whole number")
    return MEASURES[measure], int(cutoff) if cutoff else None
