"""Scores of one query onto a common scale: rankings -> rankings, so that several systems can be fused.

Every function leaves rows, order and ranks as they are and only maps the scores of each query, never turning
two of them round. s is a score, n the number of items that the query has.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mmlab.items.rankings import finite_scores

PerQuery = Callable[[np.ufunc, np.ndarray], np.ndarray]
Normalizer = Callable[[pd.DataFrame], pd.DataFrame]


def min_max(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - min) / (max - min), in [0, 1]; 0 where all scores of the query are equal."""
    score, per_query = _grouped(rankings)
    low = per_query(np.minimum, score)
    return rankings.assign(score=_divide(score - low, -low))


def z_score(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - mean) / standard deviation (of n, not n - 1); 0 where all scores of the query are equal."""
    distance, deviation = _spread(rankings, 0)
    return rankings.assign(score=_divide(distance, deviation))


def borda(rankings: pd.DataFrame) -> pd.DataFrame:
    """1 - (r - 1) / n for the item of rank r, in (0, 1]: Borda's count over n; equal scores share their mean rank."""
    score, per_query = _grouped(rankings)
    rank = pd.Series(score).groupby(pd.factorize(rankings["query_id"])[0]).rank(ascending=False).to_numpy()
    return rankings.assign(score=1 - (rank - 1) / per_query(np.add, np.ones_like(score)))


def share(rankings: pd.DataFrame) -> pd.DataFrame:
    """(s - min) / sum of all (s - min), in [0, 1], adding up to 1; 0 where all scores of the query are equal."""
    score, per_query = _grouped(rankings)
    above = score - per_query(np.minimum, score)
    return rankings.assign(score=_divide(above, per_query(np.add, above)))


def softmax(rankings: pd.DataFrame, temperature: float = 0.05) -> pd.DataFrame:
    """exp(s / temperature) over its sum, in [0, 1], adding up to 1; 1 / n each where all scores are equal.

    Cosines lie close together: at the default a lead of 0.05 makes e times the probability.
    Raises ValueError unless the temperature is a positive number.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is a positive number, found {temperature}")
    score, per_query = _grouped(rankings)
    mass = np.exp(score / temperature)
    return rankings.assign(score=mass / per_query(np.add, mass))


def three_sigma(rankings: pd.DataFrame) -> pd.DataFrame:
    """Where s lies between mean - 3 sigma (0) and mean + 3 sigma (1), sigma of n - 1; outliers lie outside.

    One half where all scores of the query are equal. Qdrant's distribution-based score fusion adds these up.
    """
    distance, deviation = _spread(rankings, 1)
    return rankings.assign(score=0.5 + _divide(distance, 6 * deviation))


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


def compare_normalizers(
    rankings: pd.DataFrame, hows: Sequence[str] = ("min-max", "z-score", "rank")
) -> pd.DataFrame:
    """The rankings with each item's normalised scores beside its own: "by min-max" and so on, of NORMALIZERS."""
    return rankings.assign(**{f"by {how}": normalize(rankings, how)["score"] for how in hows})


def _grouped(rankings: pd.DataFrame) -> tuple[np.ndarray, PerQuery]:
    """The scores less the best of their query, so exactly 0 where all are equal; and what reduces rows by query.

    `per_query(ufunc, values)` gives each row (R,) the ufunc's reduction over the rows of its query.
    """
    score = finite_scores(rankings)
    query = pd.factorize(rankings["query_id"])[0]
    falls = np.diff(query) < 0
    order = np.argsort(query, kind="stable") if falls.any() else slice(None)
    starts = np.flatnonzero(np.diff(query[order], prepend=-1))

    def per_query(ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        return ufunc.reduceat(values[order], starts)[query] if len(values) else values

    return score - per_query(np.maximum, score), per_query


def _spread(rankings: pd.DataFrame, less: int) -> tuple[np.ndarray, np.ndarray]:
    """Each score less its query's mean, and the query's standard deviation, of n - `less`; 0 for a single score."""
    score, per_query = _grouped(rankings)
    count = per_query(np.add, np.ones_like(score))
    distance = score - per_query(np.add, score) / count
    distance[per_query(np.minimum, score) == 0] = 0  # all are equal
    return distance, np.sqrt(_divide(per_query(np.add, distance**2), count - less))


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A quotient, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
