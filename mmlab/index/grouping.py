"""One hit per pair: of several captions of an image only the best, and still `k` hits where there are so many."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import Vectors

if TYPE_CHECKING:
    from mmlab.index.index import Index

DEEPER = 4  # times deeper, when the hits are of too few pairs


def best_of_pair(index: "Index", queries: Vectors, to: str, k: int, how: dict[str, Any]) -> pd.DataFrame:
    """The best item of each of the `k` first pairs of every query, as rankings; an item without a pair is its own.

    Searches deeper until every query has `k` pairs or all items have been seen.
    """
    name = index.collection(queries.space, to)
    held = index.store.count(name, how["where"], to)
    depth = k
    while True:
        depth = min(DEEPER * depth, held)
        if not depth:
            return index.store.search(name, queries, k, to=to, **how)
        found = index.store.search(name, queries, depth, to=to, **how)
        kept = _first_of_pair(index, found, k)
        if depth == held or (kept.groupby("query_id").size() >= k).all():
            return kept


def _first_of_pair(index: "Index", found: pd.DataFrame, k: int) -> pd.DataFrame:
    ids = found["item_id"].unique()
    payload = index.fetch(ids).set_index("item_id")
    pair = payload["pair_id"].fillna(pd.Series(payload.index, index=payload.index))
    first = ~found.assign(pair=found["item_id"].map(pair)).duplicated(["query_id", "pair"])
    kept = found[first]
    rank = kept.groupby("query_id", sort=False).cumcount() + 1
    return kept.assign(rank=rank)[rank <= k].reset_index(drop=True)
