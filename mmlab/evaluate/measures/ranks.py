"""At which rank the right answers stand, in rankings or in the whole gallery."""

import numpy as np
import pandas as pd

from mmlab.items import QREL_COLUMNS, RANKING_COLUMNS, Vectors, check_columns, is_among
from mmlab.items.rankings import SCORE_TOLERANCE, finite_scores, ranks, score_blocks, sort_rows
from mmlab.items.tables import places_among

TIES = ("against", "as ranked")


def right_ranks(rankings: pd.DataFrame, qrels: pd.DataFrame, ties: str = "against") -> pd.DataFrame:
    """Return every right answer with its rank from 1: query_id, item_id, relevance, rank (NaN: not ranked).

    With ties "against" the scores decide, and among equal ones the less relevant item comes first, so that a system
    gains nothing by scoring all alike. With "as ranked" the rank column decides. There is one row per right answer
    of `qrels`, in its order. Raises ValueError for other ties, a score that is NaN, or an answer given twice.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    right = right_answers(qrels)
    if ties not in TIES:
        raise ValueError(f"unknown ties {ties!r}; known: {', '.join(map(repr, TIES))}")
    if rankings["score"].isna().any():
        raise ValueError(f"rankings: {rankings['score'].isna().sum()} scores are NaN; leave such hits out")
    query, place = _match(rankings, right)
    relevance = np.r_[right["relevance"].to_numpy(dtype=float), 0.0][place]
    score = rankings["score"].to_numpy() if ties == "against" else -rankings["rank"].to_numpy()
    rank = np.full(len(right) + 1, np.nan)
    rank[place[sort_rows(query, relevance, score)]] = ranks(query)
    return right.assign(rank=rank[:-1])


def mark_relevant(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the hits of the judged queries with a column `relevant` (bool) and their scores as float64.

    A hit without a row in `qrels`, or with relevance 0, is not relevant. Queries without a row are left out. Raises
    ValueError for a missing column, a score that is not finite, or an item that a query has twice.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.5]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["b"], "relevance": [1]})
    >>> mark_relevant(rankings, qrels)["relevant"].tolist()
    [False, True]
    """
    score = finite_scores(rankings)
    _, place = _match(rankings, right_answers(qrels))
    judged = is_among(rankings["query_id"], qrels["query_id"])
    return rankings.assign(score=score, relevant=place >= 0)[judged].reset_index(drop=True)


def right_answers(qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `qrels` with relevance > 0; raise ValueError where an answer is given twice."""
    check_columns(qrels, QREL_COLUMNS, "qrels")
    right = qrels.loc[qrels["relevance"] > 0, list(QREL_COLUMNS)].reset_index(drop=True)
    twice = right.duplicated(["query_id", "item_id"])
    if twice.any():
        query, item = right.loc[twice, ["query_id", "item_id"]].iloc[0]
        raise ValueError(f"qrels: {twice.sum()} right answers are given twice, first {item} of {query}")
    return right


def _match(rankings: pd.DataFrame, right: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return for each hit the number of its query and its row in `right` (-1: not right), both (H,).

    Queries are numbered as they first appear in the rankings.
    """
    query, queries = pd.factorize(rankings["query_id"], use_na_sentinel=False)
    items = pd.Index(right["item_id"].unique())
    item = places_among(rankings["item_id"], items)
    asked = places_among(right["query_id"], queries)  # -1: it got no hit
    key = asked * len(items) + places_among(right["item_id"], items)
    wanted = np.where(asked < 0, -1 - np.arange(len(right)), key)
    place = np.full(len(rankings), -1)
    known = item >= 0
    place[known] = pd.Index(wanted).get_indexer(query[known] * len(items) + item[known])
    found = np.bincount(place[place >= 0], minlength=1)
    if found.max() > 1:
        query_id, item_id = right.loc[found.argmax(), ["query_id", "item_id"]]
        raise ValueError(f"rankings: {item_id} is ranked {found.max()} times for {query_id}, expected once")
    return query, place


def exact_ranks(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the rank of every right answer in the whole gallery: query_id, item_id, relevance, rank.

    These are the ranks that `right_ranks` gives for rankings of the whole gallery, counted without making them. Ties
    count against the answer; cosines that differ by 1e-6 or less are ties. The rank is NaN where an answer or its
    query has no vector. Raises SpaceMismatch for vectors of two spaces.
    """
    queries.space.check_same(gallery.space)
    right = right_answers(qrels)
    query = pd.Index(queries.ids).get_indexer(right["query_id"])
    item = pd.Index(gallery.ids).get_indexer(right["item_id"])
    ranks = np.full(len(right), np.nan)
    known = np.flatnonzero((query >= 0) & (item >= 0))
    known = known[np.argsort(query[known], kind="stable")]
    own, at_least = _count_at_least(queries.array, gallery.array, query[known], item[known])
    grades = right["relevance"].to_numpy(dtype=float)[known]
    ranks[known] = at_least + _correction(query[known], own, grades)
    return right.assign(rank=ranks)


def _count_at_least(
    queries: np.ndarray, gallery: np.ndarray, query: np.ndarray, item: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each answer and how many items score as much or more, both (A,); answers sorted by query."""
    own, at_least = np.empty(len(query), dtype=np.float32), np.empty(len(query))
    for rows, scores in score_blocks(queries, gallery):
        first, last = np.searchsorted(query, [rows.start, rows.stop])
        for start in range(first, last, len(scores)):  # as many answers at a time as the block has rows
            part = slice(start, min(start + len(scores), last))
            row = query[part] - rows.start
            own[part] = scores[row, item[part]]
            at_least[part] = np.count_nonzero(scores[row] >= _lowest_equal(own[part])[:, None], axis=1)
    return own, at_least


def _correction(query: np.ndarray, own: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Return what to add to the counts (A,) so that right answers of a query do not count against each other.

    Of the right answers of a query that score as much as this one, itself included, only those before it in the
    order (score, then the lower grade first) count.
    """
    order = np.lexsort((grades, -own, query))
    position = np.empty(len(query))
    position[order] = np.arange(len(query)) - np.searchsorted(query, query) + 1
    line = np.sort(query * 4.0 + own)  # cosines lie in [-1, 1], so the queries keep apart
    end = np.searchsorted(query, query, side="right")
    return position - (end - np.searchsorted(line, query * 4.0 + _lowest_equal(own)))


def _lowest_equal(own: np.ndarray) -> np.ndarray:
    """Return the smallest scores that still count as equal, float32."""
    return own - np.float32(SCORE_TOLERANCE)
