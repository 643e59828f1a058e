"""Per-query scores -> means with their intervals, of all queries or of each group."""

import pandas as pd

from mmlab.evaluate.statistics import bootstrap_intervals

NO_GROUP = "(none)"


def mean_measures(per_query: pd.DataFrame, items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The mean of every measure: measure, value, low, high (95 % by pair, see `bootstrap_intervals`), queries."""
    measures = [name for name in per_query.columns if name != "query_id"]
    pairs = items.set_index("item_id")["pair_id"].loc[per_query["query_id"]].to_numpy()
    values = per_query[measures].to_numpy(dtype=float)
    low, high = bootstrap_intervals(values, pairs, seed=seed).T
    return pd.DataFrame(
        {"measure": measures, "value": values.mean(axis=0), "low": low, "high": high, "queries": len(values)}
    )


def mean_by_group(
    per_query: pd.DataFrame, items: pd.DataFrame, measure: str, column: str, seed: int = 0
) -> pd.DataFrame:
    """The mean of one measure for each value of an items column: that column, value, low, high, queries.

    Sorted from worst to best; queries without a value form the group "(none)".
    """
    groups = items.set_index("item_id")[column].loc[per_query["query_id"]].fillna(NO_GROUP).to_numpy()
    rows = []
    for name, part in per_query[["query_id", measure]].groupby(groups):
        mean = mean_measures(part, items, seed).drop(columns="measure")
        rows.append(mean.assign(**{column: name}))
    table = pd.concat(rows, ignore_index=True)[[column, "value", "low", "high", "queries"]]
    return table.sort_values(["value", column], ignore_index=True)
