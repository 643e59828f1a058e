"""The store: collections of vectors with payload, in mmlab's nouns. All checks are here; engines only obey.

Scores are cosines of unit vectors, in [-1, 1]. Every operation opens the store, works and closes it; inside
`with store.session():` it stays open.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

import numpy as np
import pandas as pd

from mmlab.index.schema.collection_names import in_order, named, uuids
from mmlab.index.schema.fields import FINGERPRINT, payload_table
from mmlab.index.schema.index_settings import Cluster
from mmlab.index.schema.payload_filter import conditions
from mmlab.index.schema.schema import Schema
from mmlab.index.store.asking import filters_for, search_for
from mmlab.index.store.engine import Engine, NoCollection, Record
from mmlab.index.store.hits import rankings
from mmlab.index.store.points import Points, flat_points
from mmlab.index.store.reading import payloads_of, payloads_where, rows_of
from mmlab.index.store.searching import hits_for
from mmlab.items import Space, Vectors

BATCH = 1_000  # points per upsert


class Store:
    """Collections in one engine. Made by `open_store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        return f"Store({self._engine.place})"

    @property
    def ignores_settings(self) -> bool:
        """Whether the engine scans, whatever a schema says of graph and quantization."""
        return self._engine.ignores_settings

    @property
    def shared(self) -> bool:
        """Whether others may keep collections there as well, as on a server."""
        return self._engine.shared

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Keep the store open for a loop; on a folder, no other process can use it until the block ends."""
        with self._engine.session():
            yield self

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""
        return self._engine.collections()

    def schema(self, collection: str) -> Schema:
        """The schema that the collection was created with; NoCollection names those that are there."""
        with self.session():
            return self._engine.schema(named(collection))

    def create(self, collection: str, schema: Schema) -> None:
        """Make an empty collection; where it is there with the same schema, only what it still lacks.

        Raises SpaceMismatch where it is there for another space, WrongSchema where it differs otherwise, ValueError
        for a cluster in a folder.
        """
        self.check_cluster(schema)
        with self.session():
            with suppress(NoCollection):
                self._engine.schema(named(collection)).check_same(schema, collection)
            self._engine.create(collection, schema)

    def check_cluster(self, schema: Schema) -> None:
        """Raise ValueError where the store cannot spread a collection as the schema asks."""
        if not self.shared and schema.cluster != Cluster():
            raise ValueError(
                f"{self._engine.place} is one shard on this machine; only a server has {schema.cluster}"
            )

    def drop(self, collection: str) -> None:
        """Remove the collection and all that it holds; do nothing where there is none."""
        with self.session():
            if named(collection) in self.collections():
                self._engine.drop(collection)

    def count(self, collection: str, where: Mapping[str, Any] | None = None, to: str | None = None) -> int:
        """The number of items, of modality `to` where it is given, that `where` lets through."""
        with self.session():
            schema = self.schema(collection)
            parts = filters_for(schema, where, to)
            return sum(self._engine.count(collection, met) for met in parts.values())

    def upsert(
        self,
        collection: str,
        vectors: Vectors,
        payload: pd.DataFrame,
        batch: int = BATCH,
        progress: bool = False,
    ) -> None:
        """Add or replace points: row i of `payload` (item_id and the schema's fields) describes vector i.

        A written batch survives the death of the process, and a loss of power once the session has ended.
        Raises SpaceMismatch for vectors of another space, ValueError where ids or columns do not fit.
        """
        with self.session():
            schema = self.schema(collection)
            schema.check_space(vectors.space, collection)
            self.write(collection, flat_points(vectors, payload, schema.fields), batch, progress)

    def write(self, collection: str, points: Points, batch: int = BATCH, progress: bool = False) -> None:
        """Add or replace points that `arrange` has made for this collection's schema."""
        from tqdm.auto import tqdm

        ids = uuids(points.ids)
        with self.session():
            steps = range(0, len(ids), batch)
            for start in tqdm(steps, desc="upsert", unit="batch", disable=not progress):
                part = slice(start, start + batch)
                rows = points.rows(np.arange(len(ids))[part])
                self._engine.upsert(collection, ids[part], rows, points.payloads[part])

    def put(self, collection: str, records: Sequence[Record]) -> None:
        """Add or replace points as `records` gave them."""
        if records:
            with self.session():
                ids, payloads, rows = map(list, zip(*records, strict=True))
                self._engine.upsert(collection, ids, rows, payloads)

    def records(self, collection: str) -> Iterator[Record]:
        """All points as they are stored: id, payload, vectors; within a session."""
        return self._engine.scroll(collection, (), vectors=True)

    def point_ids(self, collection: str) -> Iterator[str]:
        """The ids of all points, in their order; within a session."""
        return (point for point, _, _ in self._engine.scroll(collection, (), []))

    def fingerprints(self, collection: str) -> dict[str, int]:
        """What each point was like when it was sent, by its id; -1 for one that was sent without."""
        with self.session():
            stored = self._engine.scroll(collection, (), [FINGERPRINT])
            return {point: payload.get(FINGERPRINT, -1) for point, payload, _ in stored}

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are passed over."""
        wanted = uuids(ids)
        with self.session():
            self.schema(collection)
            self._engine.delete(collection, wanted)

    def build(self, collection: str, progress: bool = False) -> dict[str, Any]:
        """Build the HNSW graph over all points and return `info` with the `seconds` it took.

        A collection of up to `schema.hnsw.scan_kb` KB of vectors gets no graph: it is scanned. A server builds by
        itself: this waits for it, and raises TimeoutError once nothing has changed for an hour.
        """
        started = time.perf_counter()
        with self.session():
            self.schema(collection)
            self._engine.build(collection, progress)
            return {**self.info(collection), "seconds": time.perf_counter() - started}

    def info(self, collection: str) -> dict[str, Any]:
        """points, indexed_vectors, segments, disk_bytes (None on a server), hnsw: is every point in the graph."""
        with self.session():
            self.schema(collection)
            info = self._engine.info(collection)
        return {**info, "hnsw": 0 < info["points"] <= info["indexed_vectors"]}

    def resident_bytes(
        self, collection: str, queries: Vectors, k: int = 10, to: str | None = None, **how: Any
    ) -> int | None:
        """The memory that a fresh process needs to open the collection and answer the queries; None on a server.

        `to`, which the named layout needs, and `how` as in `search`. Raises RuntimeError where the process fails.
        """
        with self.session():
            schema = self.schema(collection)
            schema.check_space(queries.space, collection)
            asked = search_for(schema, queries.space, to, k=k, **how)
            return self._engine.resident_bytes(collection, queries.array, asked)

    def search(
        self,
        collection: str,
        queries: Vectors,
        k: int,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        ef: int | None = None,
        to: str | None = None,
        **how: Any,
    ) -> pd.DataFrame:
        """The `k` nearest items of each query as rankings: query_id, item_id, rank from 1, score float32.

        Queries keep their order, equal scores are in the order of the ids; a `k` beyond the collection
        returns all. `exact` scans instead of walking the graph; `ef` overrides the schema's; `to` is the modality
        of the items, which the named layout needs; `how`: more fields of `Search`. Raises SpaceMismatch for queries
        of another space, ValueError for k or ef below 1 and for a wrong `where`.
        """
        with self._engine.session():
            schema = self._engine.schema(named(collection))
            schema.check_space(queries.space, collection)
            met = conditions(where, schema, to)
            asked = search_for(schema, queries.space, to, k=k, exact=exact, ef=ef, **how)
            found = hits_for(self._engine, collection, queries.array, met, asked)
        return rankings(queries.ids, found, in_order=asked.diversity is not None)

    def fetch(self, collection: str, ids: Sequence[str]) -> pd.DataFrame:
        """The payloads in the order asked: item_id, then the schema's fields; KeyError names a missing id."""
        with self.session():
            schema = self.schema(collection)
            found = payloads_of(self._engine, collection, schema, ids)
        return payload_table(ids, in_order(ids, found, collection), schema.fields)

    def vectors(self, collection: str, ids: Sequence[str], space: Space | None = None) -> Vectors:
        """The stored vectors in the order asked; KeyError names the first missing id."""
        with self.session():
            schema = self.schema(collection)
            space = space or schema.space
            schema.check_space(space, collection)
            found = rows_of(self._engine, collection, schema, ids, space)
        rows = np.array(in_order(ids, found, collection), dtype=np.float32).reshape(-1, space.dimension)
        return Vectors(np.asarray(ids, dtype=str), rows, space)

    def payloads(self, collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The payloads of those of the items that are there, by item id."""
        with self.session():
            return payloads_of(self._engine, collection, self.schema(collection), ids)

    def rows(self, collection: str, ids: Sequence[str], space: Space) -> dict[str, list[float]]:
        """The vectors in `space` of those of the items that have one there, by item id."""
        with self.session():
            return rows_of(self._engine, collection, self.schema(collection), ids, space)

    def item_ids(
        self, collection: str, where: Mapping[str, Any] | None = None, to: str | None = None
    ) -> list[str]:
        """The ids of all items that `where` lets through."""
        with self.session():
            schema = self.schema(collection)
            parts = filters_for(schema, where, to)
            return [
                item for item, _ in payloads_where(self._engine, collection, schema, parts, ids_only=True)
            ]

    def items(
        self, collection: str, where: Mapping[str, Any] | None = None, to: str | None = None
    ) -> pd.DataFrame:
        """The payloads of all items that `where` lets through, in the order of their ids."""
        with self.session():
            schema = self.schema(collection)
            found = dict(payloads_where(self._engine, collection, schema, filters_for(schema, where, to)))
        ids = sorted(found)
        return payload_table(ids, [found[item] for item in ids], schema.fields)
