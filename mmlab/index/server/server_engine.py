"""A Qdrant server or cluster by URL, through qdrant-client. The files server*.py alone know it.

The schema lies in the collection's metadata. A server builds its graphs by itself; `build` waits for them.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from mmlab.index.schema.schema import Schema, WrongSchema
from mmlab.index.server.convert import METADATA, config_of, field_type, filter_of, requests
from mmlab.index.server.waiting import wait_for_graphs
from mmlab.index.store.engine import Conditions, Hits, NoCollection, Record, Row, Search, hits_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

KEY = "QDRANT_API_KEY"
PAGE = 1_000  # points per step of a scroll or a fetch
BATCH = 100  # queries per call


class ServerEngine:
    """The collections that a QdrantClient reaches."""

    shared = True

    def __init__(self, client: "QdrantClient", place: str) -> None:
        self.place = place
        self.ignores_settings = _is_local(client)
        self._client = client
        self._session = threading.local()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Nothing to keep open; a session only asks for each schema once."""
        if hasattr(self._session, "schemas"):
            yield
            return
        self._session.schemas = {}
        try:
            with _plain_errors(self.place):
                yield
        finally:
            del self._session.schemas

    def collections(self) -> list[str]:
        with _plain_errors(self.place):
            return sorted(found.name for found in self._client.get_collections().collections)

    def create(self, name: str, schema: Schema) -> None:
        if not self._client.collection_exists(name):
            self._client.create_collection(name, **config_of(schema))
        there = self._client.get_collection(name).payload_schema
        for path, kind in schema.indexed().items():
            if path not in there:
                self._client.create_payload_index(name, path, field_type(kind), wait=True)

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

    def count(self, name: str, conditions: Conditions = ()) -> int:
        return self._client.count(name, count_filter=filter_of(conditions), exact=True).count

    def upsert(self, name: str, ids: list[str], rows: list[Row], payloads: list[dict[str, Any]]) -> None:
        from qdrant_client.models import PointStruct

        points = zip(ids, rows, payloads, strict=True)
        structs = [PointStruct(id=id, vector=row, payload=payload) for id, row, payload in points]
        self._client.upsert(name, structs, wait=True)

    def delete(self, name: str, ids: Sequence[str]) -> None:
        from qdrant_client import models

        self._client.delete(name, models.PointIdsList(points=list(ids)), wait=True)

    def build(self, name: str, progress: bool = False) -> None:
        if not self.ignores_settings:
            wait_for_graphs(self._client, name, progress)

    def info(self, name: str) -> dict[str, Any]:
        found = self._client.get_collection(name)
        return {
            "points": self.count(name),
            "indexed_vectors": found.indexed_vectors_count or 0,
            "segments": found.segments_count,
            "disk_bytes": None,
        }

    def resident_bytes(self, name: str, rows: np.ndarray, how: Search) -> int | None:
        return None

    def search(self, name: str, rows: np.ndarray, conditions: Conditions, how: Search) -> list[Hits]:
        asked = requests(how, filter_of(conditions))
        found: list[Hits] = []
        for start in range(0, len(rows), BATCH):
            part = [asked(row) for row in rows[start : start + BATCH].tolist()]
            answers = self._client.query_batch_points(name, part)
            found += [hits_of(answer.points, how.part) for answer in answers]
        return found

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {str(record.id): record.payload or {} for record in self._records(name, ids, vectors=False)}

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        return {str(record.id): record.vector for record in self._records(name, ids, vectors=True)}

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        common = {"scroll_filter": filter_of(conditions), "limit": PAGE, "with_vectors": vectors}
        common["with_payload"] = True if fields is None else fields
        following = None
        while True:
            records, following = self._client.scroll(name, offset=following, **common)
            yield from ((str(record.id), record.payload or {}, record.vector) for record in records)
            if following is None:
                return

    def _records(self, name: str, ids: Sequence[str], vectors: bool) -> Iterator[Any]:
        for start in range(0, len(ids), PAGE):
            part = list(ids[start : start + PAGE])
            yield from self._client.retrieve(name, part, with_payload=not vectors, with_vectors=vectors)


def connect(url: str, timeout: int, grpc: bool) -> ServerEngine:
    """The engine at `url`, once it has answered; its key comes from the environment, never from the URL."""
    from qdrant_client import QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse

    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise ValueError(f"the URL of a server holds no secrets: put its key into the environment as {KEY}")
    client = QdrantClient(
        url=url, api_key=os.environ.get(KEY), prefer_grpc=grpc, timeout=timeout, check_compatibility=False
    )
    ways = "gRPC, port 6334; grpc=False uses REST alone" if grpc else "REST"
    engine = ServerEngine(client, f"Qdrant server at {url} ({ways})")
    try:
        engine.collections()
    except UnexpectedResponse as error:
        raise _no_qdrant(engine.place, f"status {error.status_code}") from error
    return engine


def _no_qdrant(place: str, told: str) -> ConnectionError:
    return ConnectionError(f"{place} answers, but not as a Qdrant server does: {told}; is the URL right?")


def _is_local(client: "QdrantClient") -> bool:
    """Whether the client is a model of a server in numpy, QdrantClient(":memory:") or QdrantClient(path=)."""
    from qdrant_client.local.qdrant_local import QdrantLocal

    return isinstance(client._client, QdrantLocal)


@contextmanager
def _plain_errors(place: str) -> Iterator[None]:
    """The client's errors of connection and permission as Python's own, saying what to do; others pass."""
    import grpc
    from pydantic import ValidationError
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResponseHandlingException as error:
        if isinstance(error.source, ValidationError):
            raise _no_qdrant(place, error.source.errors()[0]["msg"]) from error
        raise ConnectionError(f"{place} does not answer: {error}; is it running?") from error
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise PermissionError(f"{place} refuses the key: set {KEY} in the environment") from error
        raise
    except grpc.RpcError as error:
        code = error.code()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise ConnectionError(f"{place} does not answer: {code.name}; is it running?") from error
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise PermissionError(f"{place} refuses the key: set {KEY} in the environment") from error
        raise
