"""Exact search by dot products, in blocks: what the vectors themselves say, before any index.

Q queries, N items in the gallery, D dimensions. A block of scores has 64 MB, whatever the size of the gallery.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mmlab.evaluate.ties import relevant
from mmlab.items import Vectors

BLOCK = 16_000_000  # scores at a time
EQUAL = 1e-6  # cosines this close are equal: a product's last digits depend on its place in the matrix


def score_blocks(queries: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of queries (Q, D) and their dot products with the gallery (N, D), block by block: slice, (rows, N)."""
    size = max(1, BLOCK // max(1, len(gallery)))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        yield rows, queries[rows] @ gallery.T


def best_rows(queries: np.ndarray, gallery: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the `depth` best items of each query, best first, and their scores: both (Q, min(depth, N))."""
    depth = min(depth, len(gallery))
    rows = np.empty((len(queries), depth), dtype=np.int64)
    values = np.empty((len(queries), depth), dtype=np.float32)
    for part, scores in score_blocks(queries, gallery):
        top = np.argpartition(scores, len(gallery) - depth, axis=1)[:, len(gallery) - depth :]
        found = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        rows[part] = np.take_along_axis(top, order, axis=1)
        values[part] = np.take_along_axis(found, order, axis=1)
    return rows, values


def exact_rankings(queries: Vectors, gallery: Vectors, depth: int = 100) -> pd.DataFrame:
    """The `depth` best items of each query by cosine: query_id, item_id, rank from 1, score.

    Which of several equal items stand at the last ranks is left open; `exact_ranks` counts them all.
    Raises SpaceMismatch for vectors of two spaces, ValueError for a depth under 1 or an empty gallery.
    """
    queries.space.check_same(gallery.space)
    if depth < 1 or not len(gallery):
        raise ValueError(f"expected depth >= 1 and a gallery, found {depth} and {len(gallery)} items")
    rows, scores = best_rows(queries.array, gallery.array, depth)
    columns = {
        "query_id": pd.array(queries.ids, dtype="str").repeat(rows.shape[1]),
        "item_id": pd.array(gallery.ids, dtype="str").take(rows.ravel()),
        "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(rows)),
        "score": scores.ravel(),
    }
    return pd.DataFrame(columns, copy=False)


def exact_ranks(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """The rank of every right answer in the whole gallery, ties against it: query_id, item_id, relevance, rank.

    What `right_ranks` returns for rankings without an end, but without making them. Cosines that differ by
    1e-6 or less are ties. An answer is NaN where it or its query has no vector. Raises as `exact_rankings`.
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
