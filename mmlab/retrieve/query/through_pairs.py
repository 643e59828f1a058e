"""Through pairs: a caption that is found stands for its image, where texts and images share no space."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mmlab.index import Index
from mmlab.items import Vectors
from mmlab.items.rankings import drop_self_matches, first_rows

DEEPER = 4  # times deeper, when the hits stand for too few items
FEW = 1000  # pairs that are asked for by name; of more, all items are read


def rank_through_pairs(
    index: Index,
    queries: Vectors,
    to: str,
    k: int,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    through: str = "text",
    **how: Any,
) -> pd.DataFrame:
    """The items of modality `to` whose pair has an item of modality `through` near the query, best first.

    An item scores as the best hit of its pair, which the column `via` names; the query's own item is no hit. `where`
    holds for the items of modality `to`. Searches deeper until every query has `k` items or all hits have been
    seen. `how`: more settings of `Index.search`.
    """
    with index.session():
        held = index.store.count(index.collection(queries.space, through), to=through)
        depth = k
        while True:
            depth = min(DEEPER * depth, held)
            found = index.search(queries, through, max(depth, 1), exact=exact, **how)
            ranked = _stand_in(found, *_pairs(index, found, to, where), k)
            if depth == held or len(ranked) == k * len(queries):
                return ranked


def _pairs(
    index: Index, found: pd.DataFrame, to: str, where: Mapping[str, Any] | None
) -> tuple[pd.Series, pd.DataFrame]:
    """The pair of every hit, by its id; and item_id and pair_id of the items of modality `to` in such pairs."""
    pair = index.fetch(found["item_id"].unique()).set_index("item_id")["pair_id"].dropna()
    wanted = dict(where or {})
    if len(pair) <= FEW and len(pair) and "pair_id" not in wanted:
        wanted["pair_id"] = pair.unique().tolist()
    return pair, index.items(wanted, to)[["item_id", "pair_id"]].dropna()


def _stand_in(found: pd.DataFrame, pair: pd.Series, targets: pd.DataFrame, k: int) -> pd.DataFrame:
    """In place of every hit the items of its pair, each once and at its best hit."""
    others = drop_self_matches(found).rename(columns={"item_id": "via"})
    hits = others.assign(pair_id=others["via"].map(pair))
    ranked = hits.merge(targets, on="pair_id").drop_duplicates(["query_id", "item_id"])
    return first_rows(ranked, k)[["query_id", "item_id", "rank", "score", "via"]]
