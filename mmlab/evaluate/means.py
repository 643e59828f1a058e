"""Per-query scores -> means with their intervals, of all queries or of each group."""

import numpy as np
import pandas as pd

from mmlab.evaluate.statistics import bootstrap_intervals
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
    values, pairs = per_query[measures].to_numpy(dtype=float), pairs_of(per_query["query_id"], items)
    means, bounds = values.mean(axis=0), bootstrap_intervals(values, pairs, seed=seed).T
    # Sums in another order differ in their last digit, which would put a constant measure beside its interval.
    low, high = np.where(np.isclose(bounds, means, rtol=0, atol=1e-12), means, bounds)
    count = len(np.unique(pairs))
    if count == 1:
        low, high = 0.0, 1.0
    table = {"measure": measures, "value": means, "low": low, "high": high, "queries": len(values)}
    return pd.DataFrame({**table, "pairs": count})


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
    rows = []
    for name, part in per_query[["query_id", measure]].groupby(groups):
        mean = mean_measures(part, items, seed).drop(columns="measure")
        rows.append(mean.assign(**{column: name}))
    table = pd.concat(rows, ignore_index=True)[[column, "value", "low", "high", "queries", "pairs"]]
    return table.sort_values(["value", column], ignore_index=True)


def pairs_of(query_ids: pd.Series, items: pd.DataFrame) -> np.ndarray:
    """The number of each query's pair among the pairs of these queries (Q,): the clusters of the statistics."""
    pairs = items.set_index("item_id")["pair_id"].loc[query_ids]
    return pd.factorize(pairs)[0]
