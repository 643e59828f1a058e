"""Hubs: items that are among the nearest of far too many queries. Reduced by rescoring.

Letters: Q queries, N items of the gallery, B reference queries of the bank. The bank holds queries of the same
kind as those to come (other captions, say), never the judged ones; `bank` is their score matrix (B, N) with the same
gallery. Every rescoring takes and returns a score matrix (Q, N) and changes neither input; beside its result it
needs memory for a block of the bank only.
"""

from collections.abc import Callable, Iterator

import numpy as np

from mmlab.items import Vectors

BLOCK = 256  # rows or columns of a matrix at a time


def cosines(queries: Vectors, gallery: Vectors) -> np.ndarray:
    """The score matrix (Q, N) float32; SpaceMismatch for vectors of two spaces."""
    queries.space.check_same(gallery.space)
    return queries.array @ gallery.array.T


def csls(scores: np.ndarray, bank: np.ndarray, k: int = 10) -> np.ndarray:
    """2 x score - mean of the query's k best items - mean of the item's k best reference queries.

    Source: Conneau et al., Word Translation Without Parallel Data (ICLR 2018), "cross-domain similarity local
    scaling". Raises ValueError where there are fewer than k items or reference queries.
    """
    scores, bank = _checked(scores, bank)
    if not 1 <= k <= min(scores.shape[1], len(bank)):
        raise ValueError(
            f"k is at least 1 and at most the number of items and of reference queries; found k {k}, "
            f"{scores.shape[1]} items, {len(bank)} reference queries"
        )
    rescored = 2 * scores
    rescored -= _mean_of_best(scores, k)[:, None]
    rescored -= _mean_of_best(bank.T, k)
    return rescored


def inverted_softmax(scores: np.ndarray, bank: np.ndarray, temperature: float = 0.05) -> np.ndarray:
    """T x log of the inverted softmax: score - T x log(sum of exp(score / T) over the item's reference queries).

    The logarithm keeps the order and stays on the scale of the scores. Source: Smith et al., Offline Bilingual
    Word Vectors, Orthogonal Transformations and the Inverted Softmax (ICLR 2017), without its factor of the query,
    which changes no ranking.
    """
    scores, bank = _checked(scores, bank)
    return scores - _log_mass(bank, temperature)


def qb_norm(scores: np.ndarray, bank: np.ndarray, temperature: float = 0.05, k: int = 1) -> np.ndarray:
    """The inverted softmax for queries whose best item is a likely hub, the scores as they are for the others.

    A likely hub is an item among the k best of any reference query (the activation set). Scores are comparable
    within a query only. Source: Bogolin et al., Cross Modal Retrieval with Querybank Normalisation (CVPR 2022),
    with its dynamic inverted softmax.
    """
    scores, bank = _checked(scores, bank)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is at least 1 and at most the number of items, {scores.shape[1]}; found {k}")
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


def _checked(scores: np.ndarray, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, bank = np.asarray(scores), np.asarray(bank)
    if scores.ndim != 2 or bank.ndim != 2 or scores.shape[1] != bank.shape[1] or not len(bank):
        raise ValueError(
            "expected score matrices (Q, N) and (B, N) with the same gallery and B at least 1, "
            f"found {scores.shape} and {bank.shape}"
        )
    kind = np.result_type(scores.dtype, np.float32)  # float32 stays float32; whole numbers and halves grow
    return scores.astype(kind, copy=False), bank.astype(kind, copy=False)


def _blocks(matrix: np.ndarray) -> Iterator[np.ndarray]:
    rows = (matrix[start : start + BLOCK] for start in range(0, len(matrix), BLOCK))
    return (np.ascontiguousarray(block) for block in rows)  # of a transposed matrix too


def _mean_of_best(matrix: np.ndarray, k: int) -> np.ndarray:
    """The mean of the k highest values of each row."""
    means = [np.partition(block, -k, axis=1)[:, -k:].mean(axis=1) for block in _blocks(matrix)]
    return np.concatenate(means) if means else np.empty(0, dtype=matrix.dtype)


def _log_mass(bank: np.ndarray, temperature: float) -> np.ndarray:
    """T x log(sum of exp(score / T)) of each column of the bank (N,)."""
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is a positive number, found {temperature}")
    masses = []
    for block in _blocks(bank.T):
        top = block.max(axis=1, keepdims=True)
        mass = np.exp((block - top) / temperature).sum(axis=1)
        masses.append(top[:, 0] + temperature * np.log(mass))
    return np.concatenate(masses) if masses else np.empty(0, dtype=bank.dtype)
