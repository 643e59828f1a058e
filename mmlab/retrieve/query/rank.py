"""Many queries that already have vectors -> rankings, as evaluation reads them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mmlab.index import Index
from mmlab.items import Vectors
from mmlab.items.rankings import drop_self_matches, first_rows
from mmlab.retrieve.query.through_pairs import rank_through_pairs


def rank(
    index: Index,
    queries: Vectors,
    to: str,
    k: int = 100,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    through: str | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Rank the items of modality `to` for every query: query_id, item_id, rank from 1, score (cosine).

    At most `k` rows per query, queries in their own order. A query that is itself in the index is left out of its own
    ranking: it would always be found first. Where the queries' space holds no `to`, or `through` names a modality
    to search instead, the ranking goes through pairs and has a column `via`: see `rank_through_pairs`. `how`: more
    settings of `Index.search`. Raises SpaceMismatch for queries of a space that the index has not.
    """
    if k < 1:
        raise ValueError(f"k is the number of items for each query, at least 1; found {k}")
    with index.session():
        through = through or way(index, queries, to)
        if through:
            return rank_through_pairs(index, queries, to, k, where, exact, through, **how)
        held = index.store.count(index.collection(queries.space, to), to=to)
        found = index.search(queries, to, max(min(k + 1, held), 1), where, exact, **how)
    return first_rows(drop_self_matches(found), k)


def way(index: Index, queries: Vectors, to: str) -> str | None:
    """The modality that is searched to get to `to`: None where the queries' space holds it itself.

    Raises SpaceMismatch, naming what differs, for queries of a space that the index has not.
    """
    held = index.modalities(queries.space)
    return None if to in held or not held else held[0]
