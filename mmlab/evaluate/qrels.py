"""What counts as a right answer."""

import pandas as pd

from mmlab.items import QREL_COLUMNS, check_columns

MODALITIES = ("text", "image")


def qrels_from_pairs(items: pd.DataFrame, queries: str, gallery: str) -> pd.DataFrame:
    """Exact relevance: an item answers the queries of the other modality that share its `pair_id`.

    `queries` and `gallery` are "text" and "image", in either order. Returns query_id, item_id and
    relevance 1, one row per right answer. A query whose pair has no item in the gallery has no row:
    it cannot be judged.
    """
    if sorted((queries, gallery)) != sorted(MODALITIES):
        raise ValueError(f"queries and gallery are 'text' and 'image', found {queries!r} and {gallery!r}")
    check_columns(items, ("item_id", "modality", "pair_id"), "items")
    sides = [items.loc[items["modality"] == side, ["item_id", "pair_id"]] for side in (queries, gallery)]
    pairs = sides[0].rename(columns={"item_id": "query_id"}).merge(sides[1], on="pair_id")
    return pairs.assign(relevance=1)[list(QREL_COLUMNS)]
