"""Who stands near an item: the nearest others of its own modality, the nearest right answer of the other."""

import numpy as np
import pandas as pd

from mmlab.items import Vectors, is_among, score_blocks


def nearest_others(
    rows: np.ndarray, array: np.ndarray, groups: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each of `rows` (Q,) the `count` nearest other rows of `array` (N, D), those of its own group left out.

    `groups`: a number per row of `array` (N,). Returns rows, nearest first, and cosines, both
    (Q, min(count, N)); where there are fewer others, row -1 and cosine -inf fill the end.
    """
    count = min(count, len(array))
    nearest = np.empty((len(rows), count), dtype=np.int64)
    cosines = np.empty((len(rows), count), dtype=np.float32)
    for part, scores in score_blocks(array[rows], array):
        scores[groups[rows[part]][:, None] == groups] = -np.inf
        top = np.argpartition(scores, len(array) - count, axis=1)[:, len(array) - count :]
        found = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        cosines[part] = np.take_along_axis(found, order, axis=1)
        nearest[part] = np.where(np.isinf(cosines[part]), -1, np.take_along_axis(top, order, axis=1))
    return nearest, cosines


def nearest_right(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """The right answer nearest to each query, where both have a vector: query_id, item_id, cosine.

    Between two spaces there is no cosine: then it is NaN, and the first right answer stands for all.
    """
    known = is_among(qrels["query_id"], queries.ids) & is_among(qrels["item_id"], gallery.ids)
    right = qrels.loc[known & (qrels["relevance"] > 0), ["query_id", "item_id"]].reset_index(drop=True)
    if queries.space != gallery.space:
        return right.drop_duplicates("query_id", ignore_index=True).assign(cosine=np.nan)
    left = queries.array[pd.Index(queries.ids).get_indexer(right["query_id"])]
    other = gallery.array[pd.Index(gallery.ids).get_indexer(right["item_id"])]
    right["cosine"] = np.einsum("nd,nd->n", left, other)
    best = right.groupby("query_id", sort=False)["cosine"].idxmax()
    return right.loc[best].reset_index(drop=True)
