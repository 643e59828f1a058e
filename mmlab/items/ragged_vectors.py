"""Vectors that are no single dense row: weighted terms (BM25, SPLADE), and one row for each token (late interaction).

Shapes: N items, D dimensions, W weights or T token rows of all items together; those of item i lie from offsets[i] to
before offsets[i + 1].
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from mmlab.items.files import replacing
from mmlab.items.vector_files import check_ids, check_unit_rows
from mmlab.items.vectors import QUERIES_PER_BLOCK, SCORES_PER_BLOCK, Space, Vectors, rows_of

TOKEN_SCORES_PER_BLOCK = 16_000_000  # of query tokens times item tokens


class Terms(NamedTuple):
    """One sparse vector: dimensions and their weights, as an engine takes them."""

    indices: list[int]
    weights: list[float]


@dataclass(frozen=True, repr=False)
class RaggedVectors:
    """Ids (N,), offsets (N + 1,), and the parts of all items one after the other; `parts` names their fields.

    queries: the items that can ask, as they ask; None where all ask as they are found.
    """

    parts: ClassVar[tuple[str, ...]]

    ids: np.ndarray
    offsets: np.ndarray
    space: Space
    queries: "Self | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=str))
        object.__setattr__(self, "offsets", np.asarray(self.offsets, dtype=np.int64))
        sizes = np.diff(self.offsets)
        total = len(getattr(self, self.parts[0]))
        if (
            len(self.offsets) != len(self.ids) + 1
            or (sizes < 0).any()
            or self.offsets[[0, -1]].tolist() != [0, total]
        ):
            raise ValueError(
                f"vectors: expected {len(self.ids) + 1} offsets from 0 up to {total}, found {self.offsets.tolist()[:5]}"
            )
        check_ids(self.ids)
        if self.queries is not None:
            self.space.check_same(self.queries.space)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def id_texts(self) -> np.ndarray:
        """The ids, as they are searched."""
        return self.ids

    def take(self, ids: Sequence[str] | np.ndarray) -> Self:
        """Return the vectors of the given ids, in their order; KeyError names the first id that is not here."""
        wanted = np.asarray(ids, dtype=str)
        return self.at(rows_of(self.ids, wanted), wanted)

    def at(self, rows: np.ndarray, ids: np.ndarray) -> Self:
        """Return the vectors at these places under other ids; a place may come twice."""
        sizes = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], sizes)
        chosen: dict[str, Any] = {name: getattr(self, name)[places] for name in self.parts}
        return replace(self, ids=ids, offsets=offsets, **chosen)

    def asking(self) -> Self:
        """Return the items that can ask, as they ask."""
        return (
            self if self.queries is None else self.queries.take(self.ids[np.isin(self.ids, self.queries.ids)])
        )

    @property
    def parts_nbytes(self) -> int:
        """The bytes of all items' vectors."""
        return sum(getattr(self, name).nbytes for name in self.parts)

    def part_bytes(self, row: int) -> bytes:
        """Return the bytes of one item's vector, for a fingerprint."""
        own = slice(self.offsets[row], self.offsets[row + 1])
        return b"".join(np.ascontiguousarray(getattr(self, name)[own]).tobytes() for name in self.parts)

    def save(self, path: str | Path) -> Path:
        """Write ids, parts and space, not `queries`, as one `.npz` without pickles, whole or not at all."""
        parts = {name: getattr(self, name) for name in self.parts}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            space = np.array(json.dumps(self.space.to_dict()))
            np.savez(file, ids=self.ids, offsets=self.offsets, space=space, **parts)
        return Path(path)


@dataclass(frozen=True, repr=False)
class SparseVectors(RaggedVectors):
    """Weighted terms: indices uint32 (W,) and weights float32 (W,), each index once an item.

    The score of a query is the sum of products over the terms that it shares with an item; 0 is no hit.
    Where an item's document holds the texts of its pair, a query that is one of them would find its own words.
    bare: the same documents without any texts; own: of each query the document of its pair without the query itself.

    >>> space = Space("bm25", "", "term weights", "", "", 0)
    >>> found = SparseVectors(["a", "b"], [0, 1, 3], space, indices=[7, 7, 9], weights=[1.0, 2.0, 1.0])
    >>> [(rows, scores.tolist()) for rows, scores in found.take(["b"]).score_blocks(found)]
    [(slice(0, 1, None), [[2.0, 5.0]])]
    """

    parts = ("indices", "weights")

    indices: np.ndarray = None  # type: ignore[assignment]
    weights: np.ndarray = None  # type: ignore[assignment]
    bare: "SparseVectors | None" = None
    own: "SparseVectors | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", np.asarray(self.indices, dtype=np.uint32))
        object.__setattr__(self, "weights", np.asarray(self.weights, dtype=np.float32))
        super().__post_init__()
        if self.indices.shape != self.weights.shape or not np.isfinite(self.weights).all():
            raise ValueError("vectors: expected as many finite weights as indices")

    def __repr__(self) -> str:
        return f"SparseVectors({len(self):,} with {len(self.indices):,} weights in {self.space.key})"

    def rows(self, numbers: np.ndarray | slice) -> list[Terms]:
        """Return the terms of the items at these places."""
        places = np.arange(len(self))[numbers]
        chosen = self.at(places, np.arange(len(places)))
        bounds = zip(chosen.offsets.tolist(), chosen.offsets[1:].tolist(), strict=False)
        indices, weights = chosen.indices.tolist(), chosen.weights.tolist()
        return [Terms(indices[start:end], weights[start:end]) for start, end in bounds]

    def by_rarity_in(self, gallery: "SparseVectors") -> "SparseVectors":
        """Return the same terms times ln(1 + (N - n + 0.5) / (n + 0.5)), where n of the gallery's N items have them."""
        if not self.space.by_rarity:
            return self
        terms, counts = np.unique(gallery.indices, return_counts=True)
        places = np.minimum(np.searchsorted(terms, self.indices), max(len(terms) - 1, 0))
        held = np.where(terms[places] == self.indices, counts[places], 0) if len(terms) else 0
        rarity = np.log1p((len(gallery) - held + 0.5) / (held + 0.5))
        return replace(self, weights=self.weights * rarity)

    def score_each(self, documents: "SparseVectors") -> np.ndarray:
        """Return the sum of products of each query with the document of the same id, (Q,); 0 without one."""
        known = np.isin(self.ids, documents.ids)
        asked, found = self.take(self.ids[known]), documents.take(self.ids[known])
        terms, scores = np.unique(found.indices), np.zeros(len(self), dtype=np.float32)
        products = asked._matrix(terms).multiply(found._matrix(terms)).sum(axis=1)
        scores[known] = np.asarray(products).ravel()
        return scores

    def score_blocks(self, gallery: "SparseVectors") -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the places of queries and their sums of products (Q, N) with the gallery, block by block."""
        terms = np.unique(gallery.indices)
        asked, found = self._matrix(terms), gallery._matrix(terms)
        size = max(1, min(QUERIES_PER_BLOCK, SCORES_PER_BLOCK // max(1, len(gallery))))
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, (asked[rows] @ found.T).toarray()

    def _matrix(self, terms: np.ndarray) -> Any:
        """Return the weights as a sparse matrix (N, terms), without terms that are not among these."""
        from scipy.sparse import csr_matrix

        columns = np.searchsorted(terms, self.indices)
        known = columns < len(terms)
        known[known] = terms[columns[known]] == self.indices[known]
        rows = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        return csr_matrix((self.weights[known], (rows[known], columns[known])), shape=(len(self), len(terms)))


@dataclass(frozen=True, repr=False)
class TokenVectors(RaggedVectors):
    """Late interaction: unit rows float32 (T, D), one or more for each item (Khattab and Zaharia 2020).

    The score is MaxSim: for each row of the query the highest cosine with a row of the item, summed up.

    >>> space = Space("toy", "1", "token vectors", "", "", 2)
    >>> found = TokenVectors(["a", "b"], [0, 1, 3], space, array=[[1, 0], [0.6, 0.8], [0, 1]])
    >>> [scores.round(1).tolist() for _, scores in found.take(["a"]).score_blocks(found)]
    [[[1.0, 0.6000000238418579]]]
    """

    parts = ("array",)

    array: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", np.ascontiguousarray(self.array, dtype=np.float32))
        if self.array.ndim != 2 or self.array.shape[1] != self.space.dimension:
            raise ValueError(
                f"vectors: expected token rows of {self.space.dimension} numbers, found {self.array.shape}"
            )
        super().__post_init__()
        if not (np.diff(self.offsets) > 0).all():
            raise ValueError("vectors: every item of late interaction has at least one row")
        check_unit_rows(self.array, np.repeat(self.ids, np.diff(self.offsets)))

    def __repr__(self) -> str:
        return f"TokenVectors({len(self):,} of {len(self.array):,} rows x {self.space.dimension} in {self.space.key})"

    def rows(self, numbers: np.ndarray | slice) -> list[list[list[float]]]:
        """Return the token rows of the items at these places."""
        places = np.arange(len(self))[numbers]
        return [self.array[self.offsets[i] : self.offsets[i + 1]].tolist() for i in places]

    def pooled(self) -> Vectors:
        """Return the unit mean of each item's rows (N, D), by which a first stage finds candidates."""
        sums = np.add.reduceat(self.array, self.offsets[:-1]) if len(self) else self.array
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return Vectors(self.ids, sums / np.maximum(norms, 1e-12), pooled_space(self.space))

    def score_blocks(self, gallery: "TokenVectors") -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the places of queries and their MaxSim (Q, N) with the gallery, block by block."""
        size = max(1, TOKEN_SCORES_PER_BLOCK // max(1, len(gallery.array)))
        start = 0
        while start < len(self):
            end = max(
                start + 1, int(np.searchsorted(self.offsets, self.offsets[start] + size, side="right")) - 1
            )
            tokens = self.array[self.offsets[start] : self.offsets[end]]
            best = np.maximum.reduceat(tokens @ gallery.array.T, gallery.offsets[:-1], axis=1)
            yield (
                slice(start, end),
                np.add.reduceat(best, self.offsets[start:end] - self.offsets[start], axis=0),
            )
            start = end


def pooled_space(space: Space) -> Space:
    """Return the space of the means of token vectors of this space."""
    return replace(space, pooling=f"mean of {space.pooling}")


AnyVectors = Vectors | SparseVectors | TokenVectors


def load_vectors(path: str | Path) -> AnyVectors:
    """Read what `save` of any kind of vectors wrote; raise FileNotFoundError or ValueError as `Vectors.load` does."""
    if Path(path).suffix != ".npz":
        return Vectors.load(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"no vectors at {path}: run 02_embed for this run first")
    with np.load(path, allow_pickle=False) as parts:
        missing = {"ids", "offsets", "space"} - set(parts.files)
        kind = next(
            (one for one in (SparseVectors, TokenVectors) if set(one.parts) <= set(parts.files)), None
        )
        if missing or kind is None:
            raise ValueError(f"{path} is no vectors file: found {sorted(parts.files)}")
        space = Space.from_dict(json.loads(str(parts["space"])))
        own = {name: parts[name] for name in kind.parts}
        return kind(parts["ids"], parts["offsets"], space, **own)
