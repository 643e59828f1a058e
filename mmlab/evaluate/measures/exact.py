"""The exact ranks of right answers in the whole gallery, counted without making rankings."""

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.ranks import relevant
from mmlab.items import Vectors, score_blocks

EQUAL = 1e-6  # cosines this close are equal: a product's last digits depend on its place in the matrix


def exact_ranks(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """The rank of every right answer in the whole gallery, ties against it: query_id, item_id, relevance, rank.

    The same ranks as `right_ranks` gives for rankings of the whole gallery, without making them. Cosines that differ by
    1e-6 or less are ties. An answer is NaN where it or its query has no vector. Raises
    SpaceMismatch for vectors of two spaces.
    """
    queries.space.check_same(gallery.space)
    right = relevant(qrels)
    query = pd.Index(queries.ids).get_indexer(right["query_id"])
    item = pd.Index(gallery.ids).get_indexer(right["item_id"])
    ranks = np.full(len(right), np.nan)
    known = np.flatnonzero((query >= 0) & (item >= 0))
    known = known[np.argsort(query[known], kind="stable")]
    own, at_least = _count(queries.array, gallery.array, query[known], item[known])
    grades = right["relevance"].to_numpy(dtype=float)[known]
    ranks[known] = at_least + _among_right(query[known], own, grades)
    return right.assign(rank=ranks)


def _count(
    queries: np.ndarray, gallery: np.ndarray, query: np.ndarray, item: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For answers sorted by query: their own score, and how many items score as much or more, both (A,)."""
    own, at_least = np.empty(len(query), dtype=np.float32), np.empty(len(query))
    for rows, scores in score_blocks(queries, gallery):
        first, last = np.searchsorted(query, [rows.start, rows.stop])
        for start in range(first, last, len(scores)):  # as many answers at a time as the block has rows
            part = slice(start, min(start + len(scores), last))
            row = query[part] - rows.start
            own[part] = scores[row, item[part]]
            at_least[part] = np.count_nonzero(scores[row] >= _least(own[part])[:, None], axis=1)
    return own, at_least


def _among_right(query: np.ndarray, own: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """What to add to the count of items as good: right answers stand in each other's way once only (A,).

    Of the right answers of a query that score as much as this one, itself included, only those before it in
    the order (score, then the lower grade first) count.
    """
    order = np.lexsort((grades, -own, query))
    position = np.empty(len(query))
    position[order] = np.arange(len(query)) - np.searchsorted(query, query) + 1
    line = np.sort(query * 4.0 + own)  # cosines lie in [-1, 1]: the queries keep apart
    end = np.searchsorted(query, query, side="right")
    return position - (end - np.searchsorted(line, query * 4.0 + _least(own)))


def _least(own: np.ndarray) -> np.ndarray:
    """The smallest scores that still count as equal, float32."""
    return own - np.float32(EQUAL)
