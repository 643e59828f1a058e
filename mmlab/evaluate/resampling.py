"""How sure a mean is where queries come in clusters: five captions of one photo are not five experiments.

Q queries, C clusters, M measures. Sources: Davison and Hinkley, Bootstrap Methods and their Application (1997),
3.8 (clusters) and 4.3 (permutation); Holm, Scandinavian Journal of Statistics 6 (1979); Bloom, Evaluation
Review 19 (1995) for the smallest difference.
"""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import pandas as pd

DRAWS_PER_BLOCK = 4_000_000  # of clusters or of signs, at a time: bounds the memory at about 100 MB
RESAMPLES = 10_000

Seed = int | np.random.Generator


def bootstrap_intervals(
    values: np.ndarray, clusters: np.ndarray, resamples: int = RESAMPLES, level: float = 0.95, seed: Seed = 0
) -> np.ndarray:
    """Return percentile bootstrap intervals (M, 2) of the column means of `values` (Q, M), resampling `clusters` (Q,).

    Give each query its pair as its cluster, and the interval is as wide as the number of photos warrants. One
    cluster alone has a point as its interval. Raises ValueError where there are no values or not one cluster each.
    """
    sums, sizes = cluster_sums(values, clusters)
    both = np.column_stack([sums, sizes])
    totals = np.concatenate([counts @ both for counts in _draw_counts(len(sums), resamples, seed)])
    tail = (1 - level) / 2
    return np.quantile(totals[:, :-1] / totals[:, -1:], [tail, 1 - tail], axis=0).T


def permutation_p(
    differences: np.ndarray, clusters: np.ndarray, resamples: int = RESAMPLES, seed: Seed = 0
) -> np.ndarray:
    """Return the two-sided p (M,) of paired `differences` (Q, M) whose mean is 0 if both systems are alike.

    The sign of each cluster is flipped at random; p = (1 + number of means at least as far from 0) / (1 + resamples),
    so it is never 0.
    """
    sums, _ = cluster_sums(differences, clusters)
    rng = np.random.default_rng(seed)
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-9)  # sums in another order differ in their last digits
    far = np.zeros(sums.shape[1])
    for count in _block_sizes(resamples, len(sums)):
        signs = rng.integers(0, 2, size=(count, len(sums)), dtype=np.int8) * 2.0 - 1.0
        far += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return (1 + far) / (1 + resamples)


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p values (T,) of T tests, which bound the chance of any false alarm.

    The i-th smallest of T is multiplied by T - i + 1, is at most 1, and is never less than the one before.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(p[order] * np.arange(len(p), 0, -1), 1.0))
    return adjusted


def smallest_difference(
    differences: np.ndarray, clusters: np.ndarray, level: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Return the smallest true mean difference (M,) that `power` of all two-sided tests at `level` would detect.

    (z(1 - level / 2) + z(power)) times the standard error of the mean of `differences` (Q, M), counted by
    cluster: SE² = C / (C - 1) * sum over clusters of (sum - size * mean)² / Q². NaN for one cluster.
    """
    sums, sizes = cluster_sums(differences, clusters)
    if len(sums) < 2:
        return np.full(sums.shape[1], np.nan)
    residuals = sums - sizes[:, None] * (sums.sum(axis=0) / sizes.sum())
    error = np.sqrt(len(sums) / (len(sums) - 1) * (residuals**2).sum(axis=0)) / sizes.sum()
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * error


def cluster_sums(values: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of `values` (Q, M) in each cluster, (C, M), and the sizes of the clusters, (C,)."""
    if len(values) != len(clusters) or len(values) == 0:
        raise ValueError(f"expected as many clusters as values, found {len(clusters)} and {len(values)}")
    index, names = pd.factorize(np.asarray(clusters))
    columns = [np.bincount(index, weights=column, minlength=len(names)) for column in values.T]
    return np.column_stack(columns), np.bincount(index, minlength=len(names)).astype(float)


def _draw_counts(clusters: int, resamples: int, seed: Seed) -> Iterator[np.ndarray]:
    """Draw C clusters with replacement, `resamples` times; yield how often each was drawn, in blocks (some, C).

    Sums over counts take half to a third of the time of sums over the drawn rows.
    """
    rng = np.random.default_rng(seed)
    for count in _block_sizes(resamples, clusters):
        drawn = rng.integers(0, clusters, size=(count, clusters), dtype=np.int32)
        cells = drawn + np.arange(0, count * clusters, clusters, dtype=np.intp)[:, None]
        yield np.bincount(cells.ravel(), minlength=count * clusters).reshape(count, clusters).astype(float)


def _block_sizes(resamples: int, clusters: int) -> Iterator[int]:
    size = max(1, DRAWS_PER_BLOCK // clusters)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)
