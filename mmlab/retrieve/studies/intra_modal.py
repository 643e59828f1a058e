"""Queries among their own kind, texts for texts and images for images: rankings and what is right in them."""

import numpy as np
import pandas as pd

from mmlab.items import Vectors, exact_search, is_among
from mmlab.retrieve.scores.query_split import fold_queries

WITHIN = {"text-to-text": ("text", "pair_id"), "image-to-image": ("image", "label")}
MOST = 1000  # queries of a direction on each side of the fold


def rank_within(
    vectors: Vectors, items: pd.DataFrame, k: int = 100, seed: int = 0
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The rankings and the qrels of "text-to-text", another text of the pair being right, and of "image-to-image",
    another image of the label being right; a direction that no query has an answer in is left out.

    For calibrating: only the queries to fit on and those to judge on (`fold_queries`) are ranked, up to 1,000 of each.
    """
    ranked, qrels = {}, {}
    for name, (modality, column) in WITHIN.items():
        own = items[
            (items["modality"] == modality) & is_among(items["item_id"], vectors.ids) & items[column].notna()
        ]
        answered = own[own.duplicated(column, keep=False)]
        if answered[column].nunique() < 2 or answered["pair_id"].nunique() < 2:
            continue
        fold = fold_queries(items, answered["item_id"], seed)
        rng = np.random.default_rng(seed)
        drawn = [
            item for side in (fold.fitting, fold.judging) for item in rng.permutation(sorted(side))[:MOST]
        ]
        ranked[name] = exact_search(vectors.take(drawn), vectors.take(own["item_id"]), k)
        qrels[name] = _alike(own, drawn, column)
    return ranked, qrels


def _alike(items: pd.DataFrame, queries: list[str], column: str) -> pd.DataFrame:
    """The items that share a query's value, the query itself left out: query_id, item_id, relevance 1."""
    known = items[["item_id", column]]
    asked = known[is_among(known["item_id"], queries)].rename(columns={"item_id": "query_id"})
    both = asked.merge(known, on=column)
    right = both.loc[both["query_id"] != both["item_id"], ["query_id", "item_id"]]
    return right.assign(relevance=1).reset_index(drop=True)
