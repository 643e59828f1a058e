"""The connection to a Qdrant server: which port is spoken to, what is tried again, and errors in one sentence each.

REST at the port of the URL is asked first. gRPC takes over only where its port is known to be the same server's: see
`Connection.settle`.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import grpc
import tenacity
from pydantic import ValidationError
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.connection import get_channel
from qdrant_client.grpc import HealthCheckRequest, QdrantStub
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

API_KEY = "QDRANT_API_KEY"
REST_PORT, GRPC_PORT = 6333, 6334  # the pair that a server has by default
MAX_RETRY_SECONDS = 300.0
MAX_QUESTION_SECONDS = 30.0  # of a search and what belongs to it: somebody may be waiting
QUESTIONS = ("query_batch_points", "retrieve", "facet")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
HEALTH_SECONDS = 2
GRPC_OPTIONS = {"grpc.max_reconnect_backoff_ms": 5_000}
MAX_ERROR_CHARS = 300  # of a server's own words

SILENT, STRANGE, REFUSED, READ_ONLY = "silent", "strange", "refused", "read-only"
BUSY, DISK, LARGE, FAILED = "busy", "disk", "large", "failed"
SENTENCES = {
    SILENT: "{place} does not answer: {found}; is it running, and is this its REST port?",
    STRANGE: "{place} answers, but not as a Qdrant server does: {found}; is the URL right?",
    REFUSED: f"{{place}} refuses the key: set {API_KEY} in the environment",
    READ_ONLY: f"{{place}} takes the key for reading only ({{found}}): set {API_KEY} to one that may write",
    BUSY: "{place} could not do it now ({found}): look at its nodes, then do the same again; what was sent stays",
    DISK: "the disk of {place} is full ({found}): free some of it, then do the same again; what was sent stays",
    LARGE: "{place} takes no request this large ({found}): raise its service.max_request_size_mb",
    FAILED: "{place} could not do it: {found}",
}
ERRORS: dict[str, type[Exception]] = {
    SILENT: ConnectionError,
    STRANGE: ConnectionError,
    REFUSED: PermissionError,
    READ_ONLY: PermissionError,
}
MAY_PASS = (SILENT, BUSY)
# What the texts of Qdrant 1.18 say of an error, whatever its status is.
WORDS = {
    READ_ONLY: re.compile(r"forbidden: |access .*required", re.IGNORECASE),
    DISK: re.compile(r"no space left|out of disk", re.IGNORECASE),
    LARGE: re.compile(r"larger than (allowed|max)|message length too large", re.IGNORECASE),
    BUSY: re.compile(
        r"retry|active replica|read operations failed|unavailable|timed? ?out|transport error|connect error|"
        r"rst_stream|leader is not established|consensus",
        re.IGNORECASE,
    ),
}
KINDS: dict[Any, str] = {
    **dict.fromkeys((401, 403, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), REFUSED),
    **dict.fromkeys((408, 429, 502, 503, 504, grpc.StatusCode.RESOURCE_EXHAUSTED), BUSY),
    **dict.fromkeys((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), SILENT),
    413: LARGE,
    507: DISK,
}
CLIENT_ERRORS = (ResponseHandlingException, UnexpectedResponse, ResourceExhaustedResponse, grpc.RpcError)

Answer = TypeVar("Answer")


class ServerError(RuntimeError):
    """A Qdrant server could not do what it was asked for."""


class NotReady(ServerError):
    """A part of a server or cluster does not answer yet."""


class Connection:
    """The methods of a QdrantClient, tried again while what failed may pass, with errors in one sentence.

    place: the server, and how it is spoken to. over_grpc: a client of the port that may be its gRPC port, grpc_named:
    whether somebody named that port. A server that has never answered is not tried again.

    Every method raises ConnectionError if there is no answer, PermissionError for a key that is refused or may only
    read, ServerError for anything else, after the last try.
    """

    def __init__(self, client: QdrantClient, place: str) -> None:
        self.client, self.place = client, place
        self.over_grpc: QdrantClient | None = None
        self.grpc_named = False
        self._has_answered = False
        self._stop = threading.Event()  # ends pauses and further tries
        self._on_failure: Callable[[float], None] = lambda began: None
        self._announced_until = 0.0

    def __getattr__(self, name: str) -> Any:
        return partial(self.ask, name)

    def for_upload(self, stop: threading.Event, on_failure: Callable[[float], None]) -> "Connection":
        """Return a connection for several threads.

        stop: ends its pauses and further tries. on_failure: called before each pause, with the time when the try began
        that has failed, of `time.monotonic`.
        """
        other = Connection(self.client, self.place)
        other._has_answered, other._stop, other._on_failure = self._has_answered, stop, on_failure
        return other

    def settle(self, collection: str) -> None:
        """Go over to gRPC if its port shows this collection of the same server, or of another node of its cluster.

        The number of a node is drawn when it first starts: no other server has it. Raises ConnectionError if a port
        that was named is another server's; one that was not named is then left alone.
        """
        other, self.over_grpc = self.over_grpc, None
        if other is None:
            return
        try:
            here, there = (client.collection_cluster_info(collection) for client in (self.client, other))
            peers = {here.peer_id, *(shard.peer_id for shard in here.remote_shards)}
            same = there.peer_id != 0 and there.peer_id in peers
            found = "another server answers there"
        except CLIENT_ERRORS as error:
            same, found = False, read_failure(error).found
        if same:
            self.client, self.place = other, _grpc_place(self.place, other)
        elif self.grpc_named:
            raise ConnectionError(f"not the gRPC port of {_grpc_place(self.place, other)}: {found}")

    def until_ready(self, look: Callable[[], Answer]) -> Answer:
        """Return what `look` returns as soon as it does not raise NotReady; raise it after MAX_RETRY_SECONDS."""
        return self._patient(MAX_RETRY_SECONDS)(look)

    def ask(self, name: str, *given: Any, **options: Any) -> Any:
        """Return what a method of the client returns, or one of a part of it, as "http.points_api.count_points"."""
        seconds = MAX_QUESTION_SECONDS if name in QUESTIONS else MAX_RETRY_SECONDS
        retrying = self._patient(seconds if self._has_answered else 0.0)
        try:
            found = retrying(attrgetter(name)(self.client), *given, **options)
        except CLIENT_ERRORS as error:
            raise plain_error(self.place, error, self._lost_nodes(error)) from error
        self._has_answered = True
        return found

    def node_addresses(self) -> dict[int, str]:
        """Return the addresses of a cluster's nodes by their numbers; nothing where they are not to be had."""
        try:
            peers = getattr(self.client.cluster_status(), "peers", {})
        except CLIENT_ERRORS:
            return {}
        return {int(peer): info.uri for peer, info in peers.items()}

    def _lost_nodes(self, error: Exception) -> str:
        """Return which nodes of a cluster do not answer the others, where that may be why something failed."""
        if read_failure(error).kind != BUSY:
            return ""
        try:
            lost = getattr(self.client.cluster_status(), "message_send_failures", {})
        except CLIENT_ERRORS:
            return ""
        return f"; no answer from node {', '.join(sorted(lost))}" if lost else ""

    def _patient(self, seconds: float) -> tenacity.Retrying:
        pauses = tenacity.wait_exponential(FIRST_PAUSE, max=LONGEST_PAUSE) + tenacity.wait_random(
            0, FIRST_PAUSE
        )
        began = 0.0

        def begin(_: tenacity.RetryCallState) -> None:
            nonlocal began
            began = time.monotonic()

        def announce(state: tenacity.RetryCallState) -> None:
            self._on_failure(began)
            self._announce(state)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            wait=pauses,
            stop=tenacity.stop_before_delay(seconds) | tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            before=begin,
            before_sleep=announce,
            reraise=True,
        )

    def _announce(self, state: tenacity.RetryCallState) -> None:
        """Say on standard error, above a bar that may be there, that the server is waited for.

        Of several threads that wait for it at once one says so.
        """
        from tqdm.auto import tqdm

        now = time.monotonic()
        if now < self._announced_until:
            return
        self._announced_until = now + state.upcoming_sleep
        error = state.outcome.exception() if state.outcome else None
        said = plain_error(self.place, error) if isinstance(error, CLIENT_ERRORS) else error
        tqdm.write(f"{said}. Trying again in {state.upcoming_sleep:.1f} s", sys.stderr)


class Failure(NamedTuple):
    """The kind of an error, and what the server or the client said."""

    kind: str
    found: str


def connect(url: str, timeout: int, grpc_port: int | None) -> Connection:
    """Return the connection to `url` once it has answered; its key comes from the environment, never from the URL."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise ValueError(
            f"the URL of a server holds no secrets: put its key into the environment as {API_KEY}"
        )
    address = url if parts.port else parts._replace(netloc=f"{parts.netloc}:{REST_PORT}").geturl()
    connection = Connection(_client(url, timeout), f"Qdrant server at {address} (REST)")
    names = [found.name for found in connection.get_collections().collections]
    supposed = grpc_port or (GRPC_PORT if (parts.port or REST_PORT) == REST_PORT else None)
    if supposed:
        connection.over_grpc = _client_over_grpc(url, timeout, supposed, connection.client, bool(grpc_port))
        connection.grpc_named = bool(grpc_port)
    if names:
        connection.settle(names[0])
    return connection


def _client(url: str, timeout: int, grpc_port: int | None = None) -> QdrantClient:
    return QdrantClient(
        url=url,
        port=REST_PORT,
        grpc_port=grpc_port or GRPC_PORT,
        prefer_grpc=bool(grpc_port),
        api_key=os.environ.get(API_KEY),
        timeout=timeout,
        grpc_options=dict(GRPC_OPTIONS),
        check_compatibility=False,
    )


def _client_over_grpc(
    url: str, timeout: int, grpc_port: int, rest: QdrantClient, named: bool
) -> QdrantClient | None:
    """Return a client of the port if a server of the same version answers there; it is not shown the key before.

    Raises ConnectionError if a port that was named does not answer so.
    """
    parts = urlsplit(url)
    channel = get_channel(parts.hostname or "", grpc_port, parts.scheme.lower() == "https")
    try:
        answer = QdrantStub(channel).HealthCheck(HealthCheckRequest(), timeout=HEALTH_SECONDS)
        info = rest.info()
        same = (answer.title, answer.version) == (info.title, info.version)
        found = "" if same else "a server of another version answers there"
    except CLIENT_ERRORS as error:
        found = read_failure(error).found
    finally:
        channel.close()
    if found and named:
        raise ConnectionError(f"port {grpc_port} is not the gRPC port of the Qdrant server at {url}: {found}")
    return None if found else _client(url, timeout, grpc_port)


def _grpc_place(place: str, client: QdrantClient) -> str:
    return place.replace("(REST)", f"(gRPC, port {client.init_options['grpc_port']})")


def plain_error(place: str, error: BaseException, more: str = "") -> Exception:
    """Return the error to raise instead of a client's own: where, what was found, what to do."""
    kind, found = read_failure(error)
    return ERRORS.get(kind, ServerError)(SENTENCES[kind].format(place=place, found=found + more))


def may_pass(error: BaseException) -> bool:
    """Return whether the same call may go well a while later."""
    return isinstance(error, NotReady) or read_failure(error).kind in MAY_PASS


def read_failure(error: BaseException) -> Failure:
    """Return what kind of error it is, by its status and its words."""
    if isinstance(error, ResponseHandlingException):
        if isinstance(error.source, ValidationError):
            return Failure(STRANGE, error.source.errors()[0]["msg"])
        return Failure(SILENT, _one_line(str(error)))
    if isinstance(error, ResourceExhaustedResponse):
        return Failure(BUSY, _one_line(str(error)))
    if isinstance(error, UnexpectedResponse):
        return _read_answer(error)
    if isinstance(error, grpc.RpcError):
        return _read_words(error.code(), error.details() or error.code().name)
    return Failure(FAILED, _one_line(str(error)))


def _read_answer(error: UnexpectedResponse) -> Failure:
    """Read an answer over REST; one that has no text where Qdrant puts it may be anybody's."""
    try:
        found = str(json.loads(error.content)["status"]["error"])
    except (ValueError, TypeError, KeyError):
        return Failure(KINDS.get(error.status_code, STRANGE), f"status {error.status_code}")
    return _read_words(error.status_code, found)


def _read_words(status: Any, found: str) -> Failure:
    kind = KINDS.get(status, FAILED)
    known = (READ_ONLY,) if kind == REFUSED else (DISK, LARGE) if kind in MAY_PASS else (DISK, LARGE, BUSY)
    kind = next((one for one in known if WORDS[one].search(found)), kind)
    return Failure(kind, _one_line(found))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_ERROR_CHARS else f"{line[:MAX_ERROR_CHARS]} ..."
