"""Qdrant Edge as an engine: Qdrant's own code in this process, one folder per collection.

What Edge promises: an update is in the write-ahead log when it returns, so it survives kill -9; `close` brings it to
the disk. It builds a graph only when told to, and takes one process per folder. Below the engine stand mmlab's
schemas, filters and searches in the terms of qdrant_edge.

Run as a process of its own, this file opens a shard, searches, and prints what its resident set grew by, so that pages
of files that were mapped and read count. Standard input: a line of JSON, then the rows as float32.
"""

import atexit
import errno
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np
import qdrant_edge as edge
from qdrant_edge import (
    ContextPair,
    ContextQuery,
    CountRequest,
    DiscoverQuery,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    Expression,
    FacetRequest,
    FeedbackItem,
    FeedbackNaiveQuery,
    FieldCondition,
    Filter,
    Formula,
    Fusion,
    HnswIndexConfig,
    MatchAny,
    MatchValue,
    Memory,
    Mmr,
    Modifier,
    MultiVectorComparator,
    MultiVectorConfig,
    NaiveFeedbackStrategy,
    PayloadSchemaType,
    Point,
    Prefetch,
    QuantizationSearchParams,
    Query,
    QueryBatchRequest,
    QueryRequest,
    RangeFloat,
    RecommendQuery,
    ScrollRequest,
    SearchParams,
    SparseVector,
    UpdateOperation,
)
from qdrant_edge import PayloadSchemaType as Type

from mmlab.index.engines.edge_folder import CollectionFolder, FolderLock, collection_names, damaged
from mmlab.index.store.engine import (
    BEST_SCORE,
    CONTEXT,
    FEEDBACK,
    MAX_FACET_VALUES,
    SCANNED_SHARE,
    SUM_SCORES,
    Counts,
    FilterTerms,
    FoundPoints,
    FusedSearch,
    OneVector,
    Payload,
    Record,
    Row,
    Search,
    WholeRecord,
    asked_rows,
    translate_filter,
)
from mmlab.index.store.payload import BOOL, FLOAT, INTEGER, KEYWORD, Conditions
from mmlab.index.store.schema import BYTES_PER_NUMBER, Schema
from mmlab.items import Space, Vectors
from mmlab.items.files import Checksums, copy_folder, resolve
from mmlab.items.ragged_vectors import AnyVectors, Terms
from mmlab.items.vectors import LATE

# Of the rows of one vector. A larger collection is several segments, each with its own graph: 1,100,000 x 512 took half
# an hour and 11 GB as one; 110,000 take a minute, 262,000 four. A search asks them all, on all cores. What comes later
# changes the last one alone.
SEGMENT_BYTES = 256 << 20
SCROLL_POINTS = 10_000  # per step
BATCH_QUERIES = 1_000  # per call
MEASURING_SECONDS = 600
OS_ERROR = re.compile(r"\(os error (\d+)\)")
Requests = Callable[[AnyVectors, slice], list[QueryRequest]]
# qdrant_edge 0.9 takes Python's True for the integer 1, but numpy's for a bool.
FILTER_TERMS = FilterTerms(Filter, FieldCondition, MatchAny, MatchValue, RangeFloat, np.bool_)


class _Folder:
    """A folder's lock and the shards open under it: one per process, shared by all stores on that folder."""

    def __init__(self, folder: Path) -> None:
        self.lock = FolderLock(folder, self.close_all)
        self.folder = folder
        self.open: dict[str, tuple[EdgeShard, Schema]] = {}
        self.written = False  # since the shards were opened: closing them brings it to the disk
        self.built: set[str] = set()  # and not changed since

    def close_all(self) -> None:
        """Close all shards."""
        for name in list(self.open):
            self.close(name)
        self.written = False

    def close(self, name: str) -> None:
        """Close a shard if it is open."""
        if name in self.open:
            shard, _ = self.open.pop(name)
            shard.close()
        if name in self.built:
            self.built.remove(name)
            files = CollectionFolder(self.folder, name)
            # opened for the first time it still changes its files, and then no more
            _load(files.shard).close()
            files.seal()


class _Session:
    """A folder that is held for a block; a class, since a generator takes 10 µs, where a search takes 250."""

    __slots__ = ("_keep_open", "_look", "_shared", "_wait")

    def __init__(self, shared: _Folder, wait: float, keep_open: float, look: bool) -> None:
        self._shared, self._wait, self._keep_open, self._look = shared, wait, keep_open, look

    def __enter__(self) -> None:
        self._shared.lock.take(self._wait, self._look)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        shared = self._shared
        try:
            shared.lock.leave(0.0 if shared.written else self._keep_open)
        except BaseException as closing:
            _name_panic(closing, shared.folder)
            raise
        if error is not None:
            _name_panic(error, shared.folder)


_FOLDERS: WeakValueDictionary[Path, _Folder] = WeakValueDictionary()
_FOLDERS_LOCK = threading.Lock()


@atexit.register
def _release_all() -> None:
    for folder in list(_FOLDERS.values()):
        folder.lock.release()


class EdgeEngine:
    """A folder of Edge shards."""

    ignores_settings = False
    shared = False

    def __init__(self, folder: str | os.PathLike[str], wait: float, keep_open: float = 0.0) -> None:
        self.folder = resolve(Path(folder))
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"a store is a folder or an http(s):// URL; {self.folder} is a file")
        self.place = f"Qdrant Edge at {self.folder}"
        self._read_only = self.folder.is_dir() and not os.access(self.folder, os.W_OK)
        if self._read_only:
            self.place += ", read from a copy"
            self.folder = _own_copy(self.folder, _newest(self.folder))
        self._asked: tuple[Search, Conditions, Requests] | None = None  # the last search
        with _FOLDERS_LOCK:
            self._shared = _FOLDERS.setdefault(self.folder, _Folder(self.folder))
        self._session, self._search_session = (
            _Session(self._shared, wait, keep_open, look) for look in (True, False)
        )

    def session(self, search: bool = False) -> _Session:
        """Open what is needed; keep it open for the next session for a while, unless something was written.

        A folder that was replaced is opened anew: before a search within `KEEPER_SECONDS`, else at once.
        """
        return self._search_session if search else self._session

    def close(self) -> None:
        self._shared.lock.release()

    def collections(self) -> list[str]:
        return collection_names(self.folder)

    def create(self, name: str, schema: Schema, indexes: Mapping[str, str]) -> None:
        if name in self.collections():
            return
        self._check_writable()
        self._shared.written = True
        files = CollectionFolder(self.folder, name)
        files.clear()
        files.shard.mkdir(parents=True)
        shard = EdgeShard.create(str(files.shard), to_config(schema))
        for path, kind in indexes.items():
            shard.update(UpdateOperation.create_field_index(path, to_index_type(kind)))
        files.write(schema)
        self._shared.open[name] = shard, schema

    def drop(self, name: str) -> None:
        self._check_writable()
        self._shared.built.discard(name)
        self._shared.close(name)
        CollectionFolder(self.folder, name).clear()

    def schema(self, name: str) -> Schema:
        return self._open(name)[1]

    def count(self, name: str, conditions: Conditions = (), exact: bool = True) -> int:
        shard, _ = self._open(name)
        if not conditions:
            return shard.info().points_count
        return shard.count(CountRequest(exact=exact, filter=to_filter(conditions)))

    def scans_few(self, name: str) -> bool:
        return self.count(name) <= points_per_segment(self.schema(name))

    def facet(self, name: str, path: str, conditions: Conditions) -> Counts:
        request = FacetRequest(path, MAX_FACET_VALUES, exact=True, filter=to_filter(conditions))
        return {hit.value: hit.count for hit in self._open(name)[0].facet(request).hits}

    def upsert(self, name: str, batches: Iterable[list[WholeRecord]], sent: Callable[[int], object]) -> float:
        full, waiting, seconds = points_per_segment(self.schema(name)), 0, 0.0
        for batch in batches:
            points = [Point(id, to_vectors(row), payload) for id, payload, row in batch]
            self._write(name).update(UpdateOperation.upsert_points(points))
            sent(len(batch))
            waiting += len(batch)
            if waiting >= full:
                started, waiting = time.perf_counter(), 0
                self._optimize(name)
                seconds += time.perf_counter() - started
        return seconds

    def delete(self, name: str, ids: Sequence[str]) -> None:
        self._write(name).update(UpdateOperation.delete_points(list(ids)))

    def build(self, name: str, progress: bool = False) -> None:
        self._check_writable()
        if not CollectionFolder(self.folder, name).is_built(scanned_kb(self.schema(name), self.count(name))):
            self._optimize(name)
            self._shared.built.add(name)

    def _optimize(self, name: str) -> None:
        """Build graphs, with a threshold of scans that suits the number of points."""
        shard, schema = self._write(name), self.schema(name)
        points = shard.info().points_count
        if scanned_kb(schema, points) > schema.hnsw.scan_kb:
            self._shared.close(name)
            shard = _load(CollectionFolder(self.folder, name).shard, to_config(schema, points))
            self._shared.open[name] = shard, schema
        shard.optimize()

    def check(self, name: str) -> None:
        files = CollectionFolder(self.folder, name)
        files.read()
        files.check(thorough=True)
        self._open(name)

    def info(self, name: str) -> dict[str, Any]:
        info = self._open(name)[0].info()
        return {
            "points": info.points_count,
            "indexed_vectors": info.indexed_vectors_count,
            "segments": info.segments_count,
            "disk_bytes": CollectionFolder(self.folder, name).disk_bytes(),
        }

    def resident_bytes(self, name: str, rows: np.ndarray, search: Search) -> int | None:
        self._shared.close(name)
        return measure_resident(str(CollectionFolder(self.folder, name).shard), rows, search)

    def search(
        self, name: str, queries: AnyVectors, conditions: Conditions, search: Search
    ) -> list[FoundPoints]:
        shard, _ = self._open(name)
        to_requests = self._requests(search, conditions)
        found: list[FoundPoints] = []
        for start in range(0, len(queries), BATCH_QUERIES):
            requests = to_requests(queries, slice(start, start + BATCH_QUERIES))
            found += (
                [shard.query(requests[0])]  # which takes 50 µs less than a batch of one
                if len(requests) == 1
                else shard.query_batch(QueryBatchRequest(requests))
            )
        return found

    def _requests(self, search: Search, conditions: Conditions) -> "Requests":
        """Return `requests_of` a search; the last one is kept, since it takes a thirtieth of a search."""
        last = self._asked
        if last is None or search is not last[0] or conditions is not last[1]:
            last = self._asked = search, conditions, requests_of(search, to_filter(conditions))
        return last[2]

    def search_fused(self, name: str, conditions: Conditions, search: FusedSearch) -> FoundPoints:
        filter = to_filter(conditions)
        stages = [_stage(queries, one, filter) for queries, one in search.searches]
        # the engine counts ranks from 0
        fusion: Any = Fusion.Rrf(k=search.rrf_k + 1) if search.fusion == "rrf" else Fusion.Dbsf()
        payload = [f"{search.part}.item_id"] if search.part else False
        request = QueryRequest(search.k, query=fusion, prefetches=stages, with_payload=payload, filter=filter)
        points: FoundPoints = self._open(name)[0].query(request)
        return points

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Payload]:
        records = self._open(name)[0].retrieve(list(ids), with_payload=True, with_vector=False)
        return {str(record.id): record.payload or {} for record in records}

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        records = self._open(name)[0].retrieve(list(ids), with_payload=False, with_vector=True)
        return {str(record.id): from_vectors(record.vector) for record in records}

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        shard, _ = self._open(name)
        filter, payload = to_filter(conditions), True if fields is None else fields
        offset = None
        while True:
            request = ScrollRequest(offset, SCROLL_POINTS, filter, payload, vectors)
            records, offset = shard.scroll(request)
            for record in records:
                yield str(record.id), record.payload or {}, from_vectors(record.vector) if vectors else None
            if offset is None:
                return

    def scroll_common(self, name: str, fields: list[str]) -> Iterator[Record]:
        return self.scroll(name, (), fields)

    def count_by_copies(self, name: str) -> tuple[int, int]:
        return (self.count(name),) * 2

    def _write(self, name: str) -> EdgeShard:
        """Return a shard that is about to be changed."""
        self._check_writable()
        shard, _ = self._open(name)
        self._shared.written = True
        self._shared.built.discard(name)
        CollectionFolder(self.folder, name).checksums.remove()
        return shard

    def _check_writable(self) -> None:
        if self._read_only:
            raise PermissionError(
                f"{self.place}: nobody may write there; a run of your own has its own store"
            )

    def _open(self, name: str) -> "tuple[EdgeShard, Schema]":
        """Return the shard and its schema, opened when a session first needs them."""
        if name not in self._shared.open:
            files = CollectionFolder(self.folder, name)
            schema = files.read()
            files.check()
            self._shared.open[name] = _load(files.shard), schema
        return self._shared.open[name]


def _newest(folder: Path) -> float:
    """Return when a collection of a store was last made or built."""
    files = (file for name in collection_names(folder) for file in (folder / name).iterdir())
    return max((file.stat().st_mtime for file in files), default=0.0)


@lru_cache
def _own_copy(folder: Path, newest: float) -> Path:
    """Copy a store in which nobody may write, for the time of this process: the engine writes while it reads."""
    copy = Path(tempfile.mkdtemp(prefix="mmlab-store-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy_folder(folder, copy / folder.name)
    for file in copy.glob(f"*/*/{Checksums.NAME}"):
        os.utime(file, (0, 0))  # every byte of the copy is looked at
    return copy / folder.name


def _load(shard: Path, config: "EdgeConfig | None" = None) -> "EdgeShard":
    """Open a shard; raise OSError where the system refuses it, and DamagedCollection where its files are no shard.

    config: replaces the one that is stored with it.
    """
    try:
        return EdgeShard.load(str(shard), config)
    except BaseException as error:
        if not (isinstance(error, Exception) or _is_panic(error)):
            raise
        refused = OS_ERROR.search(str(error))
        if refused and int(refused[1]) not in (errno.ENOENT, errno.EINVAL):
            raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(shard)) from error
        raise damaged(shard, str(error).split("\n")[0]) from error


def _is_panic(error: BaseException) -> bool:
    """Return whether the engine came upon what it takes to be impossible; the class of it cannot be imported."""
    return type(error).__name__ == "PanicException"


def _name_panic(error: BaseException, folder: Path) -> None:
    """Raise DamagedCollection in place of a panic of the engine, which is no Exception."""
    if _is_panic(error):
        raise damaged(folder, str(error).split("\n")[0]) from error


def measure_resident(shard: str, rows: np.ndarray, search: Search) -> int:
    """Return the bytes a fresh process needs to open a shard and search the rows (Q, D).

    No other process may have the shard open. Raises RuntimeError with the last line that a failed process wrote.
    """
    arguments = {"shard": shard, "dimension": rows.shape[1], "search": asdict(search)}
    given = json.dumps(arguments).encode() + b"\n" + rows.astype(np.float32).tobytes()
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603
            command, input=given, capture_output=True, timeout=MEASURING_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"measuring the memory of {shard} took more than {MEASURING_SECONDS} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {done.returncode}"
        raise RuntimeError(f"the process to measure the memory of {shard} failed: {last}")
    return int(done.stdout)


def _print_resident(arguments: dict[str, Any], rows: np.ndarray) -> None:
    import psutil

    space = Space("measured", "", "", "", "", rows.shape[1])
    queries = Vectors(np.arange(len(rows)).astype(str), rows, space)
    requests = requests_of(Search(**arguments["search"]), None)(queries, slice(None))
    before = psutil.Process().memory_info().rss
    shard = EdgeShard.load(arguments["shard"])
    for request in requests:
        shard.query(request)
    print(max(psutil.Process().memory_info().rss - before, 0))  # noqa: T201 - what the parent reads


def to_config(schema: Schema, points: int = 0) -> "EdgeConfig":
    """Return the configuration of a shard for this schema and so many points."""
    hnsw = schema.hnsw
    named = {name: _vector_params(space, schema) for name, space in schema.dense_vectors.items()}
    return EdgeConfig(
        vectors=named,
        sparse_vectors={name: _sparse_params(space) for name, space in schema.sparse_vectors.items()},
        hnsw_config=HnswIndexConfig(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=scanned_kb(schema, points)
        ),
        quantization_config=_quantization(schema),
        optimizers=EdgeOptimizersConfig(
            indexing_threshold=hnsw.scan_kb, default_segment_number=1, max_segment_size=SEGMENT_BYTES // 1024
        ),
    )


def scanned_kb(schema: Schema, points: int) -> int:
    """Return the KB of vectors below which a search under a filter scans a segment of a collection with so many points.

    A scan compares the copies of quantized vectors. Rare values, which are scanned, get no links of their own, which
    took half of the time of building graphs. The size grows in steps of 1.4 times, so that points that are added later
    seldom build all graphs anew. Of rows on disk no more than `schema.hnsw.scan_kb` are scanned.
    """
    in_segment = min(points, points_per_segment(schema)) * _row_bytes(schema) / 1024
    if schema.on_disk or SCANNED_SHARE * in_segment <= schema.hnsw.scan_kb:
        return schema.hnsw.scan_kb
    return math.ceil(2 ** (math.ceil(2 * math.log2(SCANNED_SHARE * in_segment)) / 2))


def points_per_segment(schema: Schema) -> int:
    """Return how many points fill a segment."""
    return SEGMENT_BYTES // _row_bytes(schema)


def _row_bytes(schema: Schema) -> int:
    """Return the bytes of a point's longest dense row."""
    return BYTES_PER_NUMBER * max(space.dimension for space in schema.dense_vectors.values())


def _vector_params(space: Space, schema: Schema) -> "EdgeVectorParams":
    # Cosine, not Dot: unit rows are unit to 1e-3 only, and the engine then scores exact cosines.
    memory = Memory.Cold if schema.on_disk else Memory.Cached
    of_tokens = {
        "multivector_config": MultiVectorConfig(MultiVectorComparator.MaxSim),
        "hnsw_config": HnswIndexConfig(
            m=0, ef_construct=schema.hnsw.ef_construct, full_scan_threshold=schema.hnsw.scan_kb
        ),
    }
    more: dict[str, Any] = of_tokens if space.kind == LATE else {}
    return EdgeVectorParams(size=space.dimension, distance=Distance.Cosine, memory=memory, **more)


def _sparse_params(space: Space) -> "EdgeSparseVectorParams":
    return EdgeSparseVectorParams(modifier=Modifier.Idf if space.by_rarity else None)


def to_vectors(row: Row) -> Any:
    """Return a point's vectors in the terms of the engine."""
    if not isinstance(row, dict):
        return to_query(row)
    return {name: to_query(vector) for name, vector in row.items()}


def to_query(vector: OneVector) -> Any:
    """Return one vector in the terms of the engine, which reads the data of an array faster than a list."""
    if isinstance(vector, np.ndarray):
        return vector.data
    return SparseVector(*vector) if isinstance(vector, Terms) else vector


def from_vectors(row: Any) -> Row:
    """Return what `to_vectors` made of a point's vectors."""
    if not isinstance(row, dict):
        return cast("Row", row)
    return {
        name: Terms(one.indices, one.values) if isinstance(one, SparseVector) else one
        for name, one in row.items()
    }


def _quantization(schema: Schema) -> Any:
    if schema.quantization is None:
        return None
    kind, size = schema.quantization.kind, schema.quantization.size
    memory = edge.Memory.Pinned if schema.quantization.always_ram else edge.Memory.Cold
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, memory=memory)
    if kind == "product":
        return edge.ProductQuantizationConfig(getattr(edge.CompressionRatio, f"X{size}"), memory=memory)
    if kind == "binary":
        return edge.BinaryQuantizationConfig(memory=memory)
    return edge.TurboQuantQuantizationConfig(
        bits=getattr(edge.TurboQuantBitSize, f"Bits{size}"), memory=memory
    )


def to_index_type(kind: str) -> "PayloadSchemaType":
    """Return the type of a payload index for a field of this kind."""
    return {KEYWORD: Type.Keyword, INTEGER: Type.Integer, FLOAT: Type.Float, BOOL: Type.Bool}[kind]


def requests_of(search: Search, filter: "Filter | None") -> "Requests":
    """Return a function from a part of the queries to their requests; what all share is made once."""
    common, vector, boost = _common(search, filter), search.vector or None, search.boost
    if search.diversity is not None or not (search.first or boost):
        return lambda queries, part: [
            QueryRequest(query=_score_by(row, search, vector), **common) for row in queries.rows(part)
        ]

    def in_two_stages(row: OneVector, pooled: np.ndarray | None) -> QueryRequest:
        scored = _score_by(row, search, vector)
        first = scored if boost else Query.Nearest(to_query(cast("np.ndarray", pooled)), using=search.first)
        stage = Prefetch(search.candidates, first, params=common["params"], filter=filter)
        return QueryRequest(query=_formula(boost) if boost else scored, prefetches=[stage], **common)

    first = bool(search.first)
    return lambda queries, part: [in_two_stages(*one) for one in asked_rows(queries, part, first)]


def _common(search: Search, filter: "Filter | None") -> dict[str, Any]:
    """Return what all requests of a search share."""
    quantization = QuantizationSearchParams(
        ignore=search.exact or not search.quantized,
        rescore=search.rescore,
        oversampling=search.oversampling,
    )
    common: dict[str, Any] = {"limit": search.k, "filter": filter}
    common["params"] = SearchParams(hnsw_ef=search.ef, exact=search.exact, quantization=quantization)
    if search.part:
        common["with_payload"] = [f"{search.part}.item_id"]
    return common


def _score_by(row: Any, search: Search, using: str | None) -> Any:
    """Return the query that scores points by a vector, by MMR, or by examples, see `Examples`."""
    row, examples = to_query(row), search.examples
    if search.diversity is not None:
        return Mmr(row, 1 - search.diversity, search.candidates, using=using)
    if examples is None:
        return Query.Nearest(row, using=using)
    if examples.score in (BEST_SCORE, SUM_SCORES):
        recommend = Query.RecommendBestScore if examples.score == BEST_SCORE else Query.RecommendSumScores
        return recommend(RecommendQuery([row, *examples.wanted], [*examples.unwanted]), using=using)
    if examples.score == FEEDBACK:
        marked = [FeedbackItem(*one) for one in examples.marked]
        strategy = NaiveFeedbackStrategy(1, 1, examples.pair_weight)
        return Query.FeedbackNaive(FeedbackNaiveQuery(row, marked, strategy), using=using)
    pairs = [ContextPair(*pair) for pair in examples.pairs]
    if examples.score == CONTEXT:
        return Query.Context(ContextQuery(pairs), using=using)
    return Query.Discover(DiscoverQuery(row, pairs), using=using)


def _formula(boost: Mapping[str, float]) -> "Formula":
    """Return the formula that adds weighted fields to the score; a point without a value counts as 0."""
    terms = [
        Expression.Mult([Expression.Constant(w), Expression.Variable(path)]) for path, w in boost.items()
    ]
    return Formula(Expression.Sum([Expression.Variable("$score"), *terms]), dict.fromkeys(boost, 0.0))


def _stage(queries: AnyVectors, search: Search, filter: "Filter | None") -> "Prefetch":
    """Return the search of one query as a stage of another request."""
    [request] = requests_of(search, filter)(queries, slice(0, 1))
    return Prefetch(search.k, request.query, request.prefetches, request.params, filter)


@lru_cache(4)  # few, since a filter may name many ids
def to_filter(conditions: Conditions) -> "Filter | None":
    """Return the filter that lets through what meets all conditions, None for all points."""
    return translate_filter(conditions, FILTER_TERMS)


if __name__ == "__main__":
    ARGUMENTS = json.loads(sys.stdin.buffer.readline())
    ROWS = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, ARGUMENTS["dimension"])
    _print_resident(ARGUMENTS, ROWS)
