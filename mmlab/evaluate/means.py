"""Per-query scores -> means with their intervals, of all queries or of each group."""

import numpy as np
import pandas as pd

from mmlab.evaluate.statistics import bootstrap_intervals
from mmlab.items import check_columns

NO_GROUP = "(none)"


def mean_measures(per_query: pd.DataFrame, items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The mean of every measure: measure, value, low, high (95 % by pair, see `bootstrap_intervals`), queries."""
    measures = [name for name in per_query.columns if name != "query_id"]
    pairs = items.set_index("item_id")["pair_id"].loc[per_query["query_id"]].to_numpy()
    values = per_query[measures].to_numpy(dtype=float)
    means, bounds = values.mean(axis=0), bootstrap_intervals(values, pairs, seed=seed).T
    # Sums in another order differ in their last digit, which would put a constant measure beside its interval.
    low, high = np.where(np.isclose(bounds, means, rtol=0, atol=1e-12), means, bounds)
    return pd.DataFrame(
        {"measure": measures, "value": means, "low": low, "high": high, "queries": len(values)}
    )


def mean_by_group(
    per_query: pd.DataFrame, items: pd.DataFrame, measure: str, column: str, seed: int = 0
) -> pd.DataFrame:
    """The mean of one measure for each value of an items column: that column, value, low, high, queries.

    Sorted from worst to best; queries without a value form the group "(none)".
    """
    check_columns(items, [column], "items")
    groups = items.set_index("item_id")[column].loc[per_query["query_id"]]
    groups = groups.astype("str").where(groups.notna(), NO_GROUP).to_numpy()
    rows = []
    for name, part in per_query[["query_id", measure]].groupby(groups):
        mean = mean_measures(part, items, seed).drop(columns="measure")
        rows.append(mean.assign(**{column: name}))
    table = pd.concat(rows, ignore_index=True)[[column, "value", "low", "high", "queries"]]
    return table.sort_values(["value", column], ignore_index=True)
