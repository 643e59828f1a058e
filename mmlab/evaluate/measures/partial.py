"""Measures for partial judgements, where a hit that nobody judged need not be wrong.

A hit is judged where its qrels have a row with a relevance of 0 or more. A relevance below 0 (-1 by convention) marks
an item that was pooled but not drawn to be judged; an item without a row was not pooled. With R and N the numbers of
right and of wrong judged items of a query, n(i) and w(i) the numbers of judged and of wrong hits above rank i, and p
the persistence 0.8:

    Judged@k     = judged hits in the first k / hits in the first k; 1 where there is no hit
    bpref        = sum over right hits of 1 - min(w(i), R) / min(N, R), divided by R
    infAP        = sum over right hits of 1 / i + (i - 1) / i * pooled * right, divided by R
    RBP          = (1 - p) * sum over right hits of p^(i - 1)
    RBP residual = (1 - p) * sum over unjudged hits of p^(i - 1) + p^(number of hits)
    condensed nDCG@10, AP, RR: of the ranking without its unjudged hits

In infAP, `pooled` is the share of the hits above rank i that were pooled, and `right` the share of right ones among
those that were judged, (n(i) - w(i) + e) / (n(i) + 2e) with e = 0.00001. Where all of the pool was judged, infAP is AP
but for e. If every unjudged hit were right, RBP would be higher by its residual, which also counts all that the ranking
does not hold.

Sources: Buckley and Voorhees (SIGIR 2004) and trec_eval for bpref; Yilmaz and Aslam (CIKM 2006) and trec_eval for
infAP; Moffat and Zobel (TOIS 27, 2008) for RBP; Sakai (SIGIR 2007) for condensed lists.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.qrels import match_hits, right_answers
from mmlab.evaluate.measures.scoring import NDCG, score_ranks
from mmlab.items import QREL_COLUMNS, RANKING_COLUMNS, check_columns, is_among
from mmlab.items.rankings import finite_scores, ranks
from mmlab.items.tables import Ids, places_among

JUDGED_CUTOFF = 10
JUDGED = f"Judged@{JUDGED_CUTOFF}"
JUDGED_ENOUGH = 0.8  # of the first ten hits; below, two or more of ten were judged by nobody
PERSISTENCE = 0.8
EPSILON = 0.00001  # as in trec_eval
NOT_POOLED = -2
CONDENSED = (NDCG, "AP", "RR")
PARTIAL_MEASURES = (
    JUDGED,
    "bpref",
    "infAP",
    "RBP",
    "RBP residual",
    *(f"condensed {name}" for name in CONDENSED),
)


@dataclass(frozen=True)
class _Hits:
    """The hits of Q queries in their order: query number from 0, relevance (below 0: unjudged), both (H,)."""

    query: np.ndarray
    relevance: np.ndarray
    queries: int

    @cached_property
    def rank(self) -> np.ndarray:
        return ranks(self.query)

    @property
    def judged(self) -> np.ndarray:
        return self.relevance >= 0

    @property
    def right(self) -> np.ndarray:
        return self.relevance > 0

    def before(self, marked: np.ndarray) -> np.ndarray:
        """Count the marked hits above each hit in the ranking of its query (H,)."""
        counts = np.r_[0, np.cumsum(marked)]
        return counts[:-1] - counts[np.arange(len(self.query)) - self.rank + 1]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum values (H,) over the hits of each query (Q,)."""
        return np.bincount(self.query, weights=values, minlength=self.queries)


def score_partial(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Score every query that has a right answer by the measures of this file: query_id, then one column each.

    Rows are in the order of `qrels`, values lie in [0, 1]. Hits are ranked by their score; among equal ones those that
    are less relevant come first, unjudged ones as wrong ones. Raises ValueError for a missing column, a score that is
    not finite, an item that is judged twice for a query, and a judged item that a query has twice.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": list("abc"), "rank": [1, 2, 3], "score": [0.9, 0.5, 0.1]})
    >>> qrels = pd.DataFrame({"query_id": ["q", "q"], "item_id": ["a", "c"], "relevance": [0, 1]})
    >>> score_partial(rankings, qrels)[["Judged@10", "condensed RR", "RBP"]].round(3).to_numpy().tolist()
    [[0.667, 0.5, 0.128]]
    """
    known, right = _known(qrels), right_answers(qrels)
    queries = right["query_id"].unique()
    place, hits = _in_order(rankings, known, queries)
    own = places_among(known["query_id"], queries)
    wrong = np.bincount(own[(own >= 0) & (known["relevance"] == 0)], minlength=len(queries))
    count = np.bincount(places_among(right["query_id"], queries), minlength=len(queries))
    condensed = np.full(len(known) + 1, np.nan)
    condensed[place[hits.judged]] = hits.before(hits.judged)[hits.judged] + 1
    found = condensed[:-1][(known["relevance"] > 0).to_numpy()]
    table = score_ranks(right.assign(rank=found), CONDENSED).add_prefix("condensed ")
    scores = {
        JUDGED: _judged(hits),
        "bpref": _bpref(hits, count, wrong),
        "infAP": _inferred_average_precision(hits, count),
        **_rank_biased_precision(hits),
    }
    return pd.concat([pd.DataFrame({"query_id": queries, **scores}), table.iloc[:, 1:]], axis="columns")


def _known(qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of qrels; raise ValueError where an item is judged twice for a query."""
    known = check_columns(qrels, QREL_COLUMNS, "qrels")[list(QREL_COLUMNS)].reset_index(drop=True)
    twice = known.duplicated(["query_id", "item_id"])
    if twice.any():
        query, item = known.loc[twice, ["query_id", "item_id"]].iloc[0]
        raise ValueError(
            f"qrels: expected one judgement of each answer, found {twice.sum()} more, first {item} of {query}"
        )
    return known


def _in_order(rankings: pd.DataFrame, known: pd.DataFrame, queries: np.ndarray) -> tuple[np.ndarray, _Hits]:
    """Return the hits of these queries as they rank, and the row of each in `known` (-1: none), (H,)."""
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    score = finite_scores(rankings)
    _, place = match_hits(rankings, known)
    query = places_among(rankings["query_id"], queries)
    relevance = np.r_[known["relevance"].to_numpy(dtype=float), NOT_POOLED][place]
    order = np.lexsort((rankings["rank"], np.maximum(relevance, 0), -score, query))
    order = order[query[order] >= 0]
    return place[order], _Hits(query[order], relevance[order], len(queries))


def _judged(hits: _Hits) -> np.ndarray:
    first = hits.rank <= JUDGED_CUTOFF
    found = hits.sum(first)
    return np.where(found > 0, hits.sum(first & hits.judged) / np.maximum(found, 1), 1.0)


def _bpref(hits: _Hits, right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    above = np.minimum(hits.before(hits.relevance == 0), right[hits.query])
    most = np.maximum(np.minimum(wrong, right), 1)[hits.query]  # where none is wrong, none is above
    return hits.sum(hits.right * (1 - above / most)) / right


def _inferred_average_precision(hits: _Hits, right: np.ndarray) -> np.ndarray:
    above = hits.rank - 1
    pooled = hits.before(hits.relevance > NOT_POOLED) / np.maximum(above, 1)
    share = (hits.before(hits.right) + EPSILON) / (hits.before(hits.judged) + 2 * EPSILON)
    return hits.sum(hits.right * (1 + above * pooled * share) / hits.rank) / right


def _rank_biased_precision(hits: _Hits) -> dict[str, np.ndarray]:
    weight = (1 - PERSISTENCE) * PERSISTENCE ** (hits.rank - 1.0)
    rest = PERSISTENCE ** hits.sum(np.ones(len(hits.query)))
    residual = hits.sum(weight * ~hits.judged) + rest
    return {"RBP": hits.sum(weight * hits.right), "RBP residual": residual}


def unjudged_hits(
    systems: Mapping[str, pd.DataFrame], qrels: pd.DataFrame, queries: Ids, k: int = JUDGED_CUTOFF
) -> pd.DataFrame:
    """Return the hits among the first `k` of any system that nobody has judged: query_id, item_id.

    `systems`: name -> rankings; their hits are pooled. The rows are in the order of the queries and within each in that
    of the item ids, so that neither the system nor the rank of a hit is known to who judges it.

    >>> one = pd.DataFrame({"query_id": "q", "item_id": ["c", "a"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> known = pd.DataFrame({"query_id": ["q"], "item_id": ["b"], "relevance": [1]})
    >>> unjudged_hits({"one": one, "other": one.assign(item_id=["b", "c"])}, known, ["q"])["item_id"].tolist()
    ['a', 'c']
    """
    names = pd.Index(pd.unique(np.asarray(list(queries), dtype=object)))
    pooled = pd.concat(list(_first_hits(systems.values(), names, k)), ignore_index=True).drop_duplicates()
    judged = pd.MultiIndex.from_frame(qrels.loc[qrels["relevance"] >= 0, ["query_id", "item_id"]])
    pooled = pooled[~pd.MultiIndex.from_frame(pooled).isin(judged)]
    place = places_among(pooled["query_id"], names)
    return (
        pooled.assign(place=place).sort_values(["place", "item_id"], ignore_index=True).drop(columns="place")
    )


def _first_hits(rankings: Iterable[pd.DataFrame], queries: pd.Index, k: int) -> Iterable[pd.DataFrame]:
    for table in rankings:
        check_columns(table, RANKING_COLUMNS, "rankings")
        first = table[table["rank"] <= k]
        yield first.loc[is_among(first["query_id"], queries), ["query_id", "item_id"]]
