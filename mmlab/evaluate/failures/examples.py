"""Which queries to look at first: of each pair one at most, so that a page shows different things."""

import pandas as pd


def best_queries(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, count: int
) -> list[str]:
    """Queries answered right away and clearly: RR = 1, the widest gap between the first two scores first."""
    first_two = rankings[rankings["rank"] <= 2].pivot(index="query_id", columns="rank", values="score")
    gap = (first_two.get(1) - first_two.get(2, 0.0)).reindex(per_query["query_id"]).to_numpy()
    return _first(per_query.assign(gap=gap), items, ["RR", "gap"], [False, False], count)


def worst_queries(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, count: int
) -> list[str]:
    """Queries answered worst: the smallest RR first, among equals the one that was most sure of its mistake."""
    top = rankings[rankings["rank"] == 1].set_index("query_id")["score"]
    top = top.reindex(per_query["query_id"]).to_numpy()
    return _first(per_query.assign(top=top), items, ["RR", "top"], [True, False], count)


def random_queries(per_query: pd.DataFrame, items: pd.DataFrame, count: int, seed: int = 0) -> list[str]:
    """Queries drawn by chance, for what the best and the worst hide: the seed repeats them."""
    return _first(per_query.sample(frac=1, random_state=seed), items, [], [], count)


def _first(
    table: pd.DataFrame, items: pd.DataFrame, by: list[str], ascending: list[bool], count: int
) -> list[str]:
    pairs = items.set_index("item_id")["pair_id"].loc[table["query_id"]].to_numpy()
    ordered = table.assign(pair_id=pairs)
    if by:
        ordered = ordered.sort_values(by, ascending=ascending, kind="stable")
    return ordered.drop_duplicates("pair_id")["query_id"].head(count).tolist()
