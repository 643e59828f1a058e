"""At which rank the right answers stand, and what becomes of them among equal scores."""

import numpy as np
import pandas as pd

from mmlab.items import QREL_COLUMNS, RANKING_COLUMNS, check_columns, is_among, places_among
from mmlab.items.rankings import finite_scores

TIES = ("against", "as ranked")


def right_ranks(rankings: pd.DataFrame, qrels: pd.DataFrame, ties: str = "against") -> pd.DataFrame:
    """Every right answer (relevance > 0) with its rank from 1: query_id, item_id, relevance, rank (NaN: not ranked).

    ties="against": the scores decide, and among equal ones the less relevant item comes first, so a system
    gains nothing by scoring all alike. ties="as ranked": the rank column decides. One row per right answer
    of `qrels`, in its order. Raises ValueError for other ties, a score that is NaN, or an answer given twice.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    right = relevant(qrels)
    if ties not in TIES:
        raise ValueError(f"unknown ties {ties!r}; known: {', '.join(map(repr, TIES))}")
    if rankings["score"].isna().any():
        raise ValueError(f"rankings: {rankings['score'].isna().sum()} scores are NaN; leave such hits out")
    query, place = _match(rankings, right)
    relevance = np.r_[right["relevance"].to_numpy(dtype=float), 0.0][place]
    keys = (relevance, -rankings["score"].to_numpy()) if ties == "against" else (rankings["rank"].to_numpy(),)
    order = np.arange(len(query)) if _in_order(query, *keys) else np.lexsort((*keys, query))
    sizes = np.bincount(query)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)  # where each query's hits begin
    ranks = np.full(len(right) + 1, np.nan)
    ranks[place[order]] = np.arange(len(order)) - first + 1
    return right.assign(rank=ranks[:-1])


def mark_relevant(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the hits of the judged queries with a column `relevant` (bool) and their scores as float64.

    A hit without a row in `qrels`, or with relevance 0, is not relevant. Queries without a row are left out. Raises
    ValueError for a missing column, for a score that is not finite and for an item that a query has twice.
    """
    score = finite_scores(rankings)
    _, place = _match(rankings, relevant(qrels))
    judged = is_among(rankings["query_id"], qrels["query_id"])
    return rankings.assign(score=score, relevant=place >= 0)[judged].reset_index(drop=True)


def relevant(qrels: pd.DataFrame) -> pd.DataFrame:
    """The rows of `qrels` with relevance > 0; ValueError if one of them stands there twice."""
    check_columns(qrels, QREL_COLUMNS, "qrels")
    right = qrels.loc[qrels["relevance"] > 0, list(QREL_COLUMNS)].reset_index(drop=True)
    twice = right.duplicated(["query_id", "item_id"])
    if twice.any():
        query, item = right.loc[twice, ["query_id", "item_id"]].iloc[0]
        raise ValueError(f"qrels: {twice.sum()} right answers are there twice, first {item} of {query}")
    return right


def _match(rankings: pd.DataFrame, right: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each hit the number of its query, as they first appear, and its row in `right` (-1: not right), both (H,)."""
    query, queries = pd.factorize(rankings["query_id"], use_na_sentinel=False)
    items = pd.Index(right["item_id"].unique())
    item = places_among(rankings["item_id"], items)
    asked = places_among(right["query_id"], queries)  # -1: it got no hit
    wanted = np.where(
        asked < 0, -1 - np.arange(len(right)), asked * len(items) + places_among(right["item_id"], items)
    )
    place = np.full(len(rankings), -1)
    known = item >= 0
    place[known] = pd.Index(wanted).get_indexer(query[known] * len(items) + item[known])
    found = np.bincount(place[place >= 0], minlength=1)
    if found.max() > 1:
        query_id, item_id = right.loc[found.argmax(), ["query_id", "item_id"]]
        raise ValueError(f"rankings: {item_id} is ranked {found.max()} times for {query_id}, expected once")
    return query, place


def _in_order(query: np.ndarray, *keys: np.ndarray) -> bool:
    """Whether the hits stand by query and then by their keys, the last one first, as `np.lexsort` would put them."""
    rises, level = query[1:] > query[:-1], query[1:] == query[:-1]
    for key in reversed(keys):
        rises |= level & (key[1:] > key[:-1])
        level &= key[1:] == key[:-1]
    return bool((rises | level).all())
