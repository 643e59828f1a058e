"""What mmlab needs from an engine that keeps points: ids, rows and plain dicts. `Store` speaks the nouns.

Shapes: N points, Q queries, D dimensions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypedDict, Unpack

import numpy as np

from mmlab.index.schema.payload import Conditions
from mmlab.index.schema.schema import Schema
from mmlab.index.store.hits import Hits

MIN_CANDIDATES, CANDIDATES_PER_HIT, MAX_CANDIDATES = 100, 4, 16_384  # of MMR; Qdrant takes no more

Payload = dict[str, Any]  # values by field; in the named layout such a dict by modality
Row = list[float] | dict[str, list[float]]  # a point's vector, or its vectors by name
Record = tuple[str, Payload, Row | None]  # id, payload, and the vectors if they were asked for


class SearchOptions(TypedDict, total=False):
    """Settings of a search that a caller may choose; the schema's hold for those that are None or left out.

    exact: scan all vectors. ef: candidates of a walk through the graph. quantized: compare the quantized copies first.
    rescore, oversampling: rank `oversampling` times k candidates by the vectors themselves. diversity: MMR, from 0
    (the nearest) to 1 (the most different).
    """

    exact: bool
    ef: int | None
    quantized: bool
    rescore: bool | None
    oversampling: float | None
    diversity: float | None


@dataclass(frozen=True)
class Search:
    """How points are searched: what every engine understands.

    The fields are those of `SearchOptions` and these. k: hits per query. vector: the name of the vector that is
    compared, "" for the only one. part: in the named layout the modality whose item_id is the id of a hit.
    candidates: what MMR chooses from.
    """

    k: int
    ef: int
    vector: str = ""
    part: str = ""
    exact: bool = False
    quantized: bool = True
    rescore: bool | None = None
    oversampling: float | None = None
    diversity: float | None = None
    candidates: int = MIN_CANDIDATES

    @classmethod
    def from_options(
        cls, schema: Schema, k: int, vector: str, part: str, **options: Unpack[SearchOptions]
    ) -> Self:
        """Return the search with the schema's settings for those left out; ValueError if k or ef is below 1."""
        for name, value in (("k", k), ("ef", options.get("ef"))):
            if value is not None and value < 1:
                raise ValueError(f"search: {name} is at least 1, found {value}")
        quantization = schema.quantization
        defaults: dict[str, Any] = {"ef": schema.hnsw.ef}
        if quantization:
            defaults |= {"rescore": quantization.rescore, "oversampling": quantization.oversampling}
        chosen: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        candidates = min(max(MIN_CANDIDATES, CANDIDATES_PER_HIT * k), MAX_CANDIDATES)
        return cls(k=k, vector=vector, part=part, candidates=candidates, **(defaults | chosen))


class NoCollection(LookupError):
    """The store has no collection of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no collection {name!r}; the store has {list(known)}. Build it with 03_index first")


class Engine(Protocol):
    """Points in named collections at one place. Every method but `collections` may rely on an open session.

    place: which engine, and where, for messages. ignores_settings: whether it scans, whatever a schema says of graph
    and quantization. shared: whether others may keep collections there as well.
    """

    place: str
    ignores_settings: bool
    shared: bool

    def session(self) -> AbstractContextManager[None]:
        """Keep collections open until the block ends; sessions may be nested."""

    def collections(self) -> list[str]:
        """Return the names of the collections, sorted."""

    def create(self, name: str, schema: Schema, indexes: Mapping[str, str]) -> None:
        """Make an empty collection with payload indexes, given as {path: kind}.

        If it exists with this schema, add what a create that was killed has left out.
        """

    def drop(self, name: str) -> None:
        """Remove a collection that exists."""

    def schema(self, name: str) -> Schema:
        """Return the schema stored with the collection; raise NoCollection or WrongSchema."""

    def count(self, name: str, conditions: Conditions = ()) -> int:
        """Return the exact number of points that meet all conditions."""

    def upsert(self, name: str, ids: list[str], rows: list[Row], payloads: list[Payload]) -> None:
        """Add or replace points; once it returns they survive the death of this process."""

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""

    def build(self, name: str, progress: bool = False) -> None:
        """Build the HNSW graph over all points and return when it is there; `progress` shows a bar if it can."""

    def info(self, name: str) -> dict[str, Any]:
        """Return points, indexed_vectors, segments and disk_bytes (None if the engine does not tell)."""

    def resident_bytes(self, name: str, rows: np.ndarray, search: Search) -> int | None:
        """Return the memory a fresh process needs to open a collection and search the rows; None if unknown."""

    def search(self, name: str, rows: np.ndarray, conditions: Conditions, search: Search) -> list[Hits]:
        """Return the up to `k` nearest points to each row (Q, D) by cosine, in the order of the rows."""

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by id, without the ids that do not exist."""

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        """Return the vectors by id, without the ids that do not exist."""

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        """Yield all points that meet the conditions in the order of their ids, with all fields or those named."""
