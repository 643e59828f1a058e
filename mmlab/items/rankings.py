"""Rankings: their one order, exact search that makes them, and the directions in which queries are asked.

Every ranking is ordered by score from high to low, equal scores by item_id, with ranks from 1. The last digits of a
cosine depend on the place of its vectors in a matrix, so scores that follow each other within 1e-6 are made equal where
they are made. Letters: Q queries, N items, D dimensions, R rows; a row is one (query, item) of a ranking.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.items.ragged_vectors import AnyVectors, SparseVectors
from mmlab.items.tables import RANKING_COLUMNS, Ids, check_columns

MODALITIES = ("text", "image")
DIRECTIONS = {"text-to-image": ("text", "image"), "image-to-text": ("image", "text")}
SELECTED_QUERIES = 256  # whose best items are selected at a time, which bounds the copies of their scores
SORTED_ROWS = 8192  # that are sorted at a time: they fit the processor's cache
SCORE_TOLERANCE = 1e-6  # cosines this close are equal
LEAST_GROUPS, GROUPS_PER_BEST = 512, 4  # of columns whose highest scores bound the k-th best of a row
ALL = slice(None)


def opposite_modality(modality: str) -> str:
    """Return "image" for "text" and "text" for "image"."""
    return "image" if modality == "text" else "text"


class OwnPairs(NamedTuple):
    """The pair_id by item, and of each query the document of its pair without the query: see `SparseVectors.own`."""

    pairs: pd.Series
    documents: SparseVectors


def exact_search(
    queries: AnyVectors, gallery: AnyVectors, k: int = 100, own: OwnPairs | None = None
) -> pd.DataFrame:
    """Return the `k` items of the gallery with the highest score for every query: query_id, item_id, rank, score.

    The score is the cosine of dense vectors, the sum over shared terms of sparse ones (an item that shares none is no
    hit), MaxSim of late interaction. Compares the vectors at hand, without a store. A query that is itself in the
    gallery is left out of its own ranking. own: the documents by which a query finds items of its own pair. Raises
    SpaceMismatch for vectors of two spaces, ValueError for `k` below 1 and for an empty gallery.

    >>> from mmlab.items import Space
    >>> space = Space("toy", "1", "", "", "", 2)
    >>> gallery = Vectors(["a", "b"], [[1.0, 0.0], [0.0, 1.0]], space)
    >>> exact_search(Vectors(["q"], [[0.6, 0.8]], space), gallery, k=1)[["item_id", "rank"]].values.tolist()
    [['b', 1]]
    """
    queries.space.check_same(gallery.space)
    if k < 1 or not len(gallery):
        raise ValueError(f"expected k of at least 1 and a gallery, found k = {k} and {len(gallery)} items")
    rows = np.arange(len(queries))
    blocks = ((rows[part], scores) for part, scores in _score_blocks(queries, gallery, own))
    if not np.isin(queries.ids, gallery.ids).any():
        return rankings_from_blocks(blocks, queries.ids, gallery.ids, k)
    return first_rows(drop_self_matches(rankings_from_blocks(blocks, queries.ids, gallery.ids, k + 1)), k)


def _score_blocks(
    queries: Any, gallery: AnyVectors, own: OwnPairs | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the places of queries and their scores (Q, N), -inf for sparse items without a shared term."""
    if not isinstance(gallery, SparseVectors):
        yield from queries.score_blocks(gallery)
        return
    queries = queries.by_rarity_in(gallery)
    if own:
        codes = pd.factorize(own.pairs.reindex([*queries.ids, *gallery.ids]))[0]  # -1 without a pair
        asked, found = codes[: len(queries), None], codes[len(queries) :]
        by_own = queries.score_each(own.documents)[:, None]
    for part, scores in queries.score_blocks(gallery):
        if own:
            scores = np.where((asked[part] == found) & (found >= 0), by_own[part], scores)
        yield part, np.where(scores > 0, scores, -np.inf)


@dataclass(frozen=True)
class Coded:
    """Several tables of (query, item) rows as whole numbers: the names, then one array per table.

    Queries (Q,) are numbered as they first appear, items (N,) as their ids sort, so that a lower code wins a tie.
    """

    queries: pd.Index
    items: pd.Index
    query: list[np.ndarray]
    item: list[np.ndarray]

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame]) -> "Coded":
        """Give the query_id and item_id of the tables whole numbers; raise ValueError where one is missing."""
        query, queries = _factorize(tables, "query_id", sort=False)
        item, items = _factorize(tables, "item_id", sort=True)
        return cls(queries, items, query, item)

    def key(self, table: int, rows: slice = ALL) -> np.ndarray:
        """Return one whole number for each (query, item) of a table, or of some of its rows."""
        return self.query[table][rows].astype(np.int64) * max(len(self.items), 1) + self.item[table][rows]

    def rankings(self, query: np.ndarray, item: np.ndarray, score: np.ndarray) -> pd.DataFrame:
        """Return rows of codes, which must stand in the order of `sort_rows`, as rankings."""
        columns = (self.queries[query].array, self.items[item].array, ranks(query), score)
        return pd.DataFrame(dict(zip(RANKING_COLUMNS, columns, strict=True)), copy=False)


def rank_by_score(rankings: pd.DataFrame) -> pd.DataFrame:
    """Rank the rows anew by their score: equal scores by item_id, queries as they first appear.

    Other columns are kept. Raises ValueError for scores that are missing or not finite and for an item that a query
    has twice.

    >>> rankings = pd.DataFrame({"query_id": ["q", "q"], "item_id": ["a", "b"], "rank": [1, 2], "score": [0.1, 0.9]})
    >>> rank_by_score(rankings)["item_id"].tolist()
    ['b', 'a']
    """
    score = finite_scores(rankings)
    coded = Coded.of([rankings])
    check_once(coded, 0)
    order = sort_rows(coded.query[0], coded.item[0], score)
    return rankings.iloc[order].assign(rank=ranks(coded.query[0])).reset_index(drop=True)


def tie_near_scores(rankings: pd.DataFrame) -> pd.DataFrame:
    """Return sorted rankings in which scores that follow each other within 1e-6 are equal, and ranked by item_id.

    >>> near = pd.DataFrame({"query_id": "q", "item_id": ["b", "a"], "rank": [1, 2], "score": [0.5000001, 0.5]})
    >>> tie_near_scores(near)[["item_id", "rank", "score"]].to_numpy().tolist()
    [['a', 1, 0.5000001], ['b', 2, 0.5000001]]
    """
    score = rankings["score"].to_numpy()
    level = _level(pd.factorize(rankings["query_id"])[0], score)
    return rankings if np.array_equal(level, score) else rank_by_score(rankings.assign(score=level))


def drop_self_matches(rankings: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose item is not the query itself: an item that asks would always be found first."""
    return rankings[rankings["query_id"] != rankings["item_id"]]


def first_rows(rankings: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return the first `k` rows of each query as they stand, ranked anew from 1."""
    place = rankings.groupby("query_id", sort=False).cumcount() + 1
    return rankings.assign(rank=place)[place <= k].reset_index(drop=True)


def no_rankings() -> pd.DataFrame:
    """Return rankings without any rows."""
    ids, scores = pd.array([], dtype="str"), np.array([], dtype=np.float32)
    return pd.DataFrame({"query_id": ids, "item_id": ids, "rank": np.array([], dtype=int), "score": scores})


def rankings_from_scores(
    scores: np.ndarray,
    query_ids: Sequence[str] | np.ndarray,
    item_ids: Sequence[str] | np.ndarray,
    k: int | None = None,
) -> pd.DataFrame:
    """Return a score matrix (Q, N) as rankings: the best `k` items of every query, all of them without `k`.

    Raises ValueError where the matrix has another shape, a score that is not finite, or an id comes twice.

    >>> rankings_from_scores(np.array([[0.1, 0.9]]), ["q"], ["a", "b"])["item_id"].tolist()
    ['b', 'a']
    """
    scores = np.asarray(scores)
    if scores.shape != (len(query_ids), len(item_ids)):
        raise ValueError(f"scores: expected {(len(query_ids), len(item_ids))}, found {scores.shape}")
    if not np.isfinite(scores.min(initial=0)):
        raise ValueError("scores: some are not finite numbers")
    return rankings_from_blocks([(np.arange(len(scores)), scores)], query_ids, item_ids, k)


def rankings_from_blocks(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    query_ids: Ids,
    item_ids: Ids,
    k: int | None = None,
) -> pd.DataFrame:
    """Return what `rankings_from_scores` does, from parts of the matrix: the rows (P,) and their scores (P, N)."""
    queries, items = (pd.Index(np.asarray(ids, dtype=str), dtype="str") for ids in (query_ids, item_ids))
    if not (queries.is_unique and items.is_unique):
        raise ValueError("scores: an id comes twice; every row and every column needs its own")
    if k is not None and k < 1:
        raise ValueError(f"k is the number of items for each query, at least 1; found {k}")
    by_id = np.argsort(items.to_numpy(dtype=str), kind="stable")
    place = np.argsort(by_id)
    parts = [(np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty(0))]
    for rows, scores in blocks:
        for start in range(0, len(scores), SELECTED_QUERIES):
            row, item, score = _best(scores[start : start + SELECTED_QUERIES], place, k)
            parts.append((rows[start + row], item, score))
    query, item, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(query, kind="stable")
    return Coded(queries, items[by_id], [], []).rankings(query[order], item[order], score[order])


def sort_rows(query: np.ndarray, item: np.ndarray, score: np.ndarray) -> np.ndarray | slice:
    """Return the order of coded rows: by query, then by score from high to low, then by item.

    Rows that stand in order already, as most rankings do, stay as they are: looking saves half of the time of ranking
    them. Of those whose queries stand one after the other only the queries that are not in order are sorted; in blocks
    of whole queries, 1.5 to 2.5 times faster than all at once for 5,000 queries of 100 or 1,000 rows.
    """
    wrong = _out_of_order(query, item, score)
    if not wrong.any():
        return ALL
    if (query[1:] < query[:-1]).any():
        return _sort_blocks(query, item, score)
    concerned = np.zeros(query[-1] + 1, dtype=bool)
    concerned[query[1:][wrong]] = True
    order, rows = np.arange(len(query)), np.flatnonzero(concerned[query])
    order[rows] = rows[_sort_blocks(query[rows], item[rows], score[rows])]
    return order


def _sort_blocks(query: np.ndarray, item: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return what `sort_rows` does, of rows in any order."""
    grouped = np.argsort(query, kind="stable")
    ends = np.cumsum(np.bincount(query))
    cuts = ends[np.unique(np.searchsorted(ends, np.arange(SORTED_ROWS, len(query), SORTED_ROWS)))]
    parts = np.split(grouped, cuts)
    return np.concatenate([part[np.lexsort((item[part], -score[part], query[part]))] for part in parts])


def ranks(query: np.ndarray) -> np.ndarray:
    """Return the rank from 1 of each row (R,) of a table in its order, from the sizes of its queries."""
    sizes = np.bincount(query)
    return np.arange(1, len(query) + 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def finite_scores(rankings: pd.DataFrame) -> np.ndarray:
    """Return the scores as float64; raise ValueError where a column is missing or a score is not finite."""
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    score = rankings["score"].to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(score)
    if wrong.any():
        query, item = rankings.loc[wrong, ["query_id", "item_id"]].iloc[0]
        raise ValueError(
            f"rankings: {wrong.sum()} scores are not finite numbers, first item {item} of query {query}"
        )
    return score


def check_once(coded: Coded, table: int) -> None:
    """Raise ValueError where a table of (query, item) rows has one of them twice."""
    repeated = pd.Series(coded.key(table)).duplicated().to_numpy()
    if repeated.any():
        query, item = (codes[table][repeated][0] for codes in (coded.query, coded.item))
        raise ValueError(
            f"rankings: {repeated.sum()} items come twice for a query, first item {coded.items[item]} "
            f"of query {coded.queries[query]}; keep one row of each"
        )


def _factorize(tables: Sequence[pd.DataFrame], column: str, sort: bool) -> tuple[list[np.ndarray], pd.Index]:
    """Return the codes of each table's column, and the names."""
    joined = pd.concat([table[column].astype("str") for table in tables], ignore_index=True)
    codes, names = pd.factorize(joined, sort=sort)
    missing = int((codes < 0).sum())
    if missing:
        raise ValueError(f"{missing} rows have no {column}; drop them or give them one")
    ends = np.cumsum([len(table) for table in tables])
    return np.split(codes, ends[:-1]), pd.Index(names)


def _out_of_order(query: np.ndarray, item: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return for every row but the first whether it stands behind one that it belongs before, bool (R - 1,)."""
    follows = score[1:] < score[:-1]
    follows |= (score[1:] == score[:-1]) & (item[1:] >= item[:-1])
    follows &= query[1:] == query[:-1]
    return ~(follows | (query[1:] > query[:-1]))


def _level(query: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the scores (R,) of sorted rows, each equal to the one before it in its query where that is within 1e-6."""
    if not len(score):
        return score
    near = (query[1:] == query[:-1]) & (score[:-1] - score[1:] <= SCORE_TOLERANCE)
    starts = np.r_[True, ~near]
    return score[starts][np.cumsum(starts) - 1]


def _best(scores: np.ndarray, place: np.ndarray, k: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, place and score of the best k of each row (all without k), equal scores by the columns' `place`."""
    width = scores.shape[1]
    k = width if k is None else min(k, width)
    row, column = find_best(scores, k, SCORE_TOLERANCE)
    item, score = place[column], scores[row, column]
    if np.isnan(scores.min(initial=0)) or not np.isfinite(score.max(initial=0)):
        raise ValueError("scores: some are not finite numbers")
    order = sort_rows(row, item, score)
    row, item, score = row[order], item[order], _level(row[order], score[order])
    order = sort_rows(row, item, score)
    row, item, score = row[order], item[order], score[order]
    kept = ranks(row) <= k
    return row[kept], item[kept], score[kept]


def find_best(scores: np.ndarray, k: int, tolerance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the `k` highest scores of each row (Q, N), and of those as high but for `tolerance`.

    Scores of -inf are left out. The columns are divided into groups: the k-th best of the groups' highest scores bounds
    the k-th best of all, which is looked for among the few that reach it: a tenth of the time of a partition.

    >>> find_best(np.array([[0.1, 0.9, 0.5]]), 2)[1].tolist()
    [1, 2]
    """
    width = scores.shape[1]
    groups = max(LEAST_GROUPS, GROUPS_PER_BEST * k)
    whole = width - width % groups
    highest = [scores[:, whole:]]
    if whole:
        highest.append(scores[:, :whole].reshape(len(scores), -1, groups).max(axis=1))
    bound = np.full(len(scores), -np.inf) if k >= width else _kth_best(np.hstack(highest), k) - tolerance
    lowest = np.maximum(bound, np.finfo(scores.dtype).min).astype(scores.dtype)
    row, column = np.divmod(np.flatnonzero(scores >= lowest[:, None]), max(width, 1))
    found = scores[row, column]
    order = np.lexsort((-found, row))
    best = order[ranks(row[order]) <= k]
    lowest[row[best]] = found[best] - tolerance  # of each row the last, its k-th best
    kept = found >= lowest[row]
    return row[kept], column[kept]


def _kth_best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the k-th highest score of each row, (Q,)."""
    return np.partition(scores, -k, axis=1)[:, -k]
