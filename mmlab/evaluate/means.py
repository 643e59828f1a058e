"""Summaries of per-query scores: means with intervals, of all queries or of each group, and example queries."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.scoring import find_measure
from mmlab.evaluate.resampling import mean_intervals
from mmlab.items import check_columns

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
