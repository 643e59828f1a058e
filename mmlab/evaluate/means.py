"""Summaries of per-query scores: means with intervals, of all queries or of each group, and example queries."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate.resampling import Seed, bootstrap_intervals
from mmlab.items import check_columns

NO_GROUP = "(none)"
MEAN_COLUMNS = ["measure", "value", "low", "high", "queries", "pairs"]


def mean_measures(per_query: pd.DataFrame, items: pd.DataFrame, seed: Seed = 0) -> pd.DataFrame:
    """Return the mean of every measure: measure, value, low, high, queries, pairs.

    `per_query`: query_id and a column per measure (`score_queries`). low and high are the 95 % interval of a bootstrap
    that resamples pairs (`bootstrap_intervals`). One pair alone tells nothing of others: its interval is all that a
    measure can be, 0 to 1. Without queries there are no rows. Raises KeyError for a query that is not among the items.

    >>> items = pd.DataFrame({"item_id": ["t1", "t2"], "pair_id": ["a", "b"]})
    >>> mean_measures(pd.DataFrame({"query_id": ["t1", "t2"], "RR": [1.0, 0.5]}), items).to_numpy().tolist()
    [['RR', 0.75, 0.5, 1.0, 2, 2]]
    """
    measures = [name for name in per_query.columns if name != "query_id"]
    return _means(per_query[measures], pair_numbers(per_query["query_id"], items), seed)


def mean_by_group(
    per_query: pd.DataFrame, items: pd.DataFrame, measure: str, column: str, seed: Seed = 0
) -> pd.DataFrame:
    """Return the mean of one measure for each value of an items column: the column, value, low, high, queries, pairs.

    The column may be label, split, origin (of captions, where texts are the queries) or one of the user's own. Groups
    are sorted from the lowest mean to the highest; queries without a value form the group "(none)". Raises ValueError
    where the items lack the column.
    """
    check_columns(items, [column], "items")
    groups = items.set_index("item_id")[column].loc[per_query["query_id"]]
    names = groups.astype("str").where(groups.notna(), NO_GROUP).to_numpy()
    pairs, scores = pair_numbers(per_query["query_id"], items), per_query[[measure]]
    rows_of = pd.Series(names).groupby(names).indices
    tables = {name: _means(scores.iloc[rows], pairs[rows], seed) for name, rows in rows_of.items()}
    order = [column, "value", "low", "high", "queries", "pairs"]
    if not tables:
        return pd.DataFrame(columns=order)
    table = pd.concat(tables, names=[column]).reset_index(level=0)[order]
    return table.sort_values(["value", column], ignore_index=True)


def mean_by_groups(
    per_query: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    measure: str,
    columns: Sequence[str],
    seed: Seed = 0,
) -> pd.DataFrame:
    """Return `mean_by_group` of each direction and items column, one below the other.

    `per_query`: direction ("text-to-image") -> per-query scores. Returns direction, column, group, value, low, high,
    queries, pairs. A column without a value for any query is left out, as is origin where images are the queries.
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
            means = mean_by_group(scores, items, measure, column, seed).rename(columns={column: "group"})
            tables.append(means.assign(direction=direction, column=column))
    table = pd.concat(tables, ignore_index=True)
    known = (table["group"] != NO_GROUP).groupby(table["column"]).transform("any")
    order = ["direction", "column", "group", "value", "low", "high", "queries", "pairs"]
    return table.loc[known, order].reset_index(drop=True)


def _means(scores: pd.DataFrame, pairs: np.ndarray, seed: Seed) -> pd.DataFrame:
    """Return `mean_measures` of scores (Q, M), a column per measure, whose queries belong to `pairs` (Q,)."""
    values = scores.to_numpy(dtype=float)
    if not len(values):
        return pd.DataFrame(columns=MEAN_COLUMNS)
    means, bounds = values.mean(axis=0), bootstrap_intervals(values, pairs, seed=seed).T
    # Sums in another order differ in their last digit, which would put a constant measure outside its interval.
    low, high = np.where(np.isclose(bounds, means, rtol=0, atol=1e-12), means, bounds)
    count = len(np.unique(pairs))
    if count == 1:
        low, high = np.zeros_like(means), np.ones_like(means)
    table = {"measure": scores.columns, "value": means, "low": low, "high": high, "queries": len(values)}
    return pd.DataFrame({**table, "pairs": count})


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
    table = table.sort_values(["RR", "gap"], ascending=False, kind="stable")
    return _first_of_pairs(table, items, count)


def worst_queries(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, count: int
) -> list[str]:
    """Return `count` queries with the smallest RR, among equals those whose wrong first hit scored highest.

    At most one query of each pair is taken.
    """
    top = rankings[rankings["rank"] == 1].set_index("query_id")["score"]
    table = per_query.assign(top=top.reindex(per_query["query_id"]).to_numpy())
    table = table.sort_values(["RR", "top"], ascending=[True, False], kind="stable")
    return _first_of_pairs(table, items, count)


def random_queries(per_query: pd.DataFrame, items: pd.DataFrame, count: int, seed: int = 0) -> list[str]:
    """Return `count` queries drawn at random, at most one of each pair; the seed repeats them."""
    return _first_of_pairs(per_query.sample(frac=1, random_state=seed), items, count)


def _first_of_pairs(table: pd.DataFrame, items: pd.DataFrame, count: int) -> list[str]:
    pairs = items.set_index("item_id")["pair_id"].loc[table["query_id"]].to_numpy()
    first = ~pd.Series(pairs).duplicated().to_numpy()
    return table.loc[first, "query_id"].head(count).tolist()
