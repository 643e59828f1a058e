"""Qdrant Edge, the default engine: Qdrant's own code in this process, one folder per collection.

The files edge*.py alone know qdrant_edge. What Edge promises: an update is in the write-ahead log when it
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

from mmlab.index.edge.convert import config_of, field_type, filter_of, requests
from mmlab.index.edge.folder import CollectionFolder, names
from mmlab.index.edge.lock import FolderLock
from mmlab.index.edge.resident import measure_resident
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Conditions, Hits, Record, Row, Search, hits_of
from mmlab.items import resolve

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

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

    ignores_settings = False
    shared = False

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

        if name in self.collections():
            return
        files = CollectionFolder(self.folder, name)
        files.clear()
        files.shard.mkdir(parents=True)
        shard = EdgeShard.create(str(files.shard), config_of(schema))
        for path, kind in schema.indexed().items():
            shard.update(UpdateOperation.create_field_index(path, field_type(kind)))
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
        return shard.count(CountRequest(exact=True, filter=filter_of(conditions)))

    def upsert(self, name: str, ids: list[str], rows: list[Row], payloads: list[dict[str, Any]]) -> None:
        from qdrant_edge import Point, UpdateOperation

        points = [Point(*point) for point in zip(ids, rows, payloads, strict=True)]
        self._opened(name)[0].update(UpdateOperation.upsert_points(points))

    def delete(self, name: str, ids: Sequence[str]) -> None:
        from qdrant_edge import UpdateOperation

        self._opened(name)[0].update(UpdateOperation.delete_points(list(ids)))

    def build(self, name: str, progress: bool = False) -> None:
        self._opened(name)[0].optimize()

    def info(self, name: str) -> dict[str, Any]:
        info = self._opened(name)[0].info()
        return {
            "points": info.points_count,
            "indexed_vectors": info.indexed_vectors_count,
            "segments": info.segments_count,
            "disk_bytes": CollectionFolder(self.folder, name).disk_bytes(),
        }

    def resident_bytes(self, name: str, rows: np.ndarray, how: Search) -> int | None:
        if name in self._shared.open:
            shard, _ = self._shared.open.pop(name)
            shard.close()
        return measure_resident(str(CollectionFolder(self.folder, name).shard), rows, how)

    def search(self, name: str, rows: np.ndarray, conditions: Conditions, how: Search) -> list[Hits]:
        from qdrant_edge import QueryBatchRequest

        shard, _ = self._opened(name)
        asked = requests(how, filter_of(conditions))
        found: list[Hits] = []
        for start in range(0, len(rows), BATCH):
            part = [asked(row) for row in rows[start : start + BATCH].tolist()]
            found += [hits_of(points, how.part) for points in shard.query_batch(QueryBatchRequest(part))]
        return found

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        records = self._opened(name)[0].retrieve(list(ids), with_payload=True, with_vector=False)
        return {str(record.id): record.payload or {} for record in records}

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        records = self._opened(name)[0].retrieve(list(ids), with_payload=False, with_vector=True)
        return {str(record.id): record.vector for record in records}

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        from qdrant_edge import ScrollRequest

        shard, _ = self._opened(name)
        common = {"limit": PAGE, "filter": filter_of(conditions), "with_vector": vectors}
        common["with_payload"] = True if fields is None else fields
        following = None
        while True:
            records, following = shard.scroll(ScrollRequest(offset=following, **common))
            yield from ((str(record.id), record.payload or {}, record.vector) for record in records)
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
