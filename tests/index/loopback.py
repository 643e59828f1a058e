"""Stand-ins for a server's transport on loopback: they record requests, and answer as a test prepared."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Loopback:
    """What was asked, as (method and path, body); the answers to come by method and path, the last one for ever."""

    url: str = ""
    status: int = 200
    answers: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def bodies(self, start: str) -> list[Any]:
        """The bodies of the requests whose method and path start so."""
        return [body for what, body in self.asked if what.startswith(start)]

    def answer(self, what: str) -> Any:
        waiting = self.answers.get(what, [True])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def http_server(status: int = 200, **answers: list[Any]) -> Iterator[Loopback]:
    """A server that answers every request with `status` and the next of its answers."""
    loopback = Loopback(status=status, answers=answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            what = f"{self.command} {self.path.partition('?')[0]}"
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            loopback.asked.append((what, json.loads(body) if body else None))
            reply = json.dumps({"result": loopback.answer(what), "status": "ok", "time": 0.0}).encode()
            self.send_response(loopback.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    loopback.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def grpc_server(refuse: Any = None) -> Iterator[tuple[int, list[Any]]]:
    """The port of a gRPC server of collections, and the messages of those that it was asked to create.

    `refuse`: the status that it refuses every call with.
    """
    import grpc
    from qdrant_client import grpc as qdrant

    made: list[Any] = []

    class Collections(qdrant.CollectionsServicer):
        def List(self, request: Any, context: Any) -> Any:  # noqa: N802
            if refuse:
                context.abort(refuse, "no")
            return qdrant.ListCollectionsResponse()

        def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
            made.append(request)
            return qdrant.CollectionOperationResponse(result=True)

    server = grpc.server(ThreadPoolExecutor(2))
    qdrant.add_CollectionsServicer_to_server(Collections(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, made
    finally:
        server.stop(0).wait()
