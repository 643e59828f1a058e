"""Per-query scores -> means with their intervals, of all queries or of each group."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate.statistics.resampling import bootstrap_intervals
from mmlab.items import check_columns

NO_GROUP = "(none)"


def mean_measures(
    per_query: pd.DataFrame, items: pd.DataFrame, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """The mean of every measure: measure, value, low, high (95 % by pair), queries, pairs.

    Intervals resample pairs (`bootstrap_intervals`). One pair alone tells nothing of others: its interval is
    all that a measure can be, 0 to 1.
    """
    measures = [name for name in per_query.columns if name != "query_id"]
    return _means(per_query[measures], pairs_of(per_query["query_id"], items), seed)


def mean_by_group(
    per_query: pd.DataFrame,
    items: pd.DataFrame,
    measure: str,
    column: str,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """The mean of one measure for each value of an items column: that column, value, low, high, queries, pairs.

    The column may be label, split, origin (of captions, where texts are the queries) or one of the user's own.
    Sorted from worst to best; queries without a value form the group "(none)".
    """
    check_columns(items, [column], "items")
    groups = items.set_index("item_id")[column].loc[per_query["query_id"]]
    groups = groups.astype("str").where(groups.notna(), NO_GROUP).to_numpy()
    pairs, scores = pairs_of(per_query["query_id"], items), per_query[[measure]]
    named = pd.Series(groups).groupby(groups).indices.items()  # name -> the rows of its queries
    tables = {name: _means(scores.iloc[rows], pairs[rows], seed) for name, rows in named}
    table = pd.concat(tables, names=[column]).reset_index(level=0)
    table = table[[column, "value", "low", "high", "queries", "pairs"]]
    return table.sort_values(["value", column], ignore_index=True)


def mean_by_groups(
    per_query: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    measure: str,
    columns: Sequence[str],
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """`mean_by_group` for each direction and items column: direction, column, group, value, low, high, queries, pairs.

    `per_query`: direction ("text-to-image") -> per-query scores. A column in which no query of any direction has a
    value is left out, as is origin for images, which have none but "image".
    """
    tables = []
    for column in dict.fromkeys(columns):
        for direction, scores in per_query.items():
            if column == "origin" and direction.startswith("image"):
                continue
            means = mean_by_group(scores, items, measure, column, seed).rename(columns={column: "group"})
            tables.append(means.assign(direction=direction, column=column))
    table = pd.concat(tables, ignore_index=True)
    known = (table["group"] != NO_GROUP).groupby(table["column"]).transform("any")
    order = ["direction", "column", "group", "value", "low", "high", "queries", "pairs"]
    return table.loc[known, order].reset_index(drop=True)


def _means(scores: pd.DataFrame, pairs: np.ndarray, seed: int | np.random.Generator) -> pd.DataFrame:
    """`mean_measures` of scores (Q, M), a column per measure, whose queries belong to `pairs` (Q,)."""
    values = scores.to_numpy(dtype=float)
    means, bounds = values.mean(axis=0), bootstrap_intervals(values, pairs, seed=seed).T
    # Sums in another order differ in their last digit, which would put a constant measure beside its interval.
    low, high = np.where(np.isclose(bounds, means, rtol=0, atol=1e-12), means, bounds)
    count = len(np.unique(pairs))
    if count == 1:
        low, high = 0.0, 1.0
    table = {"measure": scores.columns, "value": means, "low": low, "high": high, "queries": len(values)}
    return pd.DataFrame({**table, "pairs": count})


def pairs_of(query_ids: pd.Series, items: pd.DataFrame) -> np.ndarray:
    """The number of each query's pair among the pairs of these queries (Q,): the clusters of the statistics."""
    pairs = items.set_index("item_id")["pair_id"].loc[query_ids]
    return pd.factorize(pairs)[0]
