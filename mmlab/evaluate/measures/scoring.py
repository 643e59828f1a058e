"""Measures of rankings, named as papers write them: `P@5 R@10 Success@1 RR RR@10 nDCG@10 AP AP@10`.

Every query with a right answer counts, and one that the system did not answer scores 0. Among equal scores the wrong
answers come first (`right_ranks`). With r(q, k) the number of right answers in the first k, R(q) the number of all
right answers, f(q) the rank of the first one, and rel the relevance:

    P@k = r(q, k) / k        R@k = r(q, k) / R(q)        Success@k = [r(q, k) > 0]        RR = 1 / f(q)
    AP  = sum over the right answers of r(q, their rank) / their rank, divided by R(q)
    nDCG = DCG / DCG of the best order, DCG = sum over the right answers of rel / log2(1 + rank)
    Rprec = r(q, R(q)) / R(q)
    AP@R = sum over the right answers in the first R(q) of r(q, their rank) / their rank, divided by R(q)

The gain of nDCG is the relevance itself (linear), as in Järvelin and Kekäläinen (2002), trec_eval and ir-measures,
not 2^rel - 1. With a cutoff, RR@k, AP@k and nDCG@k see the first k only; AP@k still divides by R(q). Papers on
captioning sets call Success@k "R@k"; with several captions per image the two differ. AP@R is the MAP@R of Musgrave,
Belongie and Lim, A Metric Learning Reality Check (ECCV 2020). RR and AP of rankings that end at rank k are RR@k and
AP@k.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.qrels import qrels_from_labels, qrels_from_pairs, right_ranks
from mmlab.items import DIRECTIONS, QREL_COLUMNS

NDCG_CUTOFF = 10
NDCG = f"nDCG@{NDCG_CUTOFF}"
NDCG_BY_LABELS = f"{NDCG} by labels"


@dataclass(frozen=True)
class Answers:
    """The right answers, sorted by query and rank: query number, rank (inf: not ranked), relevance (all (A,))."""

    query: np.ndarray
    rank: np.ndarray
    relevance: np.ndarray

    def sum(self, values: np.ndarray, k: float) -> np.ndarray:
        """Sum `values` (A,) over the answers in the first k, per query (Q,)."""
        return np.bincount(self.query, weights=np.where(self.rank <= min(k, 2**53), values, 0.0))

    def order(self) -> np.ndarray:
        """Return the place of each answer among the right answers of its query, from 1 (A,)."""
        return np.arange(len(self.query)) - np.searchsorted(self.query, self.query) + 1


Score = Callable[[Answers, float], np.ndarray]  # answers and cutoff -> a value per query (Q,)


def _precision(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(np.ones(len(answers.query)), k) / k


def _recall(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(np.ones(len(answers.query)), k) / np.bincount(answers.query)


def _success(answers: Answers, k: float) -> np.ndarray:
    return (answers.sum(np.ones(len(answers.query)), k) > 0).astype(float)


def _reciprocal_rank(answers: Answers, k: float) -> np.ndarray:
    return answers.sum((answers.order() == 1) / answers.rank, k)


def _average_precision(answers: Answers, k: float) -> np.ndarray:
    return answers.sum(answers.order() / answers.rank, k) / np.bincount(answers.query)


def _ndcg(answers: Answers, k: float) -> np.ndarray:
    best = np.lexsort((-answers.relevance, answers.query))
    ideal = Answers(answers.query, answers.order().astype(float), answers.relevance[best])
    found, possible = (one.sum(one.relevance / np.log2(1 + one.rank), k) for one in (answers, ideal))
    return found / possible


def _r_precision(answers: Answers, k: float) -> np.ndarray:
    return np.bincount(answers.query, weights=_within_r(answers)) / np.bincount(answers.query)


def _average_precision_at_r(answers: Answers, k: float) -> np.ndarray:
    values = np.where(_within_r(answers), answers.order() / answers.rank, 0.0)
    return np.bincount(answers.query, weights=values) / np.bincount(answers.query)


def _within_r(answers: Answers) -> np.ndarray:
    """Return whether each answer is in as many first hits as its query has right answers (A,)."""
    return answers.rank <= np.bincount(answers.query)[answers.query]


# name -> function of the right answers and the cutoff, which is written behind the name as in Success@1
MEASURES: dict[str, Score] = {
    "P": _precision,
    "R": _recall,
    "Success": _success,
    "RR": _reciprocal_rank,
    "nDCG": _ndcg,
    "AP": _average_precision,
}
WITHOUT_CUTOFF = ("RR", "nDCG", "AP")  # may be written without one
AT_R: dict[str, Score] = {
    "Rprec": _r_precision,
    "AP@R": _average_precision_at_r,
}  # the cutoff is the query's own R


def score_queries(
    rankings: pd.DataFrame, qrels: pd.DataFrame, measures: Sequence[str], ties: str = "against"
) -> pd.DataFrame:
    """Score every query that has a right answer: query_id, then one column per measure, with values in [0, 1].

    Rows are in the order of `qrels`. `measures`: names as "Success@1", "RR" or "nDCG@10". `ties`: see `right_ranks`.
    Raises ValueError for an unknown measure, listing the forms, and as `right_ranks` does.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.5]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["b"], "relevance": [1]})
    >>> score_queries(rankings, qrels, ["Success@1", "RR"]).to_numpy().tolist()
    [['q', 0.0, 0.5]]
    """
    return score_ranks(right_ranks(rankings, qrels, ties), measures)


def score_ranks(ranks: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return what `score_queries` returns, from the ranks that `right_ranks` or `exact_ranks` returned."""
    parsed = {name: _parse(name) for name in measures}
    query, queries = pd.factorize(ranks["query_id"])
    rank = ranks["rank"].fillna(np.inf).to_numpy(dtype=float)
    order = np.lexsort((rank, query))
    answers = Answers(query[order], rank[order], ranks["relevance"].to_numpy(dtype=float)[order])
    scores = {name: score(answers, k) for name, (score, k) in parsed.items()}
    return pd.DataFrame({"query_id": queries, **scores})


def _parse(name: str) -> tuple[Score, float]:
    if name in AT_R:
        return AT_R[name], np.inf
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d{0,8}))?", name)
    measure, cutoff = match.groups() if match else ("", None)
    if measure not in MEASURES or (cutoff is None and measure not in WITHOUT_CUTOFF):
        known = ", ".join([*(f"{m}@k" for m in MEASURES), *WITHOUT_CUTOFF, *AT_R])
        raise ValueError(f"unknown measure {name!r}; known: {known}, with k a positive whole number")
    return MEASURES[measure], float(cutoff) if cutoff else np.inf


def measure_names(k_values: Sequence[int], depth: int) -> list[str]:
    """Return the measures of rankings that keep `depth` hits: P, R and Success at each k, RR, AP and nDCG@10.

    RR and AP see what is kept, and so are RR@`depth` and AP@`depth`.

    >>> measure_names([1], 100)
    ['P@1', 'R@1', 'Success@1', 'RR@100', 'AP@100', 'nDCG@10']
    """
    return [f"{name}@{k}" for name in ("P", "R", "Success") for k in k_values] + [
        f"RR@{depth}", f"AP@{depth}", NDCG,
    ]  # fmt: skip


def find_measure(columns: Iterable[str], measure: str) -> str:
    """Return the column of a measure whose depth is not named: "RR" is "RR@100" where that many hits are kept.

    Raises ValueError where there is none, or several of other depths.

    >>> find_measure(["query_id", "Success@1", "RR@100"], "RR")
    'RR@100'
    """
    names = list(columns)
    found = [measure] if measure in names else [name for name in names if name.startswith(f"{measure}@")]
    if len(found) != 1:
        raise ValueError(f"measure {measure!r}: expected one of {', '.join(names)}; found {len(found)} of it")
    return found[0]


def success_by_cutoff(first: Mapping[str, pd.Series], depth: int) -> pd.DataFrame:
    """Return Success@k for each k from 1 to `depth`: direction, k, value.

    `first`: direction -> the rank of the first right answer of each query, missing where none is ranked.

    >>> success_by_cutoff({"text-to-image": pd.Series([1.0, 3.0, None, None])}, 3)["value"].tolist()
    [0.25, 0.25, 0.5]
    """
    cutoffs = range(1, max(depth, 1) + 1)
    rows = [
        (name, k, float((ranks <= k).mean()) if len(ranks) else 0.0)
        for name, ranks in first.items()
        for k in cutoffs
    ]
    return pd.DataFrame(rows, columns=["direction", "k", "value"])


def success_by_gallery_size(
    ranks: pd.DataFrame, gallery: int, sizes: Sequence[int], k: int = 1
) -> pd.DataFrame:
    """Return Success@k in smaller galleries: a row per size with size and value.

    A gallery of a size holds a query's right answers and others drawn at random: the value is the mean over all draws
    (hypergeometric), so nothing is drawn. `ranks`: of every right answer in the `gallery` of so many items, see
    `right_ranks` and `exact_ranks`; NaN counts as not found. Galleries differ, and with them all measures: compare two
    results at the same size. Raises ValueError for a size below 1 or over the gallery's.

    >>> ranks = pd.DataFrame({"query_id": ["q"], "rank": [2]})  # one of nine wrong items is ahead
    >>> success_by_gallery_size(ranks, 10, [1, 4, 10])["value"].round(3).tolist()
    [1.0, 0.667, 0.0]
    """
    from scipy.stats import hypergeom

    if not all(1 <= size <= gallery for size in sizes):
        raise ValueError(f"sizes: expected 1 to {gallery}, the size of the gallery; found {list(sizes)}")
    by_query = ranks.groupby("query_id", sort=False)["rank"]
    ahead, right = by_query.min().to_numpy() - 1, by_query.size().to_numpy()
    known = np.isfinite(ahead)
    # queries are alike in both numbers, of which there are few
    both, queries = np.unique(np.column_stack([right[known], ahead[known]]), axis=0, return_inverse=True)
    right, ahead = both.astype(int).T
    wrong = np.maximum(
        gallery - right, 1
    )  # where all items are right none is ahead, and scipy draws from one or more
    rows = []
    for size in sizes:
        chance = hypergeom.cdf(k - 1, wrong, ahead, np.clip(size - right, 0, wrong))
        rows.append((size, float(chance[queries].sum() / len(known))))
    return pd.DataFrame(rows, columns=["size", "value"])


def score_directions(
    rankings: Mapping[str, pd.DataFrame],
    qrels: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    k_values: Sequence[int],
    depth: int,
) -> dict[str, pd.DataFrame]:
    """Score the queries of each direction: the measures of `measure_names`, Rprec and AP@R, and "nDCG@10 by labels".

    Rprec and AP@R are given where a query has several right answers.

    `rankings`, `qrels`: direction ("text-to-image", "image-to-text") -> table. `depth`: how many hits were asked for;
    RR and AP are named by it, also where the gallery holds fewer. By labels, an item of the query's pair
    has relevance 2 and one of its label 1 (`qrels_from_labels`); the column is left out where no item has a label.
    Rows are the queries of `qrels`. Raises ValueError as `score_queries` does.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "a", "label": None})
    >>> ranked = pd.DataFrame({"query_id": ["t"], "item_id": ["i"], "rank": [1], "score": [0.9]})
    >>> qrels = {"text-to-image": qrels_from_pairs(items, "text", "image")}
    >>> score_directions({"text-to-image": ranked}, qrels, items, [1], 100)["text-to-image"]["Success@1"].tolist()
    [1.0]
    """
    names, scores = measure_names(k_values, depth), {}
    for name, right in qrels.items():
        several = right.loc[right["relevance"] > 0, "query_id"].duplicated().any()
        scores[name] = score_queries(rankings[name], right, [*names, *(AT_R if several else ())])
    if items["label"].notna().any():
        for name, table in scores.items():
            scores[name] = add_ndcg_by_labels(table, rankings[name], items, name)
    return scores


def add_ndcg_by_labels(
    per_query: pd.DataFrame, rankings: pd.DataFrame, items: pd.DataFrame, direction: str
) -> pd.DataFrame:
    """Add the column "nDCG@10 by labels" to the scores of the queries of a direction, see `score_directions`."""
    rankings = _with_first(rankings, NDCG_CUTOFF)
    graded = qrels_for_ndcg(rankings, items, *DIRECTIONS[direction])
    gains = score_queries(rankings, graded, [NDCG]).set_index("query_id")[NDCG]
    return per_query.assign(**{NDCG_BY_LABELS: gains.reindex(per_query["query_id"]).to_numpy()})


def _with_first(rankings: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return the rows among the first `k` of their query, and those that score as much as the last of these."""
    query, queries = pd.factorize(rankings["query_id"], use_na_sentinel=False)
    score, last = rankings["score"].to_numpy(), (rankings["rank"] == k).to_numpy()
    least = np.full(len(queries), -np.inf)
    least[query[last]] = score[last]
    return rankings[score >= least[query]]


def qrels_for_ndcg(
    rankings: pd.DataFrame, items: pd.DataFrame, queries: str, gallery: str, k: int = NDCG_CUTOFF
) -> pd.DataFrame:
    """Return the part of `qrels_from_labels` that nDCG@k needs: the ranked answers, and k others for the best order.

    A few labels over many items have more right answers than memory has room for.
    """
    pairs = qrels_from_pairs(items, queries, gallery).assign(relevance=2)
    label = items.set_index("item_id")["label"].dropna()
    hits = rankings[["query_id", "item_id"]]
    asked, found = (hits[name].map(label) for name in ("query_id", "item_id"))
    first = items[items["modality"] == gallery].groupby("label", sort=False).head(k)
    best = qrels_from_labels(pd.concat([items[items["modality"] == queries], first]), queries, gallery)
    known = pd.concat([pairs, hits[asked == found].assign(relevance=1), best.assign(relevance=1)])
    return known[list(QREL_COLUMNS)].drop_duplicates(["query_id", "item_id"], ignore_index=True)


def join_directions(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the tables of both directions into one, with the column direction in front."""
    columns = ["direction", *next(iter(tables.values())).columns]
    full = [table.assign(direction=name)[columns] for name, table in tables.items() if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=columns)
