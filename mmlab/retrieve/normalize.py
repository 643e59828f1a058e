"""Scores of one query onto a common scale: rankings -> rankings, so that several systems can be fused.

Every function leaves rows, order and ranks as they are and only maps the scores of each query, never turning
two of them round. s is a score, n the number of items that the query has.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.api.typing import SeriesGroupBy

from mmlab.retrieve.order import finite_scores

Normalizer = Callable[[pd.DataFrame], pd.DataFrame]


def min_max(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - min) / (max - min), in [0, 1]; 0 where all scores of the query are equal."""
    score, by_query = _grouped(rankings)
    low = by_query.transform("min")
    return _scored(rankings, _divide(score - low, -low))


def z_score(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - mean) / standard deviation (of n, not n - 1); 0 where all scores of the query are equal."""
    score, by_query = _grouped(rankings)
    distance = score - by_query.transform("mean")
    return _scored(rankings, _divide(distance, by_query.transform("std", ddof=0)))


def borda(rankings: pd.DataFrame) -> pd.DataFrame:
    """1 - (r - 1) / n for the item of rank r, in (0, 1]: Borda's count over n; equal scores share their mean rank."""
    _, by_query = _grouped(rankings)
    rank = by_query.rank(ascending=False)
    return _scored(rankings, 1 - (rank - 1) / by_query.transform("size"))


def share(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - min) / sum of all (s - min), in [0, 1], adding up to 1; 0 where all scores of the query are equal."""
    score, by_query = _grouped(rankings)
    low = by_query.transform("min")
    return _scored(
        rankings, _divide(score - low, by_query.transform("sum") - low * by_query.transform("size"))
    )


def softmax(rankings: pd.DataFrame, temperature: float = 0.05) -> pd.DataFrame:
    """exp(s / temperature) over its sum, in [0, 1], adding up to 1; 1 / n each where all scores are equal.

    Cosines lie close together: at the default a lead of 0.05 makes e times the probability.
    Raises ValueError unless the temperature is a positive number.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is a positive number, found {temperature}")
    score, by_query = _grouped(rankings)
    mass = np.exp(score / temperature)
    return _scored(rankings, mass / mass.groupby(by_query.ngroup()).transform("sum"))


def three_sigma(rankings: pd.DataFrame) -> pd.DataFrame:
    """Where s lies between mean - 3 sigma (0) and mean + 3 sigma (1), sigma of n - 1; outliers lie outside.

    One half where all scores of the query are equal. Qdrant's distribution-based score fusion adds these up.
    """
    score, by_query = _grouped(rankings)
    distance = score - by_query.transform("mean")
    return _scored(rankings, 0.5 + _divide(distance, 6 * by_query.transform("std")))


NORMALIZERS: dict[str, Normalizer] = {
    "min-max": min_max,
    "z-score": z_score,
    "rank": borda,
    "sum": share,
    "softmax": softmax,
    "three-sigma": three_sigma,
}


def normalize(rankings: pd.DataFrame, how: str) -> pd.DataFrame:
    """The scores on the scale of a normaliser of NORMALIZERS; ValueError for an unknown one, naming the known ones."""
    if how not in NORMALIZERS:
        raise ValueError(f"unknown normaliser {how!r}; known: {', '.join(NORMALIZERS)}")
    return NORMALIZERS[how](rankings)


def _grouped(rankings: pd.DataFrame) -> tuple[pd.Series, SeriesGroupBy]:
    """The scores less the best of their query, so exactly 0 where all are equal; and the same by query."""
    score = pd.Series(finite_scores(rankings))
    codes = pd.factorize(rankings["query_id"])[0]
    score = score - score.groupby(codes).transform("max")
    return score, score.groupby(codes)


def _scored(rankings: pd.DataFrame, score: pd.Series) -> pd.DataFrame:
    return rankings.assign(score=score.to_numpy())  # by position: an index may have labels twice


def _divide(part: pd.Series, whole: pd.Series) -> pd.Series:
    """A quotient, 0 where the whole is 0 or, as the deviation of a single score, missing."""
    return (part / whole.where(whole != 0)).fillna(0.0)
