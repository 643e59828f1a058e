"""What mmlab needs from an engine that keeps points: ids, rows and plain dicts; `Store` speaks the nouns.

Shapes: N points, Q queries, D dimensions. Every method but `collections` may count on a session being open.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import numpy as np

from mmlab.index.schema.payload_filter import Condition
from mmlab.index.schema.schema import Schema

Conditions = tuple[Condition, ...]
Row = list[float] | dict[str, list[float]]  # a point's vector, or its vectors by name
Record = tuple[str, dict[str, Any], Row | None]  # id, payload, vectors where they were asked for


class Hits(NamedTuple):
    """What one query found, best first."""

    ids: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Search:
    """How points are searched: what every engine understands.

    k: hits for each query; using: the name of the vector; part: in the named layout the modality whose item_id is
    the hit's id; ef: candidates of a walk through the graph; exact: scan all vectors instead; quantized: look at the
    quantized copies first, with `rescore` by the vectors themselves and `oversampling` times k candidates;
    diversity: None, or MMR over `candidates` from 0 (nearest only) to 1 (most different).
    """

    k: int
    ef: int
    using: str = ""
    part: str = ""
    exact: bool = False
    quantized: bool = True
    rescore: bool | None = None
    oversampling: float | None = None
    diversity: float | None = None
    candidates: int = 100


class NoCollection(LookupError):
    """The store has no collection of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no collection {name!r}; the store has {list(known)}. Build it with 03_index first")


class Engine(Protocol):
    """One store of points in named collections; `place` says which and where, for people.

    `ignores_settings`: it scans, whatever a schema says of graph and quantization; `shared`: others may keep
    collections there as well.
    """

    place: str
    ignores_settings: bool
    shared: bool

    def session(self) -> AbstractContextManager[None]:
        """Keep what is open open until the block ends; may be nested."""

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""

    def create(self, name: str, schema: Schema) -> None:
        """Make an empty collection with payload indexes.

        Where it is there with this schema, add what a create that was killed has left out.
        """

    def drop(self, name: str) -> None:
        """Remove a collection that is there."""

    def schema(self, name: str) -> Schema:
        """The schema stored with the collection; NoCollection or WrongSchema."""

    def count(self, name: str, conditions: Conditions = ()) -> int:
        """The exact number of points that meet all conditions."""

    def upsert(self, name: str, ids: list[str], rows: list[Row], payloads: list[dict[str, Any]]) -> None:
        """Add or replace points; once it returns they survive the death of this process."""

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are passed over."""

    def build(self, name: str, progress: bool = False) -> None:
        """Build the HNSW graph over all points; return when it is there. A bar shows progress where it is told."""

    def info(self, name: str) -> dict[str, Any]:
        """points, indexed_vectors, segments, disk_bytes (None where the engine does not tell)."""

    def resident_bytes(self, name: str, rows: np.ndarray, how: Search) -> int | None:
        """The memory that a fresh process needs to open a collection and search the rows so; None where unknown."""

    def search(self, name: str, rows: np.ndarray, conditions: Conditions, how: Search) -> list[Hits]:
        """The up to `k` nearest points to each row (Q, D) by cosine, in the order of the rows."""

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The payloads of those of the ids that are there."""

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        """The vectors of those of the ids that are there."""

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        """All points that meet the conditions by their ids in order, with all payload fields or those named."""


def hits_of(points: Sequence[Any], part: str) -> Hits:
    """What either library found, by item: in the named layout the item of modality `part` is in the payload."""
    if part:
        ids = [point.payload[part]["item_id"] for point in points]
    else:
        ids = [id if isinstance(id, str) else _spelt(id.int) for id in (point.id for point in points)]
    return Hits(ids, [point.score for point in points])


@lru_cache(1 << 17)
def _spelt(number: int) -> str:
    """A point's id as text: spelling it takes longer than finding it, and many queries find the same points."""
    return str(UUID(int=number))
