"""A stand-in for a Qdrant server or cluster on loopback: real gRPC and HTTP, over the client's model of a collection.

Each node has a REST port and a gRPC port. What it answers and refuses follows Qdrant 1.18: the status, code and text of
errors, the order in which it gives back the fields of an object, how copies of a shard are written and read, and that a
write which too few copies took is refused while those that took it keep it.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import grpc
from pydantic import BaseModel, TypeAdapter
from qdrant_client import models
from qdrant_client.local.qdrant_local import QdrantLocal

from tests.index.qdrant_grpc import Refusal, grpc_server

PEERS = count(1_000_000_007)  # the numbers of nodes: drawn at random by real ones, and no two alike
LARGEST_BODY = 33_554_432  # service.max_request_size_mb of the default configuration
UNREACHABLE = (
    "Service internal error: The service is currently unavailable: error trying to connect: tcp connect error: "
    "Connection refused (os error 111)"
)
DISK_FULL = "Service internal error: No space left on device: WAL buffer size exceeds available disk space"
STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class Killed(Refusal):
    """The node was stopped while it worked on a request: a client gets no answer."""


@dataclass
class Collection:
    """A collection: its configuration, and for each shard the state of the copy that a node has."""

    config: dict[str, Any]
    shards: dict[int, dict[int, str]]
    payload_schema: dict[str, Any] = field(default_factory=dict)
    threshold: int = 0
    at_rest: int = 0  # looks until it is green


@dataclass
class Cluster:
    """The state that the nodes share, and what a test reads and sets.

    asked: (node, operation, body) of every request. keys: those that were shown. failures: the next refusals of writes.
    before_write: called with the number of writes so far. lost: operations that are done, though their next answer is
    lost. slow: seconds before an answer. retry_after: the header beside 429.
    """

    nodes: "list[Node]" = field(default_factory=list)
    collections: dict[str, Collection] = field(default_factory=dict)
    asked: list[tuple[int, str, Any]] = field(default_factory=list)
    failures: list[Refusal] = field(default_factory=list)
    before_write: Callable[[int], None] = lambda count: None
    key: str = ""
    read_key: str = ""
    largest_body: int = LARGEST_BODY
    version: str = "1.18.3"
    keys: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    slow: float = 0.0
    retry_after: str = ""
    writes: int = 0
    lock: Any = field(default_factory=threading.RLock)  # the client's model is made for one thread

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def reset(self) -> None:
        """Be as after the start: all nodes run, and nothing is there."""
        fresh = Cluster(self.nodes)
        for name in list(self.collections):
            self.nodes[0].drop(name, None, None)
        vars(self).update(vars(fresh))
        for node in self.nodes:
            if not node.running:
                node.start()

    def bodies(self, operation: str) -> list[Any]:
        return [body for _, what, body in self.asked if what == operation]

    def held(self, name: str) -> dict[tuple[int, int], int]:
        """The points of each copy, by shard and node."""
        return {
            (shard, node): self.nodes[node].count(name, shard)
            for shard, copies in self.collections[name].shards.items()
            for node in copies
        }


class Node:
    """One node: two ports, and the copies of shards that it keeps."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster, self.number, self.peer = cluster, number, next(PEERS)
        self.port = self.grpc_port = 0
        self.running = False
        self.data = QdrantLocal(":memory:")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same ports as before; copies that were marked as dead are made anew from a living one."""
        self._http = Http(("127.0.0.1", self.port), handler(self))
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self._grpc = grpc_server(self.answer)
        self.grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        self._grpc.start()
        self.running = True
        for name, collection in self.cluster.collections.items():
            for shard, copies in collection.shards.items():
                if copies.get(self.number) == "Dead":
                    self._recover(name, shard, copies)

    def stop(self) -> None:
        """Be killed: what it has stays on its disk."""
        self.running = False
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(0).wait()

    def count(self, name: str, shard: int) -> int:
        return self.data.count(f"{name}~{shard}").count

    def _recover(self, name: str, shard: int, copies: dict[int, str]) -> None:
        source = next(node for node, state in copies.items() if state == "Active")
        records, _ = self.cluster.nodes[source].data.scroll(f"{name}~{shard}", limit=10**6, with_vectors=True)
        self.data.delete(f"{name}~{shard}", models.Filter())
        points = [models.PointStruct(id=one.id, vector=one.vector, payload=one.payload) for one in records]
        if points:
            self.data.upsert(f"{name}~{shard}", points)
        copies[self.number] = "Active"

    # What a request does, by the name of its operation; a body is as REST has it.

    def answer(self, operation: str, name: str, body: Any, consistency: str | None, key: str) -> Any:
        cluster = self.cluster
        cluster.asked.append((self.number, operation, body))
        cluster.keys.add(key)
        if operation == "root":
            return {"title": "qdrant - vector search engine", "version": cluster.version, "commit": "f3bb8b5"}
        self._check_key(operation, key)
        time.sleep(cluster.slow)
        try:
            with cluster.lock:
                return self._do(operation, name, body, consistency)
        finally:
            if not self.running:
                raise Killed(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def _do(self, operation: str, name: str, body: Any, consistency: str | None) -> Any:
        cluster = self.cluster
        if operation in WRITES:
            cluster.before_write(cluster.writes)
            cluster.writes += 1
            if cluster.failures:
                raise cluster.failures.pop(0)
        if (
            operation not in ("names", "exists", "create", "cluster_status")
            and name not in cluster.collections
        ):
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")
        found = getattr(self, operation)(name, body, consistency)
        if operation in cluster.lost:
            cluster.lost.remove(operation)
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "Shard temporarily unavailable: the node restarts")
        return found

    def _check_key(self, operation: str, key: str) -> None:
        if not self.cluster.key or key == self.cluster.key:
            return
        if not key:
            missing = "Must provide an API key or an Authorization bearer token"
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, missing)
        if key != self.cluster.read_key:
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        if operation in WRITES:
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "Forbidden: Global manage access is required")

    def names(self, name: str, body: Any, consistency: str | None) -> Any:
        return {"collections": [{"name": one} for one in self.cluster.collections]}

    def exists(self, name: str, body: Any, consistency: str | None) -> Any:
        return {"exists": name in self.cluster.collections}

    def create(self, name: str, body: Any, consistency: str | None) -> bool:
        if name in self.cluster.collections:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"Wrong input: Collection `{name}` already exists!")
        nodes, copies = len(self.cluster.nodes), body.get("replication_factor") or 1
        shards = {
            shard: {(shard + i) % nodes: "Active" for i in range(min(copies, nodes))}
            for shard in range(body.get("shard_number") or nodes)
        }
        vectors = TypeAdapter(models.VectorsConfig).validate_python(body["vectors"])
        for shard, held in shards.items():
            for node in held:
                self.cluster.nodes[node].data.create_collection(f"{name}~{shard}", vectors)
        made = Collection(
            body, shards, threshold=(body.get("optimizers_config") or {}).get("indexing_threshold")
        )
        self.cluster.collections[name] = made
        return True

    def drop(self, name: str, body: Any, consistency: str | None) -> bool:
        for shard, copies in self.cluster.collections.pop(name).shards.items():
            for node in copies:
                self.cluster.nodes[node].data.delete_collection(f"{name}~{shard}")
        return True

    def update(self, name: str, body: Any, consistency: str | None) -> bool:
        collection = self.cluster.collections[name]
        threshold = (body.get("optimizers_config") or {}).get("indexing_threshold")
        collection.threshold = collection.threshold if threshold is None else threshold
        collection.at_rest = 1
        return True

    def make_index(self, name: str, body: Any, consistency: str | None) -> Any:
        entry = {"data_type": body["field_schema"], "points": 0}
        self.cluster.collections[name].payload_schema[body["field_name"]] = entry
        return DONE

    def get(self, name: str, body: Any, consistency: str | None) -> Any:
        collection = self.cluster.collections[name]
        config, points = collection.config, sum(self._read(name, None, count_points))
        numbers = sum(one["size"] for one in vector_sizes(config["vectors"]))
        large = 0 < 1_024 * collection.threshold < 4 * numbers * points
        graph = large and not collection.at_rest
        some = next(iter(collection.shards))
        info = self.cluster.nodes[next(iter(collection.shards[some]))].data.get_collection(f"{name}~{some}")
        found = info.model_dump(mode="json")
        found["config"]["params"] |= {
            key: config.get(key) for key in ("shard_number", "replication_factor", "write_consistency_factor")
        }
        found["config"]["optimizer_config"]["indexing_threshold"] = collection.threshold
        found["config"]["metadata"] = in_other_order(config.get("metadata"))
        status, collection.at_rest = ("yellow" if collection.at_rest else "green"), 0
        return found | {
            "status": status,
            "points_count": points,
            "indexed_vectors_count": points if graph else 0,
            "segments_count": len(collection.shards),
            "payload_schema": collection.payload_schema,
        }

    def upsert(self, name: str, body: Any, consistency: str | None) -> Any:
        points = [models.PointStruct(**point) for point in body["points"]]
        self._write(name, [point.id for point in points], lambda data, shard, own: data.upsert(
            f"{name}~{shard}", [points[i] for i in own]))  # fmt: skip
        return DONE

    def delete(self, name: str, body: Any, consistency: str | None) -> Any:
        ids = body["points"]
        self._write(name, ids, lambda data, shard, own: data.delete(
            f"{name}~{shard}", models.PointIdsList(points=[ids[i] for i in own])))  # fmt: skip
        return DONE

    def _write(self, name: str, ids: Sequence[str], change: Callable[..., Any]) -> None:
        """Change every copy of each shard; one that cannot be reached is marked as dead where enough took it."""
        collection = self.cluster.collections[name]
        for shard, copies in collection.shards.items():
            own = [i for i, one in enumerate(ids) if shard_of(one, len(collection.shards)) == shard]
            active = [node for node, state in copies.items() if state == "Active"]
            reached = [node for node in active if self.cluster.nodes[node].running]
            for node in reached if own else ():
                change(self.cluster.nodes[node].data, shard, own)
            needed = min(collection.config.get("write_consistency_factor") or 1, len(copies))
            if len(reached) < needed:
                raise Refusal(grpc.StatusCode.INTERNAL, UNREACHABLE)
            copies.update(dict.fromkeys(set(active) - set(reached), "Dead"))

    def _read(self, name: str, consistency: str | None, read: Callable[..., Any]) -> list[Any]:
        """What each shard answers: of this node's copy or another, or what all copies or most of them say."""
        found = []
        for shard, copies in self.cluster.collections[name].shards.items():
            nodes = [node for node, state in copies.items() if state == "Active"]
            nodes = [node for node in nodes if self.cluster.nodes[node].running]
            if not nodes or (consistency and len(nodes) < len(copies)):
                raise Refusal(
                    grpc.StatusCode.INTERNAL,
                    f"Service internal error: The replica set for shard {shard} on peer {self.peer} does not have "
                    "enough active replicas",
                )
            nodes.sort(key=lambda node: node != self.number)
            asked = nodes if consistency else nodes[:1]
            answers = [read(self.cluster.nodes[node].data, f"{name}~{shard}") for node in asked]
            found.append(answers[0] if len(answers) == 1 else resolve(answers, consistency))
        return found

    def scroll(self, name: str, body: Any, consistency: str | None) -> Any:
        """A page: each shard gives one more than asked, of which the last becomes the next offset."""
        limit = body.get("limit") or 10
        parts = self._read(name, consistency, lambda data, part: data.scroll(
            part, parsed_filter(body), limit + 1, offset=body.get("offset"),
            with_payload=body.get("with_payload", True), with_vectors=body.get("with_vector", False))[0])  # fmt: skip
        found = sorted((one for part in parts for one in part), key=lambda one: str(one.id))[: limit + 1]
        following = found.pop().id if len(found) > limit else None
        return {"points": found, "next_page_offset": following}

    def retrieve(self, name: str, body: Any, consistency: str | None) -> Any:
        wanted = (body["ids"], body.get("with_payload", True), body.get("with_vector", False))
        parts = self._read(name, consistency, lambda data, part: data.retrieve(part, *wanted))
        return [one for part in parts for one in part]

    def count_points(self, name: str, body: Any, consistency: str | None) -> Any:
        asked = parsed_filter(body)
        return {"count": sum(self._read(name, consistency, lambda *at: count_points(*at, asked)))}

    def facet(self, name: str, body: Any, consistency: str | None) -> Any:
        counts: dict[Any, int] = {}
        for part in self._read(name, None, lambda data, part: data.facet(
                part, body["key"], parsed_filter(body), limit=10**6, exact=True)):  # fmt: skip
            for hit in part.hits:
                counts[hit.value] = counts.get(hit.value, 0) + hit.count
        return {"hits": [{"value": value, "count": count} for value, count in counts.items()]}

    def query(self, name: str, body: Any, consistency: str | None) -> Any:
        requests = [TypeAdapter(models.QueryRequest).validate_python(one) for one in body["searches"]]
        parts = self._read(name, None, lambda data, part: data.query_batch_points(part, requests))
        found = []
        for i, request in enumerate(requests):
            points = [one for part in parts for one in part[i].points]
            if len(parts) > 1:
                points = sorted(points, key=lambda one: -one.score)[: request.limit]
            found.append({"points": points})
        return found

    def cluster_of(self, name: str, body: Any, consistency: str | None) -> Any:
        shards = self.cluster.collections[name].shards
        local = [
            {"shard_id": shard, "points_count": self.count(name, shard), "state": copies[self.number]}
            for shard, copies in shards.items()
            if self.number in copies
        ]
        remote = [
            {"shard_id": shard, "peer_id": self.cluster.nodes[node].peer, "state": state}
            for shard, copies in shards.items()
            for node, state in copies.items()
            if node != self.number
        ]
        parts = {"local_shards": local, "remote_shards": remote, "shard_transfers": []}
        return {"peer_id": self.peer, "shard_count": len(shards), **parts}

    def cluster_status(self, name: str, body: Any, consistency: str | None) -> Any:
        if len(self.cluster.nodes) == 1:
            return {"status": "disabled"}
        raft = {
            "term": 1,
            "commit": 1,
            "pending_operations": 0,
            "leader": self.peer,
            "role": "Leader",
            "is_voter": True,
        }
        return {
            "status": "enabled",
            "peer_id": self.peer,
            "peers": {str(one.peer): {"uri": f"http://node{one.number + 1}:6335/"} for one in self.cluster.nodes},
            "raft_info": raft,
            "consensus_thread_status": {"consensus_thread_status": "working", "last_update": "2026-01-01T00:00:00Z"},
            "message_send_failures": {
                f"http://node{one.number + 1}:6335/": {"count": 3, "latest_error": "transport error"}
                for one in self.cluster.nodes if not one.running
            },
        }  # fmt: skip


DONE = {"operation_id": 1, "status": "completed"}
WRITES = ("create", "drop", "update", "make_index", "upsert", "delete")
ROUTES = {
    ("GET", "collections"): "names",
    ("GET", "collections/*/exists"): "exists",
    ("PUT", "collections/*"): "create",
    ("DELETE", "collections/*"): "drop",
    ("PATCH", "collections/*"): "update",
    ("GET", "collections/*"): "get",
    ("PUT", "collections/*/index"): "make_index",
    ("PUT", "collections/*/points"): "upsert",
    ("POST", "collections/*/points/delete"): "delete",
    ("POST", "collections/*/points/scroll"): "scroll",
    ("POST", "collections/*/points"): "retrieve",
    ("POST", "collections/*/points/count"): "count_points",
    ("POST", "collections/*/points/query/batch"): "query",
    ("POST", "collections/*/facet"): "facet",
    ("GET", "collections/*/cluster"): "cluster_of",
    ("GET", "cluster"): "cluster_status",
    ("GET", ""): "root",
}


def shard_of(point: str, shards: int) -> int:
    return UUID(str(point)).int % 1_009 % shards


def vector_sizes(vectors: dict[str, Any]) -> list[dict[str, Any]]:
    return [vectors] if "size" in vectors else list(vectors.values())


def count_points(data: QdrantLocal, part: str, asked: models.Filter | None = None) -> int:
    return data.count(part, asked).count


def parsed_filter(body: Any) -> models.Filter | None:
    return models.Filter.model_validate(body["filter"]) if body.get("filter") else None


def resolve(answers: list[Any], consistency: str | None) -> Any:
    """What copies say together: the least or middle count, the records that all have alike."""
    if isinstance(answers[0], int):
        return min(answers) if consistency == "all" else sorted(answers)[len(answers) // 2]
    others = [{one.id: one for one in part} for part in answers[1:]]
    return [one for one in answers[0] if all(part.get(one.id) == one for part in others)]


def in_other_order(stored: Any) -> Any:
    """The same object with its fields as a map that forgets their order gives them: sorted, backwards."""
    if isinstance(stored, dict):
        return {name: in_other_order(stored[name]) for name in sorted(stored, reverse=True)}
    return [in_other_order(one) for one in stored] if isinstance(stored, list) else stored


class Http(ThreadingHTTPServer):
    """HTTP; what a client that went away left half read is no error here."""

    def handle_error(self, *_: Any) -> None:
        pass


def handler(node: Node) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            started, address = time.perf_counter(), urlsplit(self.path)
            parts = address.path.strip("/").split("/")
            name = parts[1] if len(parts) > 1 else ""
            route = "/".join(["*" if i == 1 else part for i, part in enumerate(parts)])
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            consistency = parse_qs(address.query).get("consistency", [None])[0]
            try:
                if length > node.cluster.largest_body:
                    raise Refusal(
                        grpc.StatusCode.INVALID_ARGUMENT,
                        f"Payload error: JSON payload ({length} bytes) is larger than allowed (limit: "
                        f"{node.cluster.largest_body} bytes).",
                    )
                found = node.answer(
                    ROUTES[self.command, route], name, json.loads(body) if body else None, consistency,
                    self.headers.get("api-key", ""),
                )  # fmt: skip
                status, content = 200, {"result": found, "status": "ok"}
            except Killed:
                return
            except Refusal as refusal:
                status, content = STATUS[refusal.code], {"status": {"error": refusal.text}}
            except Exception as error:  # a fault of the stand-in is shown, not taken for a lost connection
                status, content = 500, {"status": {"error": f"stand-in: {error!r}"}}
            if route == "":
                content = content["result"]
            content = content | {"time": time.perf_counter() - started}
            reply(self, status, content, node.cluster.retry_after)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def reply(request: BaseHTTPRequestHandler, status: int, content: Any, retry_after: str) -> None:
    sent = json.dumps(content, default=as_json).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(sent)))
    if status == 429 and retry_after:
        request.send_header("Retry-After", retry_after)
    request.end_headers()
    request.wfile.write(sent)


def as_json(one: Any) -> Any:
    return one.model_dump(mode="json") if isinstance(one, BaseModel) else str(one)


@contextmanager
def qdrant_server(nodes: int = 1, **given: Any) -> Iterator[Cluster]:
    """A server, or a cluster of several nodes, that runs until the block ends."""
    cluster = Cluster(**given)
    cluster.nodes = [Node(cluster, number) for number in range(nodes)]
    for node in cluster.nodes:
        node.start()
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            if node.running:
                node.stop()
