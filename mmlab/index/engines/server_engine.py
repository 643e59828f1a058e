"""A Qdrant server or cluster as an engine, through qdrant_client.

The schema lies in the collection's metadata. Graphs are put off until all points are there: `build` asks for them and
waits. Below the engine stand mmlab's schemas, filters and searches in the terms of qdrant_client.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.local.qdrant_local import QdrantLocal
from qdrant_client.models import (
    CollectionClusterInfo,
    CollectionInfo,
    FieldCondition,
    Filter,
    FormulaQuery,
    MatchAny,
    MatchValue,
    PayloadSchemaType,
    PointStruct,
    Prefetch,
    QueryRequest,
    Range,
    ReplicaState,
    SparseVectorParams,
    VectorParams,
)
from qdrant_client.models import PayloadSchemaType as Type

from mmlab.index.engines.server_connection import (
    CONNECTIONS,
    Connection,
    NotReady,
    Pace,
    ServerError,
    send_all,
)
from mmlab.index.store.engine import (
    BEST_SCORE,
    CONTEXT,
    FEEDBACK,
    MAX_FACET_VALUES,
    SUM_SCORES,
    Counts,
    FilterTerms,
    FoundPoints,
    FusedSearch,
    NoCollection,
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
from mmlab.index.store.schema import BYTES_PER_NUMBER, Schema, WrongSchema
from mmlab.items import Space
from mmlab.items.ragged_vectors import AnyVectors, Terms
from mmlab.items.vectors import LATE

METADATA = "mmlab"  # the schema's key in a collection's metadata
FILTER_TERMS = FilterTerms(Filter, FieldCondition, MatchAny, MatchValue, Range)
SCROLL_POINTS = 1_000  # per step of a scroll or a fetch
BATCH_QUERIES = 100  # per call
MAX_REQUEST_BYTES = 8_000_000  # of points; a server refuses 32 MB
JSON_BYTES_PER_NUMBER = 22  # of a vector in JSON
UNINDEXED = 0  # as the size from which a segment gets a graph: none does
POLL_SECONDS = 0.5
LOOKS, LOOKS_IF_DUE = (
    2,
    10,
)  # in a row that find a server at rest; more, while a graph that is due is not begun
MAX_STALLED_SECONDS = 3_600.0  # without any change: a large segment comes into the graph all at once
Copy = tuple[int, int, ReplicaState]  # of a shard: its number, the node's, its state
BAR_FORMAT = "{desc}: {n_fmt} vectors in the graph, {elapsed}{postfix}"


class ServerEngine:
    """The collections that a Connection reaches. connections: how many requests write points at once, at most."""

    shared = True

    def __init__(self, connection: Connection, connections: int = CONNECTIONS) -> None:
        self.ignores_settings = _is_local(connection.client)
        self.connections = 1 if self.ignores_settings else connections
        self._client = connection
        self._session = threading.local()

    @property
    def place(self) -> str:
        return self._client.place

    @contextmanager
    def session(self, search: bool = False) -> Iterator[None]:
        """Read each schema only once until the block ends; nothing else is kept open."""
        if hasattr(self._session, "schemas"):
            yield
            return
        self._session.schemas = {}
        try:
            yield
        finally:
            del self._session.schemas

    def close(self) -> None:
        """Do nothing: a server is always open."""

    def collections(self) -> list[str]:
        return sorted(found.name for found in self._client.get_collections().collections)

    def create(self, name: str, schema: Schema, indexes: Mapping[str, str]) -> None:
        if not self._client.collection_exists(name):
            self._create(name, schema)
        self._client.settle(name)
        existing = self._client.get_collection(name).payload_schema
        for path, kind in indexes.items():
            if path not in existing:
                self._client.create_payload_index(name, path, to_index_type(kind), wait=True)

    def drop(self, name: str) -> None:
        self._session.schemas.pop(name, None)
        self._client.delete_collection(name)

    def schema(self, name: str) -> Schema:
        schemas = self._session.schemas
        if name not in schemas:
            if not self._client.collection_exists(name):
                raise NoCollection(name, self.collections())
            stored = (self._client.get_collection(name).config.metadata or {}).get(METADATA)
            if stored is None:
                raise WrongSchema(
                    f"collection {name!r} has no schema: it was not made by mmlab, or the server is older "
                    "than 1.16. Use another collection name"
                )
            schemas[name] = Schema.from_dict(stored, name)
        return schemas[name]

    def check(self, name: str) -> None:
        self.schema(name)

    def count(self, name: str, conditions: Conditions = (), exact: bool = True) -> int:
        return self._client.count(name, count_filter=to_filter(conditions), exact=exact).count

    def scans_few(self, name: str) -> bool:
        return self.ignores_settings

    def facet(self, name: str, path: str, conditions: Conditions) -> Counts:
        found = self._client.facet(name, path, to_filter(conditions), limit=MAX_FACET_VALUES, exact=True)
        return {hit.value: hit.count for hit in found.hits}

    def upsert(self, name: str, batches: Iterable[list[WholeRecord]], sent: Callable[[int], object]) -> float:
        stop, pace = threading.Event(), Pace(self.connections)
        client = self._client.for_upload(stop, pace.refused)

        def send(batch: list[WholeRecord]) -> int:
            points = [PointStruct(id=id, vector=to_vectors(row), payload=more) for id, more, row in batch]
            for part in cut_by_bytes(points):
                client.upsert(name, part, wait=True)
            return len(batch)

        send_all(batches, send, sent, pace, stop)
        return 0.0  # the server builds by itself

    def delete(self, name: str, ids: Sequence[str]) -> None:
        self._client.delete(name, models.PointIdsList(points=list(ids)), wait=True)

    def build(self, name: str, progress: bool = False) -> None:
        if self.ignores_settings:
            return
        size, dimension = self.schema(name).hnsw.scan_kb, self.schema(name).space.dimension
        if self._client.get_collection(name).config.optimizer_config.indexing_threshold != size:
            self._client.update_collection(
                name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=size)
            )
        due = BYTES_PER_NUMBER * dimension * self.count(name) > 1_024 * size
        _wait_for_graphs(self._client, name, LOOKS_IF_DUE if due else LOOKS, progress)

    def info(self, name: str) -> dict[str, Any]:
        found = self._client.get_collection(name)
        return {
            "points": self.count(name),
            "indexed_vectors": found.indexed_vectors_count or 0,
            "segments": found.segments_count,
            "disk_bytes": None,
        }

    def resident_bytes(self, name: str, rows: np.ndarray, search: Search) -> int | None:
        return None

    def search(
        self, name: str, queries: AnyVectors, conditions: Conditions, search: Search
    ) -> list[FoundPoints]:
        make_request, first = to_requests(search, to_filter(conditions)), bool(search.first)
        found: list[FoundPoints] = []
        for start in range(0, len(queries), BATCH_QUERIES):
            asked = asked_rows(queries, slice(start, start + BATCH_QUERIES), first)
            answers = self._client.query_batch_points(name, [make_request(*one) for one in asked])
            found += [answer.points for answer in answers]
        return found

    def search_fused(self, name: str, conditions: Conditions, search: FusedSearch) -> FoundPoints:
        filter = to_filter(conditions)
        stages = [_stage(queries, one, filter) for queries, one in search.searches]
        # the server counts ranks from 0
        by_rank = models.RrfQuery(rrf=models.Rrf(k=search.rrf_k + 1))
        fusion = by_rank if search.fusion == "rrf" else models.FusionQuery(fusion=models.Fusion.DBSF)
        payload = [f"{search.part}.item_id"] if search.part else False
        request = models.QueryRequest(
            query=fusion, prefetch=stages, limit=search.k, with_payload=payload, filter=filter
        )
        [answer] = self._client.query_batch_points(name, [request])
        points: FoundPoints = answer.points
        return points

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Payload]:
        return {str(record.id): record.payload or {} for record in self._retrieve(name, ids, vectors=False)}

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        return {
            str(record.id): from_vectors(record.vector) for record in self._retrieve(name, ids, vectors=True)
        }

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        offset: Any = None
        while True:
            records, offset = self._page(name, offset, to_filter(conditions), fields, with_vectors=vectors)
            yield from records
            if offset is None:
                return

    def scroll_common(self, name: str, fields: list[str]) -> Iterator[Record]:
        """Yield the points that all copies hold alike.

        Of a page of all copies only what they have in common comes, so that it can be short before the end is there.
        """
        if not self._has_copies(name):
            yield from self.scroll(name, (), fields)
            return
        last: Any = None
        while True:
            records, _ = self._page(name, last, None, fields, consistency=models.ReadConsistencyType.ALL)
            new = [record for record in records if record[0] != last]
            if not new:
                return
            yield from new
            last = new[-1][0]

    def count_by_copies(self, name: str) -> tuple[int, int]:
        """Return the points that the copy with the fewest has, and that with the most: the middle of three or more."""
        if not self._has_copies(name):
            return (self.count(name),) * 2
        least, most = (
            self._client.ask(
                "http.points_api.count_points",
                name,
                consistency,
                count_request=models.CountRequest(exact=True),
            ).result.count
            for consistency in (models.ReadConsistencyType.ALL, models.ReadConsistencyType.MAJORITY)
        )
        return least, most

    def _page(
        self, name: str, offset: Any, filter: Filter | None, fields: list[str] | None, **options: Any
    ) -> tuple[list[Record], Any]:
        """Return the points of a page and where the next begins."""
        payload = True if fields is None else fields
        found, offset = self._client.scroll(
            name, filter, SCROLL_POINTS, offset=offset, with_payload=payload, **options
        )
        return [(str(one.id), one.payload or {}, from_vectors(one.vector)) for one in found], offset

    def _create(self, name: str, schema: Schema) -> None:
        """Make a collection; where the answer to a first try was lost, it is there already."""
        try:
            self._client.create_collection(name, **to_config(schema))
        except ServerError:
            if not self._client.collection_exists(name):
                raise

    def _has_copies(self, name: str) -> bool:
        """Return whether shards have several copies, once all are active: one that is dead or recovers is waited for.

        Raises NotReady, which names the shard, the node and the state, after MAX_RETRY_SECONDS.
        """
        return not self.ignores_settings and self._client.until_ready(partial(self._check_copies, name))

    def _check_copies(self, name: str) -> bool:
        copies = _list_copies(self._client.collection_cluster_info(name))
        if len(copies) == len({shard for shard, _, _ in copies}):
            return False
        waiting = [copy for copy in copies if copy[2] != ReplicaState.ACTIVE]
        if waiting:
            raise NotReady(self._describe_copies(name, waiting))
        return True

    def _describe_copies(self, name: str, copies: list[Copy]) -> str:
        nodes = self._client.node_addresses()
        named = "; ".join(
            f"shard {shard} on node {nodes.get(peer, peer)} is {state}" for shard, peer, state in copies
        )
        return (
            f"not all copies of {name!r} at {self.place} answer: {named}. Start the nodes, or remove their copies, "
            "then do the same again"
        )

    def _retrieve(self, name: str, ids: Sequence[str], vectors: bool) -> Iterator[Any]:
        for start in range(0, len(ids), SCROLL_POINTS):
            part = list(ids[start : start + SCROLL_POINTS])
            yield from self._client.retrieve(name, part, with_payload=not vectors, with_vectors=vectors)


def cut_by_bytes(points: Sequence[PointStruct]) -> Iterator[list[PointStruct]]:
    """Yield the points in their order, in parts that are about MAX_REQUEST_BYTES at most, or one point."""
    part: list[PointStruct] = []
    size = 0
    for point in points:
        vectors = point.vector.values() if isinstance(point.vector, dict) else [point.vector]
        numbers = sum(map(_count_numbers, vectors))
        own = JSON_BYTES_PER_NUMBER * numbers + len(json.dumps(point.payload))
        if part and size + own > MAX_REQUEST_BYTES:
            yield part
            part, size = [], 0
        part.append(point)
        size += own
    if part:
        yield part


def _count_numbers(vector: Any) -> int:
    """Return how many numbers a vector has: a row, rows of tokens, or weighted terms."""
    if isinstance(vector, models.SparseVector):
        return 2 * len(vector.indices)
    return sum(map(len, vector)) if vector and isinstance(vector[0], list) else len(vector)


def _list_copies(info: CollectionClusterInfo) -> list[Copy]:
    """Return shard, node and state of every copy."""
    local = [(shard.shard_id, info.peer_id, shard.state) for shard in info.local_shards]
    return local + [(shard.shard_id, shard.peer_id, shard.state) for shard in info.remote_shards]


def _is_local(client: QdrantClient) -> bool:
    """Return whether the client is a model of a server in numpy: QdrantClient(":memory:") or (path=...)."""
    return isinstance(client._client, QdrantLocal)


def _wait_for_graphs(client: Connection, name: str, looks: int, progress: bool) -> None:
    """Return when the server is at rest, seen twice, or `looks` times without a graph: it starts a while after.

    Raises RuntimeError if the server cannot build, TimeoutError after MAX_STALLED_SECONDS without any change.
    """
    from tqdm.auto import tqdm

    at_rest, needed, last_state, last_change = 0, looks, None, time.monotonic()
    with tqdm(desc=f"build {name}", bar_format=BAR_FORMAT, unit_scale=True, disable=not progress) as bar:
        while at_rest < needed:
            found = _read_progress(client, name)
            bar.n = found.indexed_vectors_count or 0
            bar.set_postfix_str(found.status.value)
            state = (found.status, bar.n, found.segments_count)
            if state != last_state:
                last_state, last_change = state, time.monotonic()
            elif time.monotonic() - last_change > MAX_STALLED_SECONDS:
                raise TimeoutError(_describe_stall(name, found))
            at_rest, needed = at_rest + 1 if found.status == "green" else 0, LOOKS if bar.n else looks
            time.sleep(POLL_SECONDS if at_rest < needed else 0)


def _read_progress(client: Connection, name: str) -> "CollectionInfo":
    """Return what the server says of the collection; wake one that waits for an update since it was started."""
    found = client.get_collection(name)
    if found.status == "red":
        raise RuntimeError(f"the server cannot build {name!r}: {found.optimizer_status}")
    if found.status == "grey":
        client.update_collection(name, optimizers_config=models.OptimizersConfigDiff())
    return found


def _describe_stall(name: str, found: "CollectionInfo") -> str:
    return (
        f"stopped waiting for the graphs of {name!r}: the server is at {found.status.value!r} with "
        f"{found.indexed_vectors_count or 0:,} vectors in the graph of {found.points_count or 0:,} points, and nothing "
        f"has changed for {MAX_STALLED_SECONDS:,.4g} s. The server goes on: look into its log, build again later"
    )


def to_config(schema: Schema) -> dict[str, Any]:
    """Return the arguments of `create_collection` for this schema, which goes into the metadata."""
    hnsw, cluster = schema.hnsw, schema.cluster
    named = {name: _vector_params(space, schema) for name, space in schema.dense_vectors.items()}
    sparse = {name: _sparse_params(space) for name, space in schema.sparse_vectors.items()}
    return {
        "vectors_config": named[""] if list(named) == [""] else named,
        "sparse_vectors_config": sparse or None,
        "hnsw_config": models.HnswConfigDiff(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=hnsw.scan_kb
        ),
        "quantization_config": _quantization(schema),
        "optimizers_config": models.OptimizersConfigDiff(
            indexing_threshold=UNINDEXED, default_segment_number=1
        ),
        "shard_number": cluster.shards,
        "replication_factor": cluster.replicas,
        "write_consistency_factor": cluster.write_consistency,
        "metadata": {METADATA: schema.to_dict()},
    }


def _vector_params(space: Space, schema: Schema) -> "VectorParams":
    of_tokens = {
        "multivector_config": models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        "hnsw_config": models.HnswConfigDiff(m=0),
    }
    more: dict[str, Any] = of_tokens if space.kind == LATE else {}
    return models.VectorParams(
        size=space.dimension, distance=models.Distance.COSINE, on_disk=schema.on_disk, **more
    )


def _sparse_params(space: Space) -> "SparseVectorParams":
    return models.SparseVectorParams(modifier=models.Modifier.IDF if space.by_rarity else None)


def to_vectors(row: Row) -> Any:
    """Return a point's vectors in the terms of the client."""
    if not isinstance(row, dict):
        return to_query(row)
    return {name: to_query(vector) for name, vector in row.items()}


def to_query(vector: OneVector) -> Any:
    """Return one vector in the terms of the client."""
    if isinstance(vector, Terms):
        return models.SparseVector(indices=vector.indices, values=vector.weights)
    return vector.tolist() if isinstance(vector, np.ndarray) else vector


def from_vectors(row: Any) -> Any:
    """Return what `to_vectors` made of a point's vectors."""
    if not isinstance(row, dict):
        return row
    return {
        name: Terms(one.indices, one.values) if isinstance(one, models.SparseVector) else one
        for name, one in row.items()
    }


def _quantization(schema: Schema) -> Any:
    if schema.quantization is None:
        return None
    kind, size = schema.quantization.kind, schema.quantization.size
    ram: dict[str, Any] = {"always_ram": schema.quantization.always_ram}
    if kind == "scalar":
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, **ram)
        )
    if kind == "product":
        return models.ProductQuantization(
            product=models.ProductQuantizationConfig(compression=models.CompressionRatio(f"x{size}"), **ram)
        )
    if kind == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(**ram))
    return models.TurboQuantization(
        turbo=models.TurboQuantQuantizationConfig(bits=models.TurboQuantBitSize(f"bits{size}"), **ram)
    )


def to_index_type(kind: str) -> "PayloadSchemaType":
    """Return the type of a payload index for a field of this kind."""
    return {KEYWORD: Type.KEYWORD, INTEGER: Type.INTEGER, FLOAT: Type.FLOAT, BOOL: Type.BOOL}[kind]


def to_requests(search: Search, filter: "Filter | None") -> "Callable[[OneVector, Any], QueryRequest]":
    """Return a function from a query and the row of its first stage to its request; what all share is made once."""
    quantization = models.QuantizationSearchParams(
        ignore=search.exact or not search.quantized,
        rescore=search.rescore,
        oversampling=search.oversampling,
    )
    common: dict[str, Any] = {"limit": search.k, "filter": filter, "using": search.vector or None}
    common["params"] = models.SearchParams(hnsw_ef=search.ef, exact=search.exact, quantization=quantization)
    common["with_payload"] = [f"{search.part}.item_id"] if search.part else False
    if search.diversity is not None:
        mmr = models.Mmr(diversity=search.diversity, candidates_limit=search.candidates)
        return lambda row, _: models.QueryRequest(
            query=models.NearestQuery(nearest=to_query(row), mmr=mmr), **common
        )
    if not (search.first or search.boost):
        return lambda row, _: models.QueryRequest(query=_score_by(row, search), **common)
    stage: dict[str, Any] = {"limit": search.candidates, "filter": filter, "params": common["params"]}
    stage["using"] = search.first or common["using"]
    if search.boost:
        formula, common["using"] = _formula(search.boost), None
        return lambda row, _: models.QueryRequest(
            query=formula, prefetch=models.Prefetch(query=_score_by(row, search), **stage), **common
        )
    return lambda row, pooled: models.QueryRequest(
        query=to_query(row), prefetch=models.Prefetch(query=to_query(pooled), **stage), **common
    )


def _score_by(row: Any, search: Search) -> Any:
    """Return the query that scores points by a vector, and by examples where there are some, see `Examples`."""
    row, examples = to_query(row), cast("Any", search.examples)
    if examples is None:
        return row
    if examples.score in (BEST_SCORE, SUM_SCORES):
        wanted, strategy = [row, *examples.wanted], models.RecommendStrategy(examples.score)
        given = models.RecommendInput(positive=wanted, negative=examples.unwanted, strategy=strategy)
        return models.RecommendQuery(recommend=given)
    if examples.score == FEEDBACK:
        marked = [models.FeedbackItem(example=one, score=mark) for one, mark in examples.marked]
        naive = models.NaiveFeedbackStrategyParams(a=1, b=1, c=examples.pair_weight)
        formula = models.NaiveFeedbackStrategy(naive=naive)
        feedback = models.RelevanceFeedbackInput(target=row, feedback=marked, strategy=formula)
        return models.RelevanceFeedbackQuery(relevance_feedback=feedback)
    pairs = [models.ContextPair(positive=wanted, negative=unwanted) for wanted, unwanted in examples.pairs]
    if examples.score == CONTEXT:
        return models.ContextQuery(context=pairs)
    return models.DiscoverQuery(discover=models.DiscoverInput(target=row, context=pairs))


def _formula(boost: Mapping[str, float]) -> "FormulaQuery":
    """Return the formula that adds weighted fields to the score; a point without a value counts as 0."""
    terms = [models.MultExpression(mult=[weight, path]) for path, weight in boost.items()]
    formula = models.SumExpression(sum=["$score", *terms])
    return models.FormulaQuery(formula=formula, defaults=dict.fromkeys(boost, 0.0))


def _stage(queries: AnyVectors, search: Search, filter: "Filter | None") -> "Prefetch":
    """Return the search of one query as a stage of another request."""
    [asked] = asked_rows(queries, slice(0, 1), bool(search.first))
    request = to_requests(search, filter)(*asked)
    return models.Prefetch(
        query=request.query,
        prefetch=request.prefetch,
        using=request.using,
        params=request.params,
        filter=filter,
        limit=search.k,
    )


def to_filter(conditions: Conditions) -> "Filter | None":
    """Return the filter that lets through what meets all conditions, None for all points."""
    return translate_filter(conditions, FILTER_TERMS)
