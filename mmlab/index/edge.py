"""Qdrant Edge, the default engine: Qdrant's own code in this process, one folder per collection.

The only file that knows qdrant_edge. What Edge promises: an update is in the write-ahead log when it
returns, so it survives kill -9; `close` brings it to the disk. It builds a graph only when told to, and takes
one process per folder.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from mmlab.index.engine import Conditions, Hits
from mmlab.index.fields import BOOL, FLOAT, INTEGER, KEYWORD, path
from mmlab.index.folder import CollectionFolder, names
from mmlab.index.lock import FolderLock
from mmlab.index.schema import Schema
from mmlab.items import resolve

if TYPE_CHECKING:
    from qdrant_edge import EdgeConfig, EdgeShard, FieldCondition, Filter

PAGE = 10_000  # points per step of a scroll
BATCH = 1_000  # queries per call


class _Folder:
    """A folder's lock and the shards open under it: one per process, shared by all stores on that folder."""

    def __init__(self, folder: Path) -> None:
        self.lock = FolderLock(folder)
        self.open: dict[str, tuple[EdgeShard, Schema]] = {}


_FOLDERS: WeakValueDictionary[Path, _Folder] = WeakValueDictionary()
_FOLDERS_LOCK = threading.Lock()


class EdgeEngine:
    """A folder of Edge shards."""

    def __init__(self, folder: str | os.PathLike[str], wait: float) -> None:
        self.folder = resolve(Path(folder))
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"a store is a folder or an http(s):// URL; {self.folder} is a file")
        self.place = f"Qdrant Edge at {self.folder}"
        self._wait = wait
        with _FOLDERS_LOCK:
            self._shared = _FOLDERS.setdefault(self.folder, _Folder(self.folder))

    @contextmanager
    def session(self) -> Iterator[None]:
        with self._shared.lock.held(self._wait) as outermost:
            try:
                yield
            finally:
                while outermost and self._shared.open:
                    _, (shard, _) = self._shared.open.popitem()
                    shard.close()

    def collections(self) -> list[str]:
        return names(self.folder)

    def create(self, name: str, schema: Schema) -> None:
        from qdrant_edge import EdgeShard, UpdateOperation

        files = CollectionFolder(self.folder, name)
        files.clear()
        files.shard.mkdir(parents=True)
        shard = EdgeShard.create(str(files.shard), _config(schema))
        for field, kind in schema.filterable.items():
            shard.update(UpdateOperation.create_field_index(path(field), _index_type(kind)))
        files.write(schema)
        self._shared.open[name] = shard, schema

    def drop(self, name: str) -> None:
        if name in self._shared.open:
            shard, _ = self._shared.open.pop(name)
            shard.close()
        CollectionFolder(self.folder, name).clear()

    def schema(self, name: str) -> Schema:
        return self._opened(name)[1]

    def count(self, name: str, conditions: Conditions = ()) -> int:
        from qdrant_edge import CountRequest

        shard, _ = self._opened(name)
        if not conditions:
            return shard.info().points_count
        return shard.count(CountRequest(exact=True, filter=_filter(conditions)))

    def upsert(self, name: str, ids: Sequence[str], rows: np.ndarray, payloads: list[dict[str, Any]]) -> None:
        from qdrant_edge import Point, UpdateOperation

        points = [Point(*point) for point in zip(ids, rows.tolist(), payloads, strict=True)]
        self._opened(name)[0].update(UpdateOperation.upsert_points(points))

    def delete(self, name: str, ids: Sequence[str]) -> None:
        from qdrant_edge import UpdateOperation

        self._opened(name)[0].update(UpdateOperation.delete_points(list(ids)))

    def build(self, name: str) -> None:
        self._opened(name)[0].optimize()

    def info(self, name: str) -> dict[str, Any]:
        info = self._opened(name)[0].info()
        return {
            "points": info.points_count,
            "indexed_vectors": info.indexed_vectors_count,
            "segments": info.segments_count,
            "disk_bytes": CollectionFolder(self.folder, name).disk_bytes(),
        }

    def search(
        self, name: str, rows: np.ndarray, k: int, conditions: Conditions, exact: bool, ef: int
    ) -> list[Hits]:
        from qdrant_edge import Query, QueryBatchRequest, QueryRequest, SearchParams

        shard, _ = self._opened(name)
        common = {"limit": k, "filter": _filter(conditions), "params": SearchParams(hnsw_ef=ef, exact=exact)}
        found: list[Hits] = []
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH].tolist()
            asked = [QueryRequest(query=Query.Nearest(row), **common) for row in part]
            answers = shard.query_batch(QueryBatchRequest(asked))
            found += [[(str(point.id), point.score) for point in points] for points in answers]
        return found

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        records = self._opened(name)[0].retrieve(list(ids), with_payload=True, with_vector=False)
        return {str(record.id): record.payload or {} for record in records}

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, list[float]]:
        records = self._opened(name)[0].retrieve(list(ids), with_payload=False, with_vector=True)
        return {str(record.id): record.vector for record in records}

    def scroll(self, name: str, conditions: Conditions) -> Iterator[tuple[str, dict[str, Any]]]:
        from qdrant_edge import ScrollRequest

        shard, _ = self._opened(name)
        common = {"limit": PAGE, "filter": _filter(conditions), "with_payload": True}
        following = None
        while True:
            records, following = shard.scroll(ScrollRequest(offset=following, **common))
            yield from ((str(record.id), record.payload or {}) for record in records)
            if following is None:
                return

    def _opened(self, name: str) -> "tuple[EdgeShard, Schema]":
        """The shard and its schema, opened when a session first needs them."""
        from qdrant_edge import EdgeShard

        if name not in self._shared.open:
            files = CollectionFolder(self.folder, name)
            schema = files.read()
            self._shared.open[name] = EdgeShard.load(str(files.shard)), schema
        return self._shared.open[name]


def _config(schema: Schema) -> "EdgeConfig":
    from qdrant_edge import Distance, EdgeConfig, EdgeOptimizersConfig, EdgeVectorParams, HnswIndexConfig

    hnsw = schema.hnsw
    return EdgeConfig(
        # Cosine, not Dot: unit rows are unit to 1e-3 only, and the engine then scores exact cosines.
        vectors=EdgeVectorParams(size=schema.space.dimension, distance=Distance.Cosine),
        hnsw_config=HnswIndexConfig(
            m=hnsw.m,
            ef_construct=hnsw.ef_construct,
            full_scan_threshold=hnsw.scan_kb,
        ),
        optimizers=EdgeOptimizersConfig(indexing_threshold=hnsw.scan_kb, default_segment_number=1),
    )


def _index_type(kind: str) -> Any:
    from qdrant_edge import PayloadSchemaType as Type

    return {KEYWORD: Type.Keyword, INTEGER: Type.Integer, FLOAT: Type.Float, BOOL: Type.Bool}[kind]


def _filter(conditions: Conditions) -> "Filter | None":
    from qdrant_edge import Filter

    met = [Filter(should=[_equal(c.field, c.kind, value) for value in c.values]) for c in conditions]
    return Filter(must=met) if met else None


def _equal(field: str, kind: str, value: str | int | float | bool) -> "FieldCondition":
    from qdrant_edge import FieldCondition, MatchValue, RangeFloat

    if kind == FLOAT:  # Qdrant matches no floats
        return FieldCondition(path(field), range=RangeFloat(gte=value, lte=value))
    # qdrant_edge 0.9 takes Python's True for the integer 1, but numpy's for a bool.
    return FieldCondition(path(field), match=MatchValue(np.bool_(value) if kind == BOOL else value))
