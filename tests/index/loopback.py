"""An HTTP server on loopback that records requests and answers as a test prepared: also what is no Qdrant server."""

import json
import threading
from collections.abc import Iterator
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
