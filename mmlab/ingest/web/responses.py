"""Check what a server responds: its status, its length and its bytes; and say why there was no response."""

import io
import socket
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses

from mmlab.ingest.web.addresses import DownloadError
from mmlab.items.images import FORMATS

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True)
class DownloadLimits:
    """Download limits: concurrency, timeouts, retries, redirects and size.

    threads: downloads at a time.
    connect, read: seconds to wait for a connection, and for the next bytes on it.
    deadline: seconds for one image, with its redirects, retries and the pauses between them.
    tries: for an image whose server cannot be reached, breaks the connection, or responds with 429 or 5xx.
    backoff, max_backoff: seconds before the second try, doubled before each further one up to `max_backoff`; a
        random part of `backoff` is added. A longer pause that the server asks for is kept, or the image is given up
        if its deadline comes first.
    redirects: followed for one image.
    max_bytes: of one image, as sent and as decoded; at most `threads` times as many are in memory.
    private_addresses: download from private and loopback addresses too.

    Raise ValueError for a limit that is out of range.
    """

    threads: int = 16
    connect: float = 5.0
    read: float = 10.0
    deadline: float = 60.0
    tries: int = 3
    backoff: float = 0.5
    max_backoff: float = 10.0
    redirects: int = 5
    max_bytes: int = 20_000_000
    private_addresses: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "connect", "read", "deadline", "tries", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, found {getattr(self, name)}")
        for name in ("backoff", "max_backoff", "redirects"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, found {getattr(self, name)}")


def check_response(status: int, headers: Mapping[bytes, str], limits: DownloadLimits) -> None:
    """Raise DownloadError unless the response is a 200 whose declared length is within the limits."""
    if status != 200:
        temporary = status == 429 or 500 <= status < 600
        retry_after = _parse_retry_after(headers.get(b"retry-after", "")) if temporary else None
        raise DownloadError(
            "refused by the server", f"{status} {responses.get(status, '')}".strip(), retry_after
        )
    length = headers.get(b"content-length", "")
    if length.isdecimal() and float(length) > limits.max_bytes:
        raise DownloadError("too large", f"more than {limits.max_bytes:,} bytes")


def _parse_retry_after(header: str) -> float:
    """Return the seconds that a number of seconds or a date stands for; 0 if it is neither (RFC 9110, 10.2.3)."""
    if header.strip().isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - datetime.now(UTC).timestamp())


def read_body(chunks: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """Return the decoded body; raise DownloadError as soon as it is longer than `max_bytes`, sent or decoded."""
    body, received = io.BytesIO(), 0
    inflate = None if encoding.lower() in ("", "identity") else zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        for chunk in chunks:
            received += len(chunk)
            body.write(inflate.decompress(chunk, max_bytes + 1 - body.tell()) if inflate else chunk)
            if max(received, body.tell()) > max_bytes:
                raise DownloadError("too large", f"more than {max_bytes:,} bytes")
    except zlib.error as error:
        raise DownloadError("not an image", f"cannot be decoded from {encoding}") from error
    return body.getvalue()


def check_image(data: bytes) -> None:
    """Raise DownloadError unless the bytes are an image; the declared content type is ignored."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DownloadError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.verify()
    except UnidentifiedImageError as error:
        raise DownloadError("not an image") from error
    except Image.DecompressionBombError as error:
        raise DownloadError("too many pixels") from error
    except Exception as error:  # Pillow's plugins raise nearly anything for a broken file
        raise DownloadError("damaged file", str(error)) from error


def explain_failure(error: Exception, deadline: float, limits: DownloadLimits) -> DownloadError:
    """Say why there was no response; a failure that may be temporary can be retried until the deadline."""
    import httpcore

    if time.monotonic() >= deadline or isinstance(error, TimeoutError):
        return DownloadError("timed out", f"not complete after {limits.deadline:g} s")
    if isinstance(error, httpcore.TimeoutException):
        detail = "no connection" if isinstance(error, httpcore.ConnectTimeout) else "no response"
        return DownloadError("timed out", detail, 0)
    if isinstance(error, httpcore.ProtocolError):  # the message may quote what the server sent
        return DownloadError("unreachable", "the connection broke, or the server does not speak HTTP", 0)
    if not isinstance(error, httpcore.NetworkError | OSError):
        return DownloadError("unreachable", type(error).__name__)
    unknown_name = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
    return DownloadError("unreachable", str(error), None if unknown_name else 0)
