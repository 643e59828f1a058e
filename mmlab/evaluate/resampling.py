"""Means of scores, and how sure they are where queries come in clusters: captions of one photo are one experiment.

Q queries, C clusters, M measures. Sources: Korn and Graubard, Survey Methodology 24 (1998), for shares; Davison and
Hinkley, Bootstrap Methods and their Application (1997), 3.8 (clusters) and 4.3 (permutation); Holm, Scandinavian
Journal of Statistics 6 (1979); Bloom, Evaluation Review 19 (1995), for the smallest difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.scoring import find_measure
from mmlab.items import check_columns
from mmlab.items.options import Number, check_value

DRAWS_PER_BLOCK = 4_000_000  # of clusters or of signs, at a time: bounds the memory at about 100 MB
RESAMPLES = 10_000
MIN_BOOTSTRAP_CLUSTERS = 30  # with fewer, the bootstrap is too sure: Student's t instead
MIN_TESTED_CLUSTERS = 6  # with 5, no permutation has a p below 2 / 32

Seed = int | np.random.Generator


def mean_intervals(values: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return intervals (M, 2) of the column means of `values` (Q, M), which lie in [0, 1], counted by `clusters` (Q,).

    Those of Clopper and Pearson for as many independent trials as the values are worth: n = mean (1 - mean) / SE²,
    times (t of n - 1 / t of C - 1)². SE is that of the mean over clusters, to which one of zeros and one of ones of the
    usual size are added: so few clusters with an error are not taken for all there is, and an interval is never a
    point. One cluster alone tells nothing: 0 to 1. Raises ValueError where there are no values or not one cluster each.

    >>> mean_intervals(np.ones((20, 1)), np.arange(20)).round(3).tolist()
    [[0.832, 1.0]]
    """
    beta, t = (_distribution(name) for name in ("beta", "t"))
    sums, sizes = cluster_sums(values, clusters)
    count, total = len(sizes), sizes.sum()
    if count == 1:
        return np.tile([0.0, 1.0], (values.shape[1], 1))
    usual, mean = total / count, np.clip(sums.sum(axis=0) / total, 0, 1)
    more = np.vstack([sums, np.zeros_like(mean), np.full_like(mean, usual)]), np.r_[sizes, usual, usual]
    middle = more[0].sum(axis=0) / more[1].sum()
    variance = ((more[0] - more[1][:, None] * middle) ** 2).sum(axis=0) / more[1].sum() ** 2
    worth = middle * (1 - middle) / variance * total / more[1].sum()  # of the values without the added ones
    shares = np.isin(values, (0.0, 1.0)).all(axis=0)  # which cannot be worth more than so many trials
    worth = np.where(shares, np.minimum(worth, total), worth)
    tail = (1 - level) / 2
    worth = worth * (t.isf(tail, np.maximum(worth - 1, 1)) / t.isf(tail, count - 1)) ** 2
    low = np.where(mean > 0, beta.ppf(tail, mean * worth, worth - mean * worth + 1), 0.0)
    high = np.where(mean < 1, beta.isf(tail, mean * worth + 1, worth - mean * worth), 1.0)
    return np.column_stack([low, high])


def difference_intervals(
    differences: np.ndarray, clusters: np.ndarray, level: float = 0.95, seed: Seed = 0
) -> np.ndarray:
    """Return intervals (M, 2) of the column means of `differences` (Q, M), in [-1, 1], counted by `clusters` (Q,).

    Bootstrap intervals; below 30 clusters Student's t with the standard error over clusters. Where all differences are
    the same, others may be hidden from C clusters: the share of these is bounded as Clopper and Pearson do, by
    1 - ((1 - level) / 2)^(1 / C), and each may be -1 or 1. One cluster alone tells nothing: -1 to 1.
    """
    sums, sizes = cluster_sums(differences, clusters)
    count, mean = len(sizes), sums.sum(axis=0) / sizes.sum()
    if count == 1:
        return np.tile([-1.0, 1.0], (differences.shape[1], 1))
    if count < MIN_BOOTSTRAP_CLUSTERS:
        half = _distribution("t").isf((1 - level) / 2, count - 1) * standard_error(differences, clusters)
        bounds = np.clip(np.column_stack([mean - half, mean + half]), -1, 1)
    else:
        bounds = bootstrap_intervals(differences, clusters, level=level, seed=seed)
    hidden = 1 - ((1 - level) / 2) ** (1 / count)
    widest = np.column_stack([mean - hidden * (1 + mean), mean + hidden * (1 - mean)])
    return np.where(_all_same(differences)[:, None], widest, bounds)


def standard_error(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the standard errors (M,) of the column means of `values` (Q, M), counted by `clusters` (Q,).

    SE² = C / (C - 1) * sum over clusters of (sum - size * mean)² / Q². NaN for one cluster.
    """
    sums, sizes = cluster_sums(values, clusters)
    if len(sums) < 2:
        return np.full(sums.shape[1], np.nan)
    residuals = sums - sizes[:, None] * (sums.sum(axis=0) / sizes.sum())
    return np.sqrt(len(sums) / (len(sums) - 1) * (residuals**2).sum(axis=0)) / sizes.sum()


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

    (z(1 - level / 2) + z(power)) times the `standard_error` of the mean of `differences` (Q, M), counted by cluster;
    below 30 clusters with t of C - 1 in place of z. NaN below 6 clusters, whose p cannot get below 0.05.
    """
    error = standard_error(differences, clusters)
    return detectable_difference(error, len(np.unique(clusters)), level, power)


def detectable_difference(
    error: np.ndarray, clusters: int, level: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Return what `smallest_difference` does for standard errors (M,) of so many clusters.

    >>> detectable_difference(np.array([0.01]), 1000).round(4).tolist()
    [0.028]
    """
    if clusters < MIN_TESTED_CLUSTERS:
        return np.full_like(error, np.nan)
    few = clusters < MIN_BOOTSTRAP_CLUSTERS
    spread = _distribution("t")(clusters - 1) if few else _distribution("norm")()
    return (spread.ppf(1 - level / 2) + spread.ppf(power)) * error


def non_inferiority_p(differences: np.ndarray, clusters: np.ndarray, margin: float) -> np.ndarray:
    """Return the one-sided p (M,) that the true mean of `differences` (Q, M), in [-1, 1], is -`margin` or less.

    Student's t of (mean + margin) / SE with C - 1 degrees of freedom, SE counted by cluster. Where all differences are
    the same and above -margin, the p is (1 - margin)^C: the chance that C clusters hide what would lower the mean so
    far. 1 for one cluster. Raises ValueError for a margin out of (0, 1].
    """
    check_value("margin", margin, Number(0, 1, above=True))
    sums, sizes = cluster_sums(differences, clusters)
    mean, count = sums.sum(axis=0) / sizes.sum(), len(sizes)
    if count == 1:
        return np.ones(len(mean))
    error = standard_error(differences, clusters)
    same = _all_same(differences)
    tested = _distribution("t").sf((mean + margin) / np.where(same, 1.0, error), count - 1)
    return np.where(same, np.where(mean > -margin, (1 - margin) ** count, 1.0), tested)


def largest_loss(differences: np.ndarray, clusters: np.ndarray, level: float = 0.05) -> np.ndarray:
    """Return how much the true mean of `differences` (Q, M) may lie below 0 at most, (M,), in [0, 1].

    It is the smallest margin of which `non_inferiority_p` is at most `level`: the bound of a one-sided interval. 1 for
    one cluster.

    >>> largest_loss(np.zeros((1000, 1)), np.arange(1000)).round(4).tolist()
    [0.003]
    """
    sums, sizes = cluster_sums(differences, clusters)
    mean, count = sums.sum(axis=0) / sizes.sum(), len(sizes)
    if count == 1:
        return np.ones(len(mean))
    bound = _distribution("t").isf(level, count - 1) * standard_error(differences, clusters) - mean
    same = _all_same(differences)
    hidden = np.maximum(1 - level ** (1 / count), -mean)
    return np.clip(np.where(same, hidden, bound), 0, 1)


def standardised_differences(
    differences: np.ndarray, clusters: np.ndarray, level: float = 0.95
) -> np.ndarray:
    """Return the mean of `differences` (Q, M) in standard deviations of the clusters' means, with its interval, (M, 3).

    Cohen's d of paired values. The interval is d plus and minus t of C - 1 times the root of (SE / deviation)² +
    d² / (2 (C - 1)): the error of the mean and that of the deviation (Hedges and Olkin, Statistical Methods for
    Meta-Analysis, 1985, for one value a cluster). NaN for one cluster and where all clusters have the same mean.
    """
    sums, sizes = cluster_sums(differences, clusters)
    count = len(sizes)
    if count < 2:
        return np.full((differences.shape[1], 3), np.nan)
    deviation = (sums / sizes[:, None]).std(axis=0, ddof=1)
    deviation = np.where(deviation > 1e-9, deviation, np.nan)
    d = sums.sum(axis=0) / sizes.sum() / deviation
    error = np.sqrt((standard_error(differences, clusters) / deviation) ** 2 + d**2 / (2 * (count - 1)))
    half = _distribution("t").isf((1 - level) / 2, count - 1) * error
    return np.column_stack([d, d - half, d + half])


def _distribution(name: str) -> Any:
    """Return a distribution of scipy.stats, which takes a while to load."""
    import scipy.stats

    return getattr(scipy.stats, name)


def _all_same(values: np.ndarray) -> np.ndarray:
    """Return whether a column (M,) holds one value but for its last digits."""
    return np.ptp(values, axis=0) < 1e-9


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


NO_GROUP = "(none)"
MIN_GROUP_PAIRS = 10  # below which a group is marked
MEAN_COLUMNS = ["measure", "value", "low", "high", "queries", "pairs"]


def mean_measures(per_query: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of every measure: measure, value, low, high, queries, pairs.

    `per_query`: query_id and a column per measure (`score_queries`). low and high are the 95% interval, which counts
    pairs (`mean_intervals`). One pair alone tells nothing of others: its interval is all that a measure can be, 0 to 1.
    Without queries there are no rows. Raises KeyError for a query that is not among the items.

    >>> items = pd.DataFrame({"item_id": ["t1", "t2"], "pair_id": ["a", "b"]})
    >>> mean_measures(pd.DataFrame({"query_id": ["t1", "t2"], "RR": [1.0, 0.5]}), items)["value"].tolist()
    [0.75]
    """
    measures = [name for name in per_query.columns if name != "query_id"]
    return _means(per_query[measures], pair_numbers(per_query["query_id"], items))


def mean_by_group(per_query: pd.DataFrame, items: pd.DataFrame, measure: str, column: str) -> pd.DataFrame:
    """Return the mean of one measure for each value of an items column.

    Returns the column, value, low, high, queries, pairs, few. The column may be label, split, origin (of captions,
    where texts are the queries) or one of the user's own. Groups are sorted from the lowest mean to the highest;
    queries without a value form the group "(none)". few marks those of fewer than 10 pairs, which say little. Raises
    ValueError where the items lack the column.
    """
    check_columns(items, [column], "items")
    groups = items.set_index("item_id")[column].loc[per_query["query_id"]]
    names = groups.astype("str").where(groups.notna(), NO_GROUP).to_numpy()
    pairs, scores = pair_numbers(per_query["query_id"], items), per_query[[measure]]
    rows_of = pd.Series(names).groupby(names).indices
    tables = {name: _means(scores.iloc[rows], pairs[rows]) for name, rows in rows_of.items()}
    order = [column, "value", "low", "high", "queries", "pairs", "few"]
    if not tables:
        return pd.DataFrame(columns=order)
    table = pd.concat(tables, names=[column]).reset_index(level=0)
    table = table.assign(few=table["pairs"] < MIN_GROUP_PAIRS)[order]
    return table.sort_values(["value", column], ignore_index=True)


def mean_by_groups(
    per_query: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    measure: str,
    columns: Sequence[str],
) -> pd.DataFrame:
    """Return `mean_by_group` of each direction and items column, one below the other.

    `per_query`: direction ("text-to-image") -> per-query scores. Returns direction, column, group, value, low, high,
    queries, pairs, few. A column without a value for any query is left out, as is origin where images are the queries.
    Raises ValueError where the items lack a column.

    >>> items = pd.DataFrame({"item_id": ["t1", "t2"], "pair_id": ["a", "b"], "label": ["mug", "hat"]})
    >>> scores = {"text-to-image": pd.DataFrame({"query_id": ["t1", "t2"], "RR": [1.0, 0.5]})}
    >>> mean_by_groups(scores, items, "RR", ["label"])[["group", "value"]].to_numpy().tolist()
    [['hat', 0.5], ['mug', 1.0]]
    """
    tables = []
    for column in dict.fromkeys(columns):
        for direction, scores in per_query.items():
            if column == "origin" and direction.startswith("image"):
                continue
            means = mean_by_group(scores, items, measure, column).rename(columns={column: "group"})
            tables.append(means.assign(direction=direction, column=column))
    table = pd.concat(tables, ignore_index=True)
    known = (table["group"] != NO_GROUP).groupby(table["column"]).transform("any")
    order = ["direction", "column", "group", "value", "low", "high", "queries", "pairs", "few"]
    return table.loc[known, order].reset_index(drop=True)


def _means(scores: pd.DataFrame, pairs: np.ndarray) -> pd.DataFrame:
    """Return `mean_measures` of scores (Q, M), a column per measure, whose queries belong to `pairs` (Q,)."""
    values = scores.to_numpy(dtype=float)
    if not len(values):
        return pd.DataFrame(columns=MEAN_COLUMNS)
    low, high = mean_intervals(values, pairs).T
    table = {"measure": scores.columns, "value": values.mean(axis=0), "low": low, "high": high}
    return pd.DataFrame({**table, "queries": len(values), "pairs": len(np.unique(pairs))})


def pair_numbers(query_ids: pd.Series, items: pd.DataFrame) -> np.ndarray:
    """Return the number of each query's pair among the pairs of these queries (Q,): the clusters of the statistics."""
    pairs = items.set_index("item_id")["pair_id"].loc[query_ids]
    return pd.factorize(pairs)[0]


def best_queries(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, count: int
) -> list[str]:
    """Return `count` queries that were answered at rank 1, those with the widest gap to the second score first.

    At most one query of each pair is taken, so that a page shows different things.
    """
    first, second = (
        rankings[rankings["rank"] == rank].set_index("query_id")["score"].reindex(per_query["query_id"])
        for rank in (1, 2)
    )
    table = per_query.assign(gap=(first - second).to_numpy())
    rank = find_measure(per_query.columns, "RR")
    table = table.sort_values([rank, "gap"], ascending=False, kind="stable")
    return _first_of_pairs(table, items, count)


def worst_queries(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, count: int
) -> list[str]:
    """Return `count` queries with the smallest RR, among equals those whose wrong first hit scored highest.

    At most one query of each pair is taken.
    """
    top = rankings[rankings["rank"] == 1].set_index("query_id")["score"]
    table = per_query.assign(top=top.reindex(per_query["query_id"]).to_numpy())
    rank = find_measure(per_query.columns, "RR")
    table = table.sort_values([rank, "top"], ascending=[True, False], kind="stable")
    return _first_of_pairs(table, items, count)


def random_queries(per_query: pd.DataFrame, items: pd.DataFrame, count: int, seed: int = 0) -> list[str]:
    """Return `count` queries drawn at random, at most one of each pair; the seed repeats them."""
    return _first_of_pairs(per_query.sample(frac=1, random_state=seed), items, count)


def _first_of_pairs(table: pd.DataFrame, items: pd.DataFrame, count: int) -> list[str]:
    pairs = items.set_index("item_id")["pair_id"].loc[table["query_id"]].to_numpy()
    first = ~pd.Series(pairs).duplicated().to_numpy()
    return table.loc[first, "query_id"].head(count).tolist()
