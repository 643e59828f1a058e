"""Misses that may be none: items above the right answer whose captions say nearly the same."""

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.ranks import right_ranks
from mmlab.items import Vectors, check_columns, is_among

ALIKE = 0.95
FIRST = 10
BLOCK = 100_000  # pairs of texts at a time


def suspected_false_negatives(
    vectors: Vectors,
    items: pd.DataFrame,
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    threshold: float = ALIKE,
    first: int = FIRST,
) -> pd.DataFrame:
    """Items ranked above the first right answer, within the `first` ranks, that may be right too: most alike first.

    score is the highest cosine of a text of the query (itself, or those of its pair if it is an image) and a
    text of the item (the same way), and at least `threshold`; `vectors` are those of the texts, of others nothing is
    needed. Returns query_id, item_id, rank, score, query_text, item_text, reason; items that `qrels` calls right
    are not listed, nor items without a text.
    """
    check_columns(items, ("item_id", "modality", "pair_id", "text"), "items")
    above = _above(rankings, qrels, first)
    texts = _texts_of(items[(items["modality"] == "image") | is_among(items["item_id"], vectors.ids)])
    both = above.merge(texts.add_prefix("query_"), on="query_id").merge(
        texts.add_prefix("item_"), on="item_id"
    )
    both["score"] = _cosines(vectors, both["query_text_id"], both["item_text_id"])
    best = both.loc[both.groupby(["query_id", "item_id"], sort=False)["score"].idxmax()]
    best = best[best["score"] >= threshold].sort_values("score", ascending=False, kind="stable")
    reasons = [f"at rank {rank}, above the right answer; captions alike with {score:.2f}"
               for rank, score in zip(best["rank"], best["score"], strict=True)]  # fmt: skip
    best = best[["query_id", "item_id", "rank", "score", "query_text", "item_text"]]
    return best.assign(reason=pd.array(reasons, dtype="str")).reset_index(drop=True)


def alike(suspects: pd.DataFrame, threshold: float = ALIKE) -> pd.DataFrame:
    """Of a list made with a lower threshold the rows that reach this one."""
    return suspects[suspects["score"] >= threshold].reset_index(drop=True)


def _above(rankings: pd.DataFrame, qrels: pd.DataFrame, first: int) -> pd.DataFrame:
    """query_id, item_id and rank of the wrong hits of judged queries above their first right answer."""
    ranks = right_ranks(rankings, qrels, ties="as ranked")
    best = ranks.groupby("query_id")["rank"].min().fillna(np.inf)
    limit = rankings["query_id"].map(best)  # NaN, and so no hit is above, where the query is not judged
    chosen = (rankings["rank"] < limit) & (rankings["rank"] <= first)
    return rankings.loc[chosen, ["query_id", "item_id", "rank"]]


def _texts_of(items: pd.DataFrame) -> pd.DataFrame:
    """The texts that speak for an item, itself or for an image those of its pair: id, text_id, text."""
    texts = items.loc[items["modality"] == "text", ["item_id", "pair_id", "text"]]
    images = items.loc[items["modality"] == "image", ["item_id", "pair_id"]]
    themselves = texts.assign(id=texts["item_id"])
    through_pairs = images.rename(columns={"item_id": "id"}).merge(texts, on="pair_id")
    both = pd.concat([themselves, through_pairs], ignore_index=True)
    return both.rename(columns={"item_id": "text_id"})[["id", "text_id", "text"]]


def _cosines(vectors: Vectors, first: pd.Series, second: pd.Series) -> np.ndarray:
    rows = pd.Index(vectors.ids)
    left, right = rows.get_indexer(first), rows.get_indexer(second)
    cosines = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), BLOCK):
        part = slice(start, start + BLOCK)
        cosines[part] = np.einsum("nd,nd->n", vectors.array[left[part]], vectors.array[right[part]])
    return cosines
