"""Rescore against hubs, the items that are among the nearest of far too many queries: matrices and whole collections.

Letters: Q queries, N items of the gallery, B reference queries of the bank. The bank holds queries of the same kind as
those to come (other captions, say), never the evaluated ones; `bank` is their score matrix (B, N) with the same
gallery. Every rescoring takes and returns a score matrix (Q, N) and changes neither input.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import Vectors, exact_search, is_among
from mmlab.items.options import check_option
from mmlab.items.rankings import opposite_modality, rankings_from_blocks
from mmlab.items.tables import TooFew
from mmlab.retrieve.scores.query_split import CalibrationSplit
from mmlab.retrieve.scores.vector_arithmetic import Centring

NONE, CENTRING = "none", "centring"
TEMPERED = ("inverted_softmax", "qb_norm")  # the rescorings that have a temperature
DEFAULT_TEMPERATURE = 0.05
TEMPERATURES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MAX_TEMPERATURE_QUERIES = 1000  # that a temperature is chosen on
CSLS_NEIGHBOURS = 10  # or as many as there are
MAX_BANK_QUERIES = 5000  # the paper on QB-Norm finds no gain beyond that
QUERIES_PER_BLOCK = 4096
ROWS_PER_BLOCK = 256  # of a bank's matrix


class Rescored(NamedTuple):
    """Rankings by rescored scores, and the temperature that was used, None where the rescoring has none."""

    rankings: pd.DataFrame
    temperature: float | None = None


def csls(scores: np.ndarray, bank: np.ndarray, k: int = CSLS_NEIGHBOURS) -> np.ndarray:
    """Return 2 x score - mean of the query's k best items - mean of the item's k best reference queries, (Q, N).

    Source: Conneau et al., Word Translation Without Parallel Data (ICLR 2018), "cross-domain similarity local
    scaling". Raises ValueError where there are fewer than k items or reference queries.

    >>> csls(np.array([[0.5, 0.25]]), np.array([[0.5, 0.0]]), k=1)  # the first item is near the reference query too
    array([[0., 0.]])
    """
    scores, bank = _checked(scores, bank)
    if not 1 <= k <= min(scores.shape[1], len(bank)):
        raise ValueError(
            f"k: expected at least 1 and at most the number of items and of reference queries; found k {k}, "
            f"{scores.shape[1]} items, {len(bank)} reference queries"
        )
    rescored = 2 * scores
    rescored -= _mean_of_best(scores, k)[:, None]
    rescored -= _mean_of_best(bank.T, k)
    return rescored


def inverted_softmax(
    scores: np.ndarray, bank: np.ndarray, temperature: float = DEFAULT_TEMPERATURE
) -> np.ndarray:
    """Return T x log of the inverted softmax: score - T x log(sum of exp(score / T) over the reference queries).

    The logarithm keeps the order and stays on the scale of the scores. Source: Smith et al., Offline Bilingual Word
    Vectors, Orthogonal Transformations and the Inverted Softmax (ICLR 2017), without its factor of the query, which
    changes no ranking. Raises ValueError unless the temperature T is a positive number.
    """
    scores, bank = _checked(scores, bank)
    return scores - _log_mass(bank, temperature)


def qb_norm(
    scores: np.ndarray, bank: np.ndarray, temperature: float = DEFAULT_TEMPERATURE, k: int = 1
) -> np.ndarray:
    """Return the inverted softmax for queries whose best item is a likely hub, and the scores as they are for others.

    A likely hub is an item among the k best of any reference query (the activation set). Scores are comparable within
    a query only. Source: Bogolin et al., Cross Modal Retrieval with Querybank Normalisation (CVPR 2022), with its
    dynamic inverted softmax. Raises ValueError for a temperature or a k out of range.

    >>> bank = np.array([[0.9, 0.1]])  # makes the first item a likely hub
    >>> qb_norm(np.array([[0.8, 0.7], [0.1, 0.6]]), bank, temperature=0.1).round(2).tolist()
    [[-0.1, 0.6], [0.1, 0.6]]
    """
    scores, bank = _checked(scores, bank)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(
            f"k: expected at least 1 and at most the number of items, {scores.shape[1]}; found {k}"
        )
    mass, active = _log_mass(bank, temperature), np.zeros(scores.shape[1], dtype=bool)
    for block in _blocks(bank):
        active |= (block >= np.partition(block, -k, axis=1)[:, [-k]]).any(axis=0)
    rescored = scores.copy()
    np.subtract(scores, mass, out=rescored, where=active[scores.argmax(axis=1)][:, None])
    return rescored


RESCORINGS: dict[str, Callable[..., np.ndarray]] = {
    "csls": csls,
    "inverted_softmax": inverted_softmax,
    "qb_norm": qb_norm,
}


def rescore(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    rescoring: str,
    source: str,
    k: int = 100,
    seed: int = 0,
    split: CalibrationSplit | None = None,
    temperature: float | None = None,
) -> Rescored:
    """Rank the `k` best items of the gallery for every query, by exact scores that are rescored.

    `rescoring`: "none" leaves the scores as they are; "centring" takes from each side its own mean (`source` is the
    queries' modality, the gallery is of the other); those of RESCORINGS need a bank of reference queries. For these the
    pairs (`pairs`: item_id -> pair_id) are divided in halves by `seed`, and the bank of each half are up to 5,000
    queries of the other, so that no query is in its own bank. The `temperature`, where none is given, is chosen on the
    fitting queries of `split` (`choose_temperature`), and 0.05 without a split; no other relevance is used. Raises
    ValueError for an unknown rescoring, SpaceMismatch for vectors of two spaces.
    """
    check_option("rescoring", rescoring)
    if rescoring == NONE:
        return Rescored(exact_search(queries, gallery, k))
    if rescoring == CENTRING:
        return Rescored(exact_search(*centre(queries, gallery, source), k))
    if rescoring in TEMPERED and split and temperature is None:
        fitting = queries.take([name for name in queries.ids if name in split.fitting])
        temperature = choose_temperature(fitting, gallery, pairs, rescoring, seed=seed)
    settings = {"temperature": temperature or DEFAULT_TEMPERATURE} if rescoring in TEMPERED else {}
    blocks = (
        (rows, _rescored_rows(queries, gallery, rows, bank, rescoring, **settings))
        for rows, bank in _rows_and_banks(queries, gallery, pairs, seed)
    )
    rankings = rankings_from_blocks(blocks, queries.ids, gallery.ids, k)
    return Rescored(rankings, settings.get("temperature"))


def choose_temperature(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    rescoring: str,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int = 0,
) -> float:
    """Return the temperature of a rescoring of TEMPERED with the best Success@1, the same pair being right.

    Give the vectors of validation queries, of two pairs or more; of more than 1,000 that many are drawn. The bank of
    each half of the pairs is the other half. Of equally good ones the one nearest to 0.05, in ratio, is returned.
    """
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(is_among(pairs.reindex(queries.ids), pairs.reindex(gallery.ids)))
    drawn = queries.take(queries.ids[np.sort(rng.permutation(known)[:MAX_TEMPERATURE_QUERIES])])
    query_pairs, item_pairs = (pairs.reindex(part.ids).to_numpy(dtype=object) for part in (drawn, gallery))
    right = np.zeros(len(temperatures))
    for rows, bank in _rows_and_banks(drawn, gallery, pairs, seed):
        scores = drawn.array[rows] @ gallery.array.T
        for place, temperature in enumerate(temperatures):
            first = RESCORINGS[rescoring](scores, bank, temperature).argmax(axis=1)
            right[place] += (item_pairs[first] == query_pairs[rows]).sum()
    best = np.asarray(temperatures)[right == right.max()]
    return float(min(best, key=lambda temperature: abs(np.log(temperature / DEFAULT_TEMPERATURE))))


def centre(queries: Vectors, gallery: Vectors, source: str) -> tuple[Vectors, Vectors]:
    """Return both without the mean of their modality; `source` is the queries', the gallery is of the other."""
    texts, images = (queries, gallery) if source == "text" else (gallery, queries)
    centring = Centring.fit(texts, images)
    return centring.apply(queries, source), centring.apply(gallery, opposite_modality(source))


def _rescored_rows(
    queries: Vectors, gallery: Vectors, rows: np.ndarray, bank: np.ndarray, rescoring: str, **settings: float
) -> np.ndarray:
    scores = queries.array[rows] @ gallery.array.T
    if rescoring == "csls":
        return csls(scores, bank, min(CSLS_NEIGHBOURS, len(gallery), len(bank)))
    return RESCORINGS[rescoring](scores, bank, **settings)


def _rows_and_banks(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of queries, a block at a time, and the score matrix (B, N) of their bank."""
    pair = pairs.reindex(queries.ids).astype("str")
    names = np.sort(pair.unique())
    if len(names) < 2:
        raise TooFew(f"queries: rescoring needs those of two pairs or more, found {len(names)}")
    rng = np.random.default_rng(seed)
    first = is_among(pair, rng.permutation(names)[: len(names) // 2])
    for half in (first, ~first):
        drawn = np.sort(rng.permutation(np.flatnonzero(~half))[:MAX_BANK_QUERIES])
        bank = queries.array[drawn] @ gallery.array.T
        rows = np.flatnonzero(half)
        for start in range(0, len(rows), QUERIES_PER_BLOCK):
            yield rows[start : start + QUERIES_PER_BLOCK], bank


def _checked(scores: np.ndarray, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, bank = np.asarray(scores), np.asarray(bank)
    if scores.ndim != 2 or bank.ndim != 2 or scores.shape[1] != bank.shape[1] or not len(bank):
        raise ValueError(
            "expected score matrices (Q, N) and (B, N) with the same gallery and B at least 1, "
            f"found {scores.shape} and {bank.shape}"
        )
    dtype = np.result_type(scores.dtype, np.float32)  # float32 stays float32; whole numbers and halves grow
    return scores.astype(dtype, copy=False), bank.astype(dtype, copy=False)


def _blocks(matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of a matrix, which may be a transposed one, in contiguous blocks."""
    for start in range(0, len(matrix), ROWS_PER_BLOCK):
        yield np.ascontiguousarray(matrix[start : start + ROWS_PER_BLOCK])


def _mean_of_best(matrix: np.ndarray, k: int) -> np.ndarray:
    """Return the mean of the k highest values of each row."""
    means = [np.partition(block, -k, axis=1)[:, -k:].mean(axis=1) for block in _blocks(matrix)]
    return np.concatenate(means) if means else np.empty(0, dtype=matrix.dtype)


def _log_mass(bank: np.ndarray, temperature: float) -> np.ndarray:
    """Return T x log(sum of exp(score / T)) of each column of the bank (N,)."""
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature: expected a positive number, found {temperature}")
    masses = []
    for block in _blocks(bank.T):
        top = block.max(axis=1, keepdims=True)
        mass = np.exp((block - top) / temperature).sum(axis=1)
        masses.append(top[:, 0] + temperature * np.log(mass))
    return np.concatenate(masses) if masses else np.empty(0, dtype=bank.dtype)
