"""Map the scores of each query onto a common scale, so that several systems can be fused: rankings -> rankings.

Every function leaves rows, order and ranks as they are. It maps the scores of each query by a rising function, so no
two of them change places. In the formulas s is a score and n the number of items that the query has.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mmlab.items.options import Choice, Number, check_value
from mmlab.items.rankings import finite_scores

Reduce = Callable[[np.ufunc, np.ndarray], np.ndarray]
Normalizer = Callable[[pd.DataFrame], pd.DataFrame]


def min_max(rankings: pd.DataFrame) -> pd.DataFrame:
    """Map s to (s - min) / (max - min), in [0, 1]; to 0 where all scores of the query are equal."""
    score, by_query = _grouped(rankings)
    low = by_query(np.minimum, score)
    return rankings.assign(score=_divide(score - low, -low))


def z_score(rankings: pd.DataFrame) -> pd.DataFrame:
    """Map s to (s - mean) / standard deviation (of n, not n - 1); to 0 where all scores of the query are equal."""
    distance, deviation = _deviations(rankings, 0)
    return rankings.assign(score=_divide(distance, deviation))


def borda(rankings: pd.DataFrame) -> pd.DataFrame:
    """Map the score of rank r to 1 - (r - 1) / n, in (0, 1]: Borda's count over n.

    Equal scores share their mean rank.
    """
    score, by_query = _grouped(rankings)
    rank = pd.Series(score).groupby(pd.factorize(rankings["query_id"])[0]).rank(ascending=False).to_numpy()
    return rankings.assign(score=1 - (rank - 1) / by_query(np.add, np.ones_like(score)))


def sum_to_one(rankings: pd.DataFrame) -> pd.DataFrame:
    """Map s to (s - min) / sum of all (s - min), in [0, 1]; to 0 where all scores of the query are equal."""
    score, by_query = _grouped(rankings)
    above = score - by_query(np.minimum, score)
    return rankings.assign(score=_divide(above, by_query(np.add, above)))


def softmax(rankings: pd.DataFrame, temperature: float = 0.05) -> pd.DataFrame:
    """Map s to exp(s / temperature) over the sum of these, in [0, 1]; to 1 / n where all scores are equal.

    Cosines lie close together: at the default a lead of 0.05 makes e times the probability. Raises ValueError unless
    the temperature is a positive number.
    """
    check_value("temperature", temperature, Number(0, above=True))
    score, by_query = _grouped(rankings)
    mass = np.exp(score / temperature)
    return rankings.assign(score=mass / by_query(np.add, mass))


def three_sigma(rankings: pd.DataFrame) -> pd.DataFrame:
    """Map mean - 3 sigma to 0 and mean + 3 sigma to 1, with sigma of n - 1; outliers lie outside of [0, 1].

    The result is 1/2 where all scores of the query are equal. Qdrant's distribution-based score fusion adds these up.
    """
    distance, deviation = _deviations(rankings, 1)
    return rankings.assign(score=0.5 + _divide(distance, 6 * deviation))


NORMALIZERS: dict[str, Normalizer] = {
    "min-max": min_max,
    "z-score": z_score,
    "rank": borda,
    "sum": sum_to_one,
    "softmax": softmax,
    "three-sigma": three_sigma,
}


def normalize(rankings: pd.DataFrame, normalizer: str) -> pd.DataFrame:
    """Return the rankings with their scores on the scale of a normalizer of NORMALIZERS.

    Raises ValueError for an unknown normalizer, naming the known ones, and for scores that are not finite.

    >>> rankings = pd.DataFrame({"query_id": ["q"] * 3, "item_id": list("abc"), "rank": [1, 2, 3], "score": [9, 4, -1]})
    >>> normalize(rankings, "min-max")["score"].tolist()
    [1.0, 0.5, 0.0]
    """
    check_value("normalizer", normalizer, Choice(tuple(NORMALIZERS)))
    return NORMALIZERS[normalizer](rankings)


def compare_normalizers(
    rankings: pd.DataFrame, normalizers: Sequence[str] = ("min-max", "z-score", "rank")
) -> pd.DataFrame:
    """Return the rankings with a column of scores for each normalizer: "by min-max" and so on, of NORMALIZERS."""
    return rankings.assign(**{f"by {name}": normalize(rankings, name)["score"] for name in normalizers})


def _grouped(rankings: pd.DataFrame) -> tuple[np.ndarray, Reduce]:
    """Return the scores less the best of their query, exactly 0 where all are equal, and a reduction by query.

    `by_query(ufunc, values)` gives each row (R,) the ufunc's reduction over all rows of its query.
    """
    score = finite_scores(rankings)
    query = pd.factorize(rankings["query_id"])[0]
    order = np.argsort(query, kind="stable")
    starts = np.flatnonzero(np.diff(query[order], prepend=-1))

    def by_query(ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        return ufunc.reduceat(values[order], starts)[query] if len(values) else values

    return score - by_query(np.maximum, score), by_query


def _deviations(rankings: pd.DataFrame, less: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each score less its query's mean, and the standard deviation, of n - `less`; 0 for a single score."""
    score, by_query = _grouped(rankings)
    count = by_query(np.add, np.ones_like(score))
    distance = score - by_query(np.add, score) / count
    distance[by_query(np.minimum, score) == 0] = 0  # all are equal
    return distance, np.sqrt(_divide(by_query(np.add, distance**2), count - less))


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the quotient, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
