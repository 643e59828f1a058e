"""How sure a mean is."""

import numpy as np

BLOCK = 100  # resamples at a time: bounds the memory at 100 x clusters numbers


def bootstrap_intervals(
    values: np.ndarray,
    clusters: np.ndarray,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> np.ndarray:
    """Percentile bootstrap intervals (M, 2) of the column means of `values` (Q, M), resampling whole `clusters` (Q,).

    Five captions of one photo are not five experiments: give each query its pair as its cluster, and
    the interval is as wide as the number of photos warrants. Source: Davison and Hinkley, Bootstrap
    Methods and their Application (1997), 3.8.
    """
    if len(values) != len(clusters) or len(values) == 0:
        raise ValueError(f"expected as many clusters as values, found {len(clusters)} and {len(values)}")
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, index, values)
    sizes = np.bincount(index)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, BLOCK):
        count = min(BLOCK, resamples - start)
        weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=count)
        means.append(weights @ sums / (weights @ sizes)[:, None])
    tail = (1 - level) / 2
    return np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0).T
