"""A web server on the loopback address whose answers a test writes itself, and what it serves."""

import io
import ssl
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

QUICK = {  # pauses are short; what waits for a server has time enough on a busy machine
    "connect": 10,
    "read": 10,
    "deadline": 60,
    "backoff": 0.01,
    "max_backoff": 0.02,
    "private_addresses": True,
}


def image_bytes(colour="red", kind="JPEG", size=(30, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


JPEG = image_bytes()


class WebServer(ThreadingHTTPServer):
    """Answers each path by the function under it in `answers`, called with the handler; counts what was asked."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.headers = {}, Counter(), []
        self.stopped = threading.Event()
        self.scheme = "http"
        if certificate:
            self.scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path, host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.server_port}{path}"

    def serve(self, path, answer):
        """Answer the path by bytes, a status or a function of the handler; returns its url."""
        self.answers[path] = answer if callable(answer) else lambda handler: handler.send(answer)
        return self.url(path)

    def handle_error(self, request, client_address):
        """Nothing: clients that hang up are what the tests are about."""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        self.server.headers.append(self.headers)
        self.server.answers.get(path, lambda handler: handler.send(404))(self)

    def send(self, body=b"", status=200, **fields):
        """A whole answer; an int alone is a status."""
        status, body = (body, b"") if isinstance(body, int) else (status, body)
        self.head(status, Content_Length=len(body), **fields)
        self.wfile.write(body)

    def head(self, status=200, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def hang_up(self):
        self.close_connection = True

    def pause(self, seconds):
        """Sleep, but not longer than the server runs."""
        return self.server.stopped.wait(seconds)

    def log_message(self, *_):
        """Nothing."""


def failing(times, **answer):
    """Answer with a failure that often, then with the image."""
    left = iter(range(times))
    return lambda handler: handler.send(JPEG) if next(left, None) is None else handler.send(**answer)


def outcome(images, url):
    return tuple(images.loc[url, ["reason", "detail"]])
