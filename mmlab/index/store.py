"""The store: collections of vectors with payload, in mmlab's nouns. All checks are here; engines only obey.

Scores are cosines of unit vectors, in [-1, 1]. Every operation opens the store, works and closes it; inside
`with store.session():` it stays open.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mmlab.index.engine import Conditions, Engine, Hits, NoCollection
from mmlab.index.fields import payload_table, payloads
from mmlab.index.names import in_order, named, unique_uuids, uuids
from mmlab.index.rankings import rankings
from mmlab.index.schema import Schema
from mmlab.index.where import conditions
from mmlab.items import Vectors, check_columns

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class Store:
    """Collections in one engine. Made by `open_store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        return f"Store({self._engine.place})"

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
        """Make an empty collection; do nothing where it is there with the same schema.

        Raises SpaceMismatch where it is there for another space, WrongSchema where it differs otherwise.
        """
        with self.session():
            try:
                self._engine.schema(named(collection)).check_same(schema, collection)
            except NoCollection:
                self._engine.create(collection, schema)

    def drop(self, collection: str) -> None:
        """Remove the collection and all that it holds; do nothing where there is none."""
        with self.session():
            if named(collection) in self.collections():
                self._engine.drop(collection)

    def count(self, collection: str, where: Mapping[str, Any] | None = None) -> int:
        """The number of points, of those that `where` lets through."""
        with self.session():
            return self._engine.count(collection, conditions(where, self.schema(collection)))

    def upsert(
        self,
        collection: str,
        vectors: Vectors,
        payload: pd.DataFrame,
        batch: int = 1000,
        progress: bool = False,
    ) -> None:
        """Add or replace points: row i of `payload` (item_id and the schema's fields) describes vector i.

        A written batch survives the death of the process, and a loss of power once the session has ended.
        Raises SpaceMismatch for vectors of another space, ValueError where ids or columns do not fit.
        """
        from tqdm.auto import tqdm

        check_columns(payload, ["item_id"], "payload")
        if not np.array_equal(vectors.ids, payload["item_id"].to_numpy(dtype=str)):
            raise ValueError(
                f"payload: its item_id column is to be the ids of the vectors, row by row; "
                f"found {len(payload)} rows for {len(vectors)} vectors, or another order"
            )
        uuids(vectors.ids)
        with self.session():
            schema = self.schema(collection)
            schema.check_space(vectors.space, collection)
            rows = payloads(payload, schema.fields)
            for start in tqdm(
                range(0, len(vectors), batch), desc="upsert", unit="batch", disable=not progress
            ):
                part = slice(start, start + batch)
                self._engine.upsert(collection, vectors.ids[part].tolist(), vectors.array[part], rows[part])

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are passed over."""
        wanted = uuids(ids)
        with self.session():
            self.schema(collection)
            self._engine.delete(collection, wanted)

    def build(self, collection: str) -> dict[str, Any]:
        """Build the HNSW graph over all points and return `info` with the `seconds` it took.

        A collection of up to `schema.hnsw.scan_kb` KB of vectors gets no graph: it is scanned.
        """
        started = time.perf_counter()
        with self.session():
            self.schema(collection)
            self._engine.build(collection)
            return {**self.info(collection), "seconds": time.perf_counter() - started}

    def info(self, collection: str) -> dict[str, Any]:
        """points, indexed_vectors, segments, disk_bytes (None on a server), hnsw: is every point in the graph."""
        with self.session():
            self.schema(collection)
            info = self._engine.info(collection)
        return {**info, "hnsw": 0 < info["points"] <= info["indexed_vectors"]}

    def search(
        self,
        collection: str,
        queries: Vectors,
        k: int,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        ef: int | None = None,
    ) -> pd.DataFrame:
        """The `k` nearest items of each query as rankings: query_id, item_id, rank from 1, score float32.

        Queries keep their order, equal scores are in the order of the ids; a `k` beyond the collection
        returns all. `exact` scans instead of walking the graph; `ef` overrides the schema's. Raises
        SpaceMismatch for queries of another space, ValueError for k or ef below 1 and for a wrong `where`.
        """
        for name, value in (("k", k), ("ef", ef)):
            if value is not None and value < 1:
                raise ValueError(f"search: {name} is at least 1, found {value}")
        with self.session():
            schema = self.schema(collection)
            schema.check_space(queries.space, collection)
            met = conditions(where, schema)
            return rankings(
                queries.ids, self._hits(collection, queries.array, k, met, exact, ef or schema.hnsw.ef)
            )

    def fetch(self, collection: str, ids: Sequence[str]) -> pd.DataFrame:
        """The payloads in the order asked: item_id, then the schema's fields; KeyError names a missing id."""
        with self.session():
            fields = self.schema(collection).fields
            found = self._engine.payloads(collection, unique_uuids(ids))
        return payload_table(ids, in_order(ids, found, collection), fields)

    def vectors(self, collection: str, ids: Sequence[str]) -> Vectors:
        """The stored vectors in the order asked; KeyError names the first missing id."""
        with self.session():
            space = self.schema(collection).space
            found = self._engine.rows(collection, unique_uuids(ids))
        rows = np.array(in_order(ids, found, collection), dtype=np.float32).reshape(-1, space.dimension)
        return Vectors(np.asarray(ids, dtype=str), rows, space)

    def items(self, collection: str, where: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The payloads of all points that `where` lets through, in the order of their ids."""
        with self.session():
            schema = self.schema(collection)
            found = list(self._engine.scroll(collection, conditions(where, schema)))
        return payload_table([item for item, _ in found], [payload for _, payload in found], schema.fields)

    def _hits(
        self, collection: str, rows: np.ndarray, k: int, met: Conditions, exact: bool, ef: int
    ) -> list[Hits]:
        total = self._engine.count(collection)
        limit = min(k, total)
        if not limit or not len(rows):
            return [[] for _ in rows]
        found = self._engine.search(collection, rows, limit, met, exact or limit == total, ef)
        # A walk through the graph can end before it has k points, where few pass the filter or k is near the
        # whole collection. A scan finds them.
        short = [] if exact else [i for i, hits in enumerate(found) if len(hits) < limit]
        if short:
            for i, hits in zip(
                short, self._engine.search(collection, rows[short], limit, met, True, ef), strict=True
            ):
                found[i] = hits
        return found


def open_store(
    where: "str | os.PathLike[str] | QdrantClient",
    *,
    wait: float = 10.0,
    timeout: int = 60,
    grpc: bool = True,
) -> Store:
    """Open the store at a folder (Qdrant Edge) or at an http(s):// URL (Qdrant server or cluster).

    A folder need not exist yet; relative ones start at the project folder. `wait`: seconds to wait for another
    process that has it open, before StoreTaken. For a server: `timeout` in seconds, `grpc=False` for REST
    only; its key comes from the environment, QDRANT_API_KEY. A ready QdrantClient is taken as it is.
    """
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        from mmlab.index.server import connect

        return Store(connect(where, timeout, grpc))
    if isinstance(where, str | os.PathLike):
        from mmlab.index.edge import EdgeEngine

        return Store(EdgeEngine(where, wait))
    from mmlab.index.server import ServerEngine

    return Store(ServerEngine(where, "a Qdrant client that was handed over"))
