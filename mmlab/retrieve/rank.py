"""Many queries that already have vectors -> rankings, as evaluation reads them."""

from typing import Any

import pandas as pd

from mmlab.index import Store
from mmlab.items import Vectors


def rank(
    store: Store,
    collection: str,
    queries: Vectors,
    to: str,
    k: int = 100,
    where: dict[str, Any] | None = None,
    exact: bool = False,
) -> pd.DataFrame:
    """Rank the items of modality `to` for every query: query_id, item_id, rank from 1, score (cosine).

    At most `k` rows per query, queries in their own order. A query that is itself in the collection is
    left out of its own ranking: it would always be found first.
    """
    conditions = {**(where or {}), "modality": to}
    found = store.search(collection, queries, k + 1, where=conditions, exact=exact)
    others = found[found["query_id"] != found["item_id"]]
    position = others.groupby("query_id", sort=False).cumcount() + 1
    return others.assign(rank=position)[position <= k].reset_index(drop=True)
