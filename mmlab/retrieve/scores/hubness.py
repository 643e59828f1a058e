"""Rescore against hubs, the items that are among the nearest of far too many queries: matrices and whole collections.

Letters: Q queries, N items of the gallery, B reference queries of the bank. The bank holds queries of the same kind as
those to come (other captions, say), and tells nothing of what is right for these (`find_banks`); `bank` is their score
matrix (B, N) with the same gallery. Every rescoring takes and returns a score matrix (Q, N) and changes neither input.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import Vectors, exact_search, is_among
from mmlab.items.options import Number, check_value
from mmlab.items.parameter_table import check_values
from mmlab.items.rankings import opposite_modality, rankings_from_blocks
from mmlab.items.tables import Ids, TooFew
from mmlab.items.vectors import SCORES_PER_BLOCK, score_blocks
from mmlab.retrieve.scores.fuse import Centring

NONE, CENTRING = "none", "centring"
TEMPERED = ("inverted_softmax", "qb_norm")  # the rescorings that have a temperature
DEFAULT_TEMPERATURE = 0.05
TEMPERATURES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MAX_TEMPERATURE_QUERIES = 1000  # that a temperature is chosen on
CSLS_NEIGHBOURS = 10  # or as many as there are
MAX_BANK_QUERIES = 5000  # the paper on QB-Norm finds no gain beyond that
MIN_REFERENCES = 50  # queries in a bank
PARTS = 10  # that the pairs are divided into, where the queries are their own bank
ROWS_PER_BLOCK = 256  # of a bank's matrix


class Rescored(NamedTuple):
    """Rankings by rescored scores, and the temperature that was used, None where the rescoring has none."""

    rankings: pd.DataFrame
    temperature: float | None = None


class Bank(NamedTuple):
    """Reference queries (B, D), and the rows of the queries (R,) that are rescored by them.

    Where reference queries are of the gallery's own pairs, those of the items' parts and of the part that asks are left
    out: parts (B,), item_parts (N,), whole numbers.
    """

    rows: np.ndarray
    references: np.ndarray
    part: int = 0
    parts: np.ndarray | None = None
    item_parts: np.ndarray | None = None

    def score_blocks(self, gallery: Vectors) -> Iterator[np.ndarray]:
        """Yield the score matrix (B, N) in blocks of items, -inf where a reference query is left out for an item."""
        size = max(1, SCORES_PER_BLOCK // max(1, len(self.references)))
        for start in range(0, len(gallery), size):
            items = slice(start, min(start + size, len(gallery)))
            scores = self.references @ gallery.array[items].T
            if self.parts is not None and self.item_parts is not None:
                own = self.item_parts[items]
                scores[self.parts[:, None] == own] = -np.inf
                # Items of the part that asks, the right ones among them, lack one part as all others lack two.
                next_part = self.parts == (self.part + 1) % PARTS
                scores[np.ix_(next_part, own == self.part)] = -np.inf
            yield scores


class ItemTerms(NamedTuple):
    """What a bank says of the items: what their scores are lowered by (N,), and which are likely hubs (N,), bool."""

    lowered_by: np.ndarray
    hubs: np.ndarray | None = None


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
    return _apply("csls", scores, ItemTerms(_mean_of_best(bank.T, k)), k)


def inverted_softmax(
    scores: np.ndarray, bank: np.ndarray, temperature: float = DEFAULT_TEMPERATURE
) -> np.ndarray:
    """Return T x log of the inverted softmax: score - T x log(sum of exp(score / T) over the reference queries).

    The logarithm keeps the order and stays on the scale of the scores. Source: Smith et al., Offline Bilingual Word
    Vectors, Orthogonal Transformations and the Inverted Softmax (ICLR 2017), without its factor of the query, which
    changes no ranking. Raises ValueError unless the temperature T is a positive number.
    """
    scores, bank = _checked(scores, bank)
    return _apply("inverted_softmax", scores, ItemTerms(_log_mass(bank, temperature)))


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
    return _apply("qb_norm", scores, ItemTerms(_log_mass(bank, temperature), _likely_hubs([bank], k)))


RESCORINGS: dict[str, Callable[..., np.ndarray]] = {
    "csls": csls,
    "inverted_softmax": inverted_softmax,
    "qb_norm": qb_norm,
}


def find_banks(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, references: Vectors | None = None, seed: int = 0
) -> list[Bank]:
    """Divide the queries among banks of reference queries that tell nothing of which item answers them.

    Where the captions of the wrong items stand in a bank and those of the right one do not, the wrong ones alone are
    pushed down: that shows gains that do not exist. So the bank are up to 5,000 of the `references` of pairs (`pairs`:
    item_id -> pair_id) that are not in the gallery, as those of a training split are for a test gallery. Without 50 of
    them the queries serve each other: the pairs are divided into ten parts by `seed`, and every item, right or wrong,
    is compared with the queries of eight of them, neither those of its own part nor those of the part that asks. That
    gives no gain where there is none. It charges the right item a little where others look like it, as it still meets
    their queries and they do not meet its own: prefer references outside the gallery.
    Raises TooFew, saying what is lacking, where neither leaves 50 reference queries.
    """
    rng = np.random.default_rng(seed)
    if references is not None:
        outside = ~is_among(pairs.reindex(references.ids), pairs.reindex(gallery.ids).dropna())
        drawn = np.sort(rng.permutation(np.flatnonzero(outside))[:MAX_BANK_QUERIES])
        if len(drawn) >= MIN_REFERENCES:
            return [Bank(np.arange(len(queries)), references.array[drawn])]
    part_of_query, part_of_item = _parts_of_pairs(queries, gallery, pairs, rng)
    drawn = np.sort(rng.permutation(len(queries))[:MAX_BANK_QUERIES])
    largest = np.sort(np.bincount(part_of_query[drawn], minlength=PARTS))[-2:].sum()
    if len(drawn) - largest < MIN_REFERENCES:
        raise TooFew(
            f"rescoring: expected {MIN_REFERENCES} reference queries of pairs that neither ask nor answer, found "
            f"{len(drawn) - largest} among {len(queries)} queries; rank more pairs, or a split with others beside it"
        )
    banks = []
    for part in np.unique(part_of_query):
        kept = drawn[part_of_query[drawn] != part]
        parts = part_of_query[kept], part_of_item
        banks.append(Bank(np.flatnonzero(part_of_query == part), queries.array[kept], int(part), *parts))
    return banks


def _parts_of_pairs(
    queries: Vectors, gallery: Vectors, pairs: pd.Series, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of each query (Q,) and of each item (N,); an item without a pair is one of its own."""
    ids = np.concatenate([queries.ids, gallery.ids])
    pair = pairs.reindex(ids)
    names = pair.where(pair.notna(), ids).astype("str").to_numpy(dtype=str)
    _, number = np.unique(names, return_inverse=True)
    part = (rng.permutation(number.max(initial=0) + 1) % PARTS)[number]
    return part[: len(queries)], part[len(queries) :]


def rescore(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    rescoring: str,
    source: str,
    k: int = 100,
    seed: int = 0,
    temperature: float | None = None,
    references: Vectors | None = None,
) -> Rescored:
    """Rank the `k` best items of the gallery for every query, by exact scores that are rescored.

    `rescoring`: "none" leaves the scores as they are; "centring" takes from each side its own mean (`source` is the
    queries' modality, the gallery is of the other); those of RESCORINGS need a bank of reference queries, see
    `find_banks`. The `temperature` is one that `fit_temperature` chose on other queries; 0.05 unless given. Raises
    ValueError for an unknown rescoring, SpaceMismatch for vectors of two spaces, TooFew where there is no bank and for
    what is its own mean.
    """
    check_values(rescoring=rescoring)
    queries.space.check_same(gallery.space)
    if rescoring in (NONE, CENTRING):
        both = (queries, gallery) if rescoring == NONE else centre(queries, gallery, source)
        return Rescored(exact_search(*both, k))
    banks = find_banks(queries, gallery, pairs, references, seed)
    used = (temperature or DEFAULT_TEMPERATURE) if rescoring in TEMPERED else None
    blocks = (
        (rows, _apply(rescoring, scores, terms))
        for bank in banks
        for terms in _item_terms(rescoring, bank, gallery, [used])
        for rows, scores in _score_rows(queries, gallery, bank.rows)
    )
    return Rescored(rankings_from_blocks(blocks, queries.ids, gallery.ids, k), used)


def fit_temperature(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    rescoring: str,
    fitting: Ids,
    seed: int = 0,
    references: Vectors | None = None,
) -> float | None:
    """Return the temperature that suits the `fitting` queries best, in their own gallery and by a bank of their own.

    None for a rescoring without one. See `find_banks` and `choose_temperature`; raises TooFew where there is no bank.
    """
    if rescoring not in TEMPERED:
        return None
    banks = find_banks(queries, gallery, pairs, references, seed)
    return choose_temperature(
        queries, gallery, pairs, rescoring, banks, is_among(queries.ids, fitting), seed=seed
    )


def choose_temperature(
    queries: Vectors,
    gallery: Vectors,
    pairs: pd.Series,
    rescoring: str,
    banks: Sequence[Bank],
    fitting: np.ndarray,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int = 0,
) -> float:
    """Return the temperature of a rescoring of TEMPERED with the best Success@1, the same pair being right.

    `banks`: see `find_banks`; `fitting` (Q,), bool: the queries to choose on, of which 1,000 are drawn at most. Of
    equally good ones the one nearest to 0.05, in ratio, is returned.
    """
    query_pairs, item_pairs = (pairs.reindex(part.ids).to_numpy(dtype=object) for part in (queries, gallery))
    known = np.flatnonzero(fitting & is_among(query_pairs, item_pairs))
    drawn = np.random.default_rng(seed).permutation(known)[:MAX_TEMPERATURE_QUERIES]
    right = np.zeros(len(temperatures))
    for bank in banks:
        asking = np.intersect1d(bank.rows, drawn)
        every = _item_terms(rescoring, bank, gallery, temperatures) if len(asking) else []
        for rows, scores in _score_rows(queries, gallery, asking):
            for place, terms in enumerate(every):
                first = _apply(rescoring, scores, terms).argmax(axis=1)
                right[place] += (item_pairs[first] == query_pairs[rows]).sum()
    best = np.asarray(temperatures)[right == right.max()]
    return float(min(best, key=lambda temperature: abs(np.log(temperature / DEFAULT_TEMPERATURE))))


def centre(queries: Vectors, gallery: Vectors, source: str) -> tuple[Vectors, Vectors]:
    """Return both without the mean of their modality; `source` is the queries', the gallery is of the other."""
    centring = fit_centring(queries, gallery, source)
    return centring.apply(queries, source), centring.apply(gallery, opposite_modality(source))


def fit_centring(queries: Vectors, gallery: Vectors, source: str) -> Centring:
    """Return the means of both; `source` is the queries' modality, the gallery is of the other."""
    return Centring.fit(*((queries, gallery) if source == "text" else (gallery, queries)))


def _score_rows(
    queries: Vectors, gallery: Vectors, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some of these rows of the queries at a time, and their scores (rows, N)."""
    for part, scores in score_blocks(queries.array[rows], gallery.array):
        yield rows[part], scores


def _item_terms(
    rescoring: str, bank: Bank, gallery: Vectors, temperatures: Sequence[float | None]
) -> list[ItemTerms]:
    """Return what a bank says of the items by a rescoring at each temperature; [None] for one that has none."""
    parts = [
        [_item_term(scores, temperature, len(gallery)) for temperature in temperatures]
        for scores in bank.score_blocks(gallery)
    ]
    hubs = _likely_hubs(bank.score_blocks(gallery)) if rescoring == "qb_norm" else None
    return [ItemTerms(np.concatenate(one), hubs) for one in zip(*parts, strict=True)]


def _item_term(scores: np.ndarray, temperature: float | None, items: int) -> np.ndarray:
    if temperature is None:
        return _mean_of_best(scores.T, min(CSLS_NEIGHBOURS, items))
    return _log_mass(scores, temperature)


def _apply(rescoring: str, scores: np.ndarray, terms: ItemTerms, k: int = CSLS_NEIGHBOURS) -> np.ndarray:
    """Return rescored scores (Q, N)."""
    if rescoring == "csls":
        rescored: np.ndarray = 2 * scores
        rescored -= _mean_of_best(scores, min(k, scores.shape[1]))[:, None]
        rescored -= terms.lowered_by
        return rescored
    if terms.hubs is None:
        return scores - terms.lowered_by
    rescored = scores.copy()
    led_by_hub = terms.hubs[scores.argmax(axis=1)][:, None]
    return np.subtract(scores, terms.lowered_by, out=rescored, where=led_by_hub)


def _likely_hubs(blocks: Iterable[np.ndarray], k: int = 1) -> np.ndarray:
    """Return which items (N,) are among the k best of any reference query.

    blocks: the score matrix (B, n) of k items or more at a time, in their order; -inf where a query is left out.
    """
    best, found, count = None, [], 0
    for block in blocks:
        own = np.partition(block, -k, axis=1)[:, -k:]
        best = own if best is None else np.partition(np.hstack([best, own]), -k, axis=1)[:, -k:]
        least = best.min(axis=1)
        query, item = np.nonzero((block >= least[:, None]) & np.isfinite(block))
        found.append((query, item + count, block[query, item]))
        count += block.shape[1]
    hubs = np.zeros(count, dtype=bool)
    for query, item, score in found:
        hubs[item[score >= least[query]]] = True
    return hubs


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
    check_value("temperature", temperature, Number(0, above=True))
    masses = []
    for block in _blocks(bank.T):
        top = block.max(axis=1, keepdims=True)
        mass = np.exp((block - top) / temperature).sum(axis=1)
        masses.append(top[:, 0] + temperature * np.log(mass))
    return np.concatenate(masses) if masses else np.empty(0, dtype=bank.dtype)
