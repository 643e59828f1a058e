"""All queries ranked with fewer hubs or without the modality gap, each rescored by queries of other pairs."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate import score_queries
from mmlab.evaluate.space.geometry import count_occurrences, skewness
from mmlab.items import Vectors, exact_search, is_among, opposite_modality
from mmlab.items.rankings import rankings_from_blocks
from mmlab.retrieve.scores.centring import Centring
from mmlab.retrieve.scores.hubness import RESCORINGS
from mmlab.retrieve.scores.query_split import Fold

PLAIN = "none"
CENTRING = "centring"
HOW = (CENTRING, *RESCORINGS)
TEMPERED = ("inverted_softmax", "qb_norm")  # these have a temperature
TEMPERATURES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
USUAL = 0.05
FEW = 1000  # queries that a temperature is chosen on
COLUMNS = ["rescoring", "skewness", "most", "never", "Success@1", "temperature"]
CSLS_K = 10  # neighbours, or as many as there are
BLOCK = 4096  # queries at a time
BANK = 5000  # reference queries at most: the paper on QB-Norm finds no gain beyond that


def rescored(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    how: str,
    source: str,
    k: int = 100,
    seed: int = 0,
    fold: Fold | None = None,
    temperature: float | None = None,
) -> pd.DataFrame:
    """The `k` best items of the gallery for every query, by exact scores rescored as `how` of HOW says.

    "none" leaves them as they are; "centring" takes from each side its own mean (`source` is the queries' modality,
    the gallery is of the other). The others need a bank of reference queries: the pairs (`pairs`: item_id ->
    pair_id) are divided in halves by `seed`, and the bank of each half are up to 5,000 queries of the other, so that
    no query is in its own bank. The `temperature` of those of TEMPERED, where none is given, is chosen on the fitting
    queries of `fold` (`choose_temperature`), 0.05 without one, and is in `attrs["temperature"]`; no other relevance
    is used. Raises ValueError for an unknown `how`, SpaceMismatch for vectors of two spaces.
    """
    if how not in (PLAIN, *HOW):
        raise ValueError(f"unknown rescoring {how!r}; known: {', '.join((PLAIN, *HOW))}")
    if how == PLAIN:
        return exact_search(queries, gallery, k)
    if how == CENTRING:
        texts, images = (queries, gallery) if source == "text" else (gallery, queries)
        centring = Centring.fit(texts, images)
        return exact_search(
            centring.apply(queries, source), centring.apply(gallery, opposite_modality(source)), k
        )
    if how in TEMPERED and fold and temperature is None:
        fitting = queries.take([name for name in queries.ids if name in fold.fitting])
        temperature = choose_temperature(fitting, gallery, pairs, how, seed=seed)
    settings = {"temperature": temperature or USUAL} if how in TEMPERED else {}
    blocks = (
        (rows, _scored(queries, gallery, rows, bank, how, **settings))
        for rows, bank in _halves(queries, gallery, pairs, seed)
    )
    found = rankings_from_blocks(blocks, queries.ids, gallery.ids, k)
    found.attrs = settings
    return found


def choose_temperature(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    how: str,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int = 0,
) -> float:
    """The temperature of a rescoring of TEMPERED with the best Success@1 of these queries, the same pair being right.

    Give the vectors of validation queries, of two pairs or more; of more than 1,000 that many are drawn. The bank of
    each half of the pairs is the other half. Of equal ones the one nearest to 0.05, in ratio, is taken.
    """
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(is_among(pairs.reindex(queries.ids), pairs.reindex(gallery.ids)))
    drawn = queries.take(queries.ids[np.sort(rng.permutation(known)[:FEW])])
    asked, owner = (pairs.reindex(side.ids).to_numpy(dtype=object) for side in (drawn, gallery))
    right = np.zeros(len(temperatures))
    for rows, bank in _halves(drawn, gallery, pairs, seed):
        scores = drawn.array[rows] @ gallery.array.T
        for place, temperature in enumerate(temperatures):
            first = RESCORINGS[how](scores, bank, temperature).argmax(axis=1)
            right[place] += (owner[first] == asked[rows]).sum()
    best = np.asarray(temperatures)[right == right.max()]
    return float(min(best, key=lambda temperature: abs(np.log(temperature / USUAL))))


def hubness_table(
    rankings: dict[str, pd.DataFrame], item_ids: Sequence[str], qrels: pd.DataFrame, k: int = 10
) -> pd.DataFrame:
    """One row per rescoring: rescoring, skewness of the k-occurrence, most (times that one item is among the first k),
    never (share of the gallery that is not once), Success@1 (of the judged queries),
    temperature (where one was chosen).
    """
    rows = []
    for name, ranked in rankings.items():
        counts = count_occurrences(ranked, item_ids, k)
        success = score_queries(ranked[ranked["rank"] == 1], qrels, ["Success@1"])["Success@1"].mean()
        found = (skewness(counts), int(counts.max()), float((counts == 0).mean()), float(success))
        rows.append((name, *found, ranked.attrs.get("temperature", np.nan)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _scored(
    queries: Vectors, gallery: Vectors, rows: np.ndarray, bank: np.ndarray, how: str, **settings: float
) -> np.ndarray:
    scores = queries.array[rows] @ gallery.array.T
    few = {"k": min(CSLS_K, len(gallery), len(bank))} if how == "csls" else {}
    return RESCORINGS[how](scores, bank, **few, **settings)


def _halves(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of queries, a block at a time, and the score matrix (B, N) of their bank."""
    pair = pairs.reindex(queries.ids).astype("str")
    names = np.sort(pair.unique())
    if len(names) < 2:
        raise ValueError(f"rescoring needs queries of two pairs or more, found {len(names)}")
    rng = np.random.default_rng(seed)
    first = is_among(pair, rng.permutation(names)[: len(names) // 2])
    for half in (first, ~first):
        others = np.flatnonzero(~half)
        drawn = np.sort(rng.permutation(others)[:BANK])
        bank = queries.array[drawn] @ gallery.array.T
        rows = np.flatnonzero(half)
        for start in range(0, len(rows), BLOCK):
            yield rows[start : start + BLOCK], bank
