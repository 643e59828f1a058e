"""All queries ranked with fewer hubs or without the modality gap, each rescored by queries of other pairs."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mmlab.items import Vectors
from mmlab.retrieve.centring import Centring
from mmlab.retrieve.hubness import RESCORINGS, count_occurrences, skewness
from mmlab.retrieve.order import rankings_from_scores

PLAIN = "none"
CENTRING = "centring"
HOW = (CENTRING, *RESCORINGS)
CSLS_K = 10  # neighbours, or as many as there are
BLOCK = 4096  # queries at a time
BANK = 5000  # reference queries at most: the paper on QB-Norm finds no gain beyond that


def rescored(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, how: str, source: str, k: int = 100, seed: int = 0
) -> pd.DataFrame:
    """The `k` best items of the gallery for every query, by exact scores rescored as `how` of HOW says.

    "none" leaves them as they are; "centring" takes from each side its own mean (`source` is the queries' modality,
    the gallery is of the other). The others need a bank of reference queries: the pairs (`pairs`: item_id ->
    pair_id) are divided in halves by `seed`, and the bank of each half are up to 5,000 queries of the other, so that
    no query is in its own bank. No relevance is used. Raises ValueError for an unknown `how`, SpaceMismatch for
    vectors of two spaces.
    """
    if how not in (PLAIN, *HOW):
        raise ValueError(f"unknown rescoring {how!r}; known: {', '.join((PLAIN, *HOW))}")
    if how == CENTRING:
        texts, images = (queries, gallery) if source == "text" else (gallery, queries)
        centring = Centring.fit(texts, images)
        queries, gallery = (
            centring.apply(part, side) for part, side in ((queries, source), (gallery, _other(source)))
        )
    if how in (PLAIN, CENTRING):
        parts = [(slice(i, i + BLOCK), None) for i in range(0, len(queries), BLOCK)]
    else:
        parts = list(_halves(queries, gallery, pairs, seed))
    ranked = []
    for rows, bank in parts:
        scores = (
            queries.array[rows] @ gallery.array.T
            if bank is None
            else _scored(queries, gallery, rows, bank, how)
        )
        ranked.append(rankings_from_scores(scores, queries.ids[rows], gallery.ids, k))
    return _in_order(pd.concat(ranked, ignore_index=True), queries.ids)


def hubness_table(
    rankings: dict[str, pd.DataFrame], item_ids: Sequence[str], qrels: pd.DataFrame, k: int = 10
) -> pd.DataFrame:
    """One row per rescoring: rescoring, skewness of the k-occurrence, most (times that one item is among the first k),
    never (share of the gallery that is not once), Success@1 (share of the judged queries whose first item is right).
    """
    right = pd.MultiIndex.from_frame(qrels.loc[qrels["relevance"] > 0, ["query_id", "item_id"]])
    rows = []
    for name, ranked in rankings.items():
        counts = count_occurrences(ranked, item_ids, k)
        first = ranked[(ranked["rank"] == 1) & ranked["query_id"].isin(qrels["query_id"])]
        hits = pd.MultiIndex.from_frame(first[["query_id", "item_id"]]).isin(right)
        rows.append(
            (name, skewness(counts), int(counts.max()), float((counts == 0).mean()), float(hits.mean()))
        )
    return pd.DataFrame(rows, columns=["rescoring", "skewness", "most", "never", "Success@1"])


def _scored(queries: Vectors, gallery: Vectors, rows: np.ndarray, bank: np.ndarray, how: str) -> np.ndarray:
    scores = queries.array[rows] @ gallery.array.T
    few = {"k": min(CSLS_K, len(gallery), len(bank))} if how == "csls" else {}
    return RESCORINGS[how](scores, bank, **few)


def _halves(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of queries, a block at a time, and the score matrix (B, N) of their bank."""
    pair = pairs.reindex(queries.ids).astype("str")
    names = np.sort(pair.unique())
    if len(names) < 2:
        raise ValueError(f"rescoring needs queries of two pairs or more, found {len(names)}")
    rng = np.random.default_rng(seed)
    first = pair.isin(rng.permutation(names)[: len(names) // 2]).to_numpy()
    for half in (first, ~first):
        others = np.flatnonzero(~half)
        drawn = np.sort(rng.permutation(others)[:BANK])
        bank = queries.array[drawn] @ gallery.array.T
        rows = np.flatnonzero(half)
        for start in range(0, len(rows), BLOCK):
            yield rows[start : start + BLOCK], bank


def _in_order(ranked: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
    place = pd.Index(ids).get_indexer(ranked["query_id"])
    return ranked.iloc[place.argsort(kind="stable")].reset_index(drop=True)


def _other(modality: str) -> str:
    return "image" if modality == "text" else "text"
