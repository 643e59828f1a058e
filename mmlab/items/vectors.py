"""Vectors never travel without their ids and their space: two spaces cannot meet by accident.

Shapes: N rows, D dimensions.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.items.files import replacing
from mmlab.items.tables import Ids, is_among, places_among, text_array
from mmlab.items.vector_files import check_ids, check_unit_rows, read_arrow, write_arrow

SCORES_PER_BLOCK = 16_000_000  # of a score matrix: 64 MB in float32, whatever the size of the gallery
QUERIES_PER_BLOCK = 4096
LEAST_QUERIES = (
    64  # for which a gallery is read once, in up to four times as many scores: half the time of 16
)
# Kinds of vectors: a row, weighted terms, a row for each token, and the mean of these.
DENSE, SPARSE, LATE, POOLED = "dense", "sparse", "late", "pooled"
TERM_WEIGHTS, TOKEN_VECTORS = (
    "term weights",
    "token vectors",
)  # the pooling of spaces of the second and third kind
AS_GIVEN = "as given"  # the pooling of a space whose vectors came ready, and whose model is not at hand
RARITY = "by rarity"  # of term weights: a query's terms count as much as they are rare
# At the end of the pooling of a space: how many dimensions are left of the model's own.
TRUNCATED = re.compile(r", first (\d+) dimensions$")


class SpaceMismatch(ValueError):
    """Vectors of two spaces were about to be compared."""


@dataclass(frozen=True)
class Space:
    """Which vectors may be compared: all that decides where a model puts an input.

    >>> clip = Space("openai/clip", "main", "projected", "", "resize 224", 512)
    >>> clip.key
    'clip-db22f720'
    """

    model: str
    revision: str
    pooling: str
    prompt: str
    preprocessing: str
    dimension: int

    @cached_property
    def key(self) -> str:
        """A short stable name for files and collections: the model's last name and 8 digits of a hash."""
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
        name = "".join(c if c.isalnum() else "-" for c in Path(self.model).name.lower())
        return f"{name[:40].strip('-')}-{digest[:8]}"

    @cached_property
    def kind(self) -> str:
        """What a vector is: "dense" (a row), "sparse" (weighted terms), "late" (a row a token), "pooled" (their mean).

        >>> Space("bm25", "", "term weights, by rarity", "", "", 0).kind
        'sparse'
        """
        kinds = {TERM_WEIGHTS: SPARSE, TOKEN_VECTORS: LATE, f"mean of {TOKEN_VECTORS}": POOLED}
        return kinds.get(self.pooling.partition(",")[0], DENSE)

    @property
    def has_model(self) -> bool:
        """Whether a model can embed queries; not where vectors came ready, and what made them is not at hand."""
        return self.pooling != AS_GIVEN

    @property
    def by_rarity(self) -> bool:
        """Whether a term of a query counts as much as it is rare among the items, as in BM25."""
        return self.kind == SPARSE and self.pooling.endswith(RARITY)

    @property
    def truncate_dim(self) -> int:
        """How many dimensions were kept of those that the model gives, 0 for all."""
        found = TRUNCATED.search(self.pooling)
        return int(found[1]) if found else 0

    def truncate(self, dimension: int) -> "Space":
        """Return the space of the first dimensions; itself where there are no more.

        >>> Space("toy", "1", "mean", "", "", 4).truncate(2).pooling
        'mean, first 2 dimensions'
        """
        if dimension >= self.dimension:
            return self
        pooling = f"{TRUNCATED.sub('', self.pooling)}, first {dimension} dimensions"
        return replace(self, pooling=pooling, dimension=dimension)

    def check_same(self, other: "Space") -> None:
        """Raise SpaceMismatch, naming each field that differs, unless both spaces are the same."""
        mine, theirs = self.to_dict(), other.to_dict()
        differing = [
            f"{name}: {mine[name]!r} and {theirs[name]!r}" for name in mine if mine[name] != theirs[name]
        ]
        if differing:
            raise SpaceMismatch(
                "vectors of two spaces cannot be compared; they differ in " + "; ".join(differing)
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Return the space that `to_dict` wrote."""
        return cls(**fields)


@dataclass(frozen=True, repr=False)
class Vectors:
    """Ids (N,), unit rows float32 (N, D) and their space; all three are checked when made.

    Lists and other dtypes are converted. `queries`: the texts among them as they ask, in the same space, where the
    model puts another prompt before a query than before a text that is found; see `asking`. Raises ValueError for
    lengths that do not agree, an id that comes twice and rows whose norm is not 1 (see `unit_rows`), SpaceMismatch for
    queries of another space.

    >>> Vectors(["a", "b"], unit_rows([[3, 4], [0, 2]]), Space("toy", "1", "", "", "", 2)).array.tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 1.0]]
    """

    ids: np.ndarray
    array: np.ndarray
    space: Space
    queries: "Vectors | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=str))
        object.__setattr__(self, "array", np.ascontiguousarray(self.array, dtype=np.float32))
        if self.array.ndim != 2 or self.array.shape != (len(self.ids), self.space.dimension):
            expected = (len(self.ids), self.space.dimension)
            raise ValueError(f"vectors: expected an array of shape {expected}, found {self.array.shape}")
        check_ids(self.ids)
        check_unit_rows(self.array, self.ids)
        if self.queries is not None:
            self.space.check_same(self.queries.space)

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} x {self.space.dimension} in {self.space.key})"

    def take(self, ids: Sequence[str] | np.ndarray) -> "Vectors":
        """Return the vectors of the given ids, in their order; KeyError names the first id that is not here.

        Those of ids that follow each other here are a view, not a copy. Raises ValueError for an id that comes twice.

        >>> vectors = Vectors(["a", "b", "c"], np.eye(3), Space("toy", "1", "", "", "", 3))
        >>> np.shares_memory(vectors.take(["b", "c"]).array, vectors.array)
        True
        """
        rows = rows_of(self.id_texts, ids)
        if len(np.unique(rows)) != len(rows):
            raise ValueError(f"vectors: {len(rows)} ids, only {len(np.unique(rows))} different ones")
        follows = len(rows) > 0 and bool((np.diff(rows) == 1).all())
        chosen = slice(int(rows[0]), int(rows[0]) + len(rows)) if follows else rows
        return self._part(chosen)

    @cached_property
    def id_texts(self) -> Ids:
        """The ids as they are searched, and as they lie in the file of `load`: a third of the memory of `ids`."""
        return text_array(self.ids)

    def __getattr__(self, name: str) -> Any:
        """Return the ids of vectors that were loaded, which are made when they are first asked for."""
        if name != "ids" or "id_texts" not in self.__dict__:
            raise AttributeError(f"vectors have no {name}")
        ids = np.asarray(self.id_texts, dtype=str)
        object.__setattr__(self, "ids", ids)
        return ids

    def _part(self, chosen: slice | np.ndarray) -> "Vectors":
        """Return the vectors at these places, each at most once: what was checked is not checked again."""
        ids = text_array(self.id_texts)
        found = ids[chosen] if isinstance(chosen, slice) else ids.take(pa.array(chosen))
        return _unchecked(id_texts=found, array=self.array[chosen], space=self.space, queries=self.queries)

    def among(self, ids: Ids) -> "Vectors":
        """Return the vectors of those of the ids that are here, in the order in which they are here.

        >>> vectors = Vectors(["a", "b", "c"], np.eye(3), Space("toy", "1", "", "", "", 3))
        >>> vectors.among(["c", "a", "d"]).ids.tolist()
        ['a', 'c']
        """
        return self._part(np.flatnonzero(is_among(self.id_texts, ids)))

    def asking(self) -> "Vectors":
        """Return the same items as they ask: texts by their rows in `queries`, all others as they are found.

        >>> space = Space("toy", "1", "", "", "", 2)
        >>> found = Vectors(["a", "b"], np.eye(2), space, queries=Vectors(["b"], [[0.6, 0.8]], space))
        >>> found.asking().array.round(1).tolist()
        [[1.0, 0.0], [0.6000000238418579, 0.800000011920929]]
        """
        if self.queries is None:
            return self
        array, asks = self.array.copy(), np.isin(self.ids, self.queries.ids)
        array[asks] = self.queries.take(self.ids[asks]).array
        return Vectors(self.ids, array, self.space, self.queries)

    def rows(self, numbers: np.ndarray | slice) -> list[np.ndarray]:
        """Return the rows at these places."""
        return list(self.array[numbers])

    @property
    def parts_nbytes(self) -> int:
        """The bytes of all items' vectors."""
        return self.array.nbytes

    def part_bytes(self, row: int) -> bytes:
        """Return the bytes of one item's vector, for a fingerprint."""
        return self.array[row].tobytes()

    def score_blocks(self, gallery: "Vectors") -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the places of queries and their cosines (Q, N) with the gallery, block by block."""
        return score_blocks(self.array, gallery.array)

    def truncate(self, dimension: int) -> "Vectors":
        """Return the first dimensions as unit rows, as a model gives them with `truncate_dim`.

        >>> Vectors(["a"], [[0.36, 0.48, 0.8]], Space("toy", "1", "", "", "", 3)).truncate(2).array.round(1).tolist()
        [[0.6000000238418579, 0.800000011920929]]
        """
        queries = self.queries.truncate(dimension) if self.queries else None
        array = unit_rows(self.array[:, :dimension])
        return Vectors(self.ids, array, self.space.truncate(dimension), queries)

    def save(self, path: str | Path) -> Path:
        """Write ids, rows and space, not `queries`, as one Arrow file, whole or not at all; see `vector_files`."""
        with replacing(path) as temporary:
            write_arrow(temporary, text_array(self.id_texts), self.array, self.space)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Vectors":
        """Read what `save` wrote: `array` is a view of the file, which is mapped to memory and cannot be written to.

        Raises FileNotFoundError where there is nothing, ValueError for another file.
        """
        ids, array, fields = read_arrow(path)
        try:
            space = Space.from_dict(fields)
        except TypeError as error:
            raise ValueError(
                f"{path} is no vectors file: {fields!r} are not the fields of a space"
            ) from error
        if array.shape[1] != space.dimension:
            expected = (len(ids), space.dimension)
            raise ValueError(f"vectors: expected an array of shape {expected}, found {array.shape}")
        check_ids(ids)
        check_unit_rows(array, ids)
        return _unchecked(id_texts=ids.cast(pa.large_string()), array=array, space=space, queries=None)


def _unchecked(**fields: Any) -> Vectors:
    """Return vectors of fields that were checked before."""
    made = object.__new__(Vectors)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def score_blocks(queries: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the rows of queries (Q, D) and their dot products (rows, N) with the gallery (N, D), block by block.

    >>> [(rows, scores.tolist()) for rows, scores in score_blocks(np.eye(2), np.array([[3.0, 4.0]]))]
    [(slice(0, 2, None), [[3.0], [4.0]])]
    """
    most = SCORES_PER_BLOCK // max(1, len(gallery))
    size = max(1, min(QUERIES_PER_BLOCK, max(most, min(LEAST_QUERIES, 4 * most))))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        yield rows, queries[rows] @ gallery.T


def rows_of(ids: Ids, wanted: Ids) -> np.ndarray:
    """Return the place of each wanted id among the ids; raise KeyError, naming the first that is not there."""
    rows = places_among(wanted, ids)
    missing = rows < 0
    if missing.any():
        raise KeyError(
            f"{missing.sum()} of {len(rows)} ids have no vector, first {np.asarray(wanted)[missing][0]}"
        )
    return rows


def main_vectors(vectors: Sequence[Vectors], items: pd.DataFrame) -> Vectors:
    """Return the first of a run's vectors that hold both images and texts of the items, else the first of all."""
    if len(vectors) == 1:
        return vectors[0]
    joint = (
        own for own in vectors if items["modality"][is_among(items["item_id"], own.id_texts)].nunique() > 1
    )
    return next(joint, vectors[0])


def unit_rows(array: np.ndarray) -> np.ndarray:
    """Return rows divided by their Euclidean norm, float32 (N, D); ValueError where one is zero or not finite.

    >>> unit_rows([[3.0, 4.0]]).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    array = np.asarray(array, dtype=np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] < 1e-12))
    if len(bad):
        raise ValueError(f"{len(bad)} of {len(array)} vectors are zero or not finite, first row {bad[0]}")
    return array / norms
