"""Measures for partial judgements, where a hit that nobody judged need not be wrong; and pooled hits to be judged.

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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.qrels import add_judgement, match_hits, read_labels, right_answers
from mmlab.evaluate.measures.scoring import NDCG, score_ranks
from mmlab.items import QREL_COLUMNS, RANKING_COLUMNS, check_columns, is_among
from mmlab.items.rankings import finite_scores, ranks
from mmlab.items.sentences import count
from mmlab.items.tables import Ids, TooFew, places_among

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
    given = np.bincount(places_among(right["query_id"], queries), minlength=len(queries))
    condensed = np.full(len(known) + 1, np.nan)
    condensed[place[hits.judged]] = hits.before(hits.judged)[hits.judged] + 1
    found = condensed[:-1][(known["relevance"] > 0).to_numpy()]
    table = score_ranks(right.assign(rank=found), CONDENSED).add_prefix("condensed ")
    scores = {
        JUDGED: _judged(hits),
        "bpref": _bpref(hits, given, wrong),
        "infAP": _inferred_average_precision(hits, given),
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


ANSWER = ["query_id", "item_id"]
Z = 1.96  # of a 95% interval


@dataclass(frozen=True)
class Pool:
    """The first `k` hits of several systems, put together, and the file that judgements of them are appended to.

    Whose hit it is and its rank are not known to who judges, since that would influence them.

    Attributes:
        systems: name -> rankings of all queries.
        qrels: judgements that are known already; such hits are not judged again.
        labels: the file of judgements by hand; it need not exist yet.
        k: how many first hits of each system.

    >>> ranked = pd.DataFrame({"query_id": "q", "item_id": ["b", "a"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> pool = Pool({"one": ranked}, pd.DataFrame(columns=["query_id", "item_id", "relevance"]), Path("none.jsonl"))
    >>> pool.left(by="someone").to_numpy().tolist()
    [['q', 'a'], ['q', 'b']]
    """

    systems: Mapping[str, pd.DataFrame]
    qrels: pd.DataFrame
    labels: Path
    k: int = 10

    @cached_property
    def hits(self) -> pd.DataFrame:
        """All hits to be judged: query_id, item_id, in the order of the queries and of the item ids."""
        queries = pd.concat([ranked["query_id"] for ranked in self.systems.values()]).unique()
        return unjudged_hits(self.systems, self.qrels, queries, self.k)

    def left(self, by: str) -> pd.DataFrame:
        """Return the hits that this person has not judged: each may be judged by several people."""
        return _without(self.hits, self._of(by))

    def of_query(self, query_id: str, by: str) -> pd.DataFrame:
        """Return the hits of a query with `judged`, the relevance that this person gave, <NA> where they gave none."""
        hits = self.hits[self.hits["query_id"] == query_id].reset_index(drop=True)
        own = self._of(by)
        given = own[own["query_id"] == query_id].drop_duplicates("item_id", keep="last")
        return hits.assign(
            judged=hits["item_id"].map(given.set_index("item_id")["relevance"]).astype("Int64")
        )

    def add(self, query_id: str, item_id: str, relevance: int | None, by: str) -> str:
        """Append the judgement of a person and return a sentence about it; None takes back what they said before."""
        return add_judgement(self.labels, query_id, item_id, relevance, by)

    def agreement(self) -> pd.DataFrame:
        """Return how far each two people agree on the hits that both have judged, see `cohens_kappa`."""
        return cohens_kappa(read_labels(self.labels))

    def _of(self, by: str) -> pd.DataFrame:
        labels = read_labels(self.labels)
        return labels[labels["by"] == by]


def _without(hits: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    there = pd.MultiIndex.from_frame(hits[ANSWER]).isin(pd.MultiIndex.from_frame(known[ANSWER]))
    return hits[~there].reset_index(drop=True)


def cohens_kappa(labels: pd.DataFrame) -> pd.DataFrame:
    """Return how far each two people agree on whether an answer is right, beyond what chance would give.

    labels: query_id, item_id, relevance, by; of several judgements of one answer by one person the last holds. Returns
    a row for each two people who judged some of the same answers: first, second, answers (that both judged), agreed
    (the share that both judged alike), kappa = (agreed - chance) / (1 - chance) with its 95% interval (low, high); NaN
    where both said the same of all. Source: Cohen, A coefficient of agreement for nominal scales (1960).

    >>> judged = {"query_id": "q", "item_id": list("abcd") * 2, "by": ["one"] * 4 + ["two"] * 4}
    >>> labels = pd.DataFrame({**judged, "relevance": [1, 1, 0, 0, 1, 0, 0, 0]})
    >>> cohens_kappa(labels)[["answers", "agreed", "kappa"]].to_numpy().tolist()
    [[4.0, 0.75, 0.5]]
    """
    last = labels.drop_duplicates([*ANSWER, "by"], keep="last")
    said = last.assign(right=last["relevance"] > 0).pivot_table("right", ANSWER, "by", "first", sort=False)
    rows = list(_agreements(said))
    columns = ["first", "second", "answers", "agreed", "kappa", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _agreements(said: pd.DataFrame) -> Iterator[tuple[str, str, int, float, float, float, float]]:
    for first, second in combinations(said.columns, 2):
        both = said[[first, second]].dropna().astype(bool)
        if both.empty:
            continue
        one, other = both[first].to_numpy(), both[second].to_numpy()
        agreed = float((one == other).mean())
        chance = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
        if chance == 1:
            yield (first, second, len(both), agreed, np.nan, np.nan, np.nan)
            continue
        kappa = (agreed - chance) / (1 - chance)
        error = Z * np.sqrt(agreed * (1 - agreed) / len(both)) / (1 - chance)
        yield (first, second, len(both), agreed, kappa, max(kappa - error, -1.0), min(kappa + error, 1.0))


def summarize_agreement(agreement: pd.DataFrame) -> str:
    """Say how far two people agree; raise TooFew where no two have judged the same hit."""
    if agreement.empty:
        raise TooFew("no two people have judged the same hit yet, so their agreement is not known")
    parts = [
        f"{row['first']} and {row['second']} agree on {row['agreed'] * row['answers']:,.0f} of "
        f"{count(row['answers'], 'hit')} (Cohen's kappa {row['kappa']:.2f}, {row['low']:.2f} to {row['high']:.2f})"
        for row in agreement.to_dict("records")
    ]
    return "; ".join(parts) + "."
