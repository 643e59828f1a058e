"""What a server answers, judged: its status, its length, its bytes, and why there was none."""

import io
import socket
import time
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses

from mmlab.ingest.web.addresses import Refused
from mmlab.ingest.web.limits import Limits
from mmlab.items.images import FORMATS

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def check_answer(status: int, fields: Mapping[bytes, str], limits: Limits) -> None:
    """Raise Refused unless the answer is a 200 whose declared length is within the limits."""
    if status != 200:
        passing = status == 429 or 500 <= status < 600
        pause = _retry_after(fields.get(b"retry-after", "")) if passing else None
        raise Refused("refused by the server", f"{status} {responses.get(status, '')}".strip(), pause)
    length = fields.get(b"content-length", "")
    if length.isdecimal() and float(length) > limits.max_bytes:
        raise Refused("too large", f"more than {limits.max_bytes:,} bytes")


def _retry_after(field: str) -> float:
    """Seconds, of a number of seconds or a date; 0 if the field is neither (RFC 9110, 10.2.3)."""
    if field.strip().isdecimal():
        return float(field)
    try:
        date = parsedate_to_datetime(field)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - datetime.now(UTC).timestamp())


def read_body(pieces: Iterable[bytes], encoding: str, most: int) -> bytes:
    """The decoded body, of `most` bytes at most; no more than that is ever decoded."""
    body, received = io.BytesIO(), 0
    inflate = None if encoding.lower() in ("", "identity") else zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        for piece in pieces:
            received += len(piece)
            body.write(inflate.decompress(piece, most + 1 - body.tell()) if inflate else piece)
            if max(received, body.tell()) > most:
                raise Refused("too large", f"more than {most:,} bytes")
    except zlib.error as error:
        raise Refused("not an image", f"cannot be decoded from {encoding}") from error
    return body.getvalue()


def check_image(data: bytes) -> None:
    """By the bytes alone: what the server declares is not asked."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Refused("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.verify()
    except UnidentifiedImageError as error:
        raise Refused("not an image") from error
    except Image.DecompressionBombError as error:
        raise Refused("too many pixels") from error
    except Exception as error:  # Pillow's plugins raise what they like for a broken file
        raise Refused("damaged file", str(error)) from error


def explain(error: Exception, deadline: float, limits: Limits) -> Refused:
    """Why there was no answer; a failure that may pass has a pause, unless the time is over."""
    import httpcore

    if time.monotonic() >= deadline or isinstance(error, TimeoutError):
        return Refused("timed out", f"not done after {limits.deadline:g} s")
    if isinstance(error, httpcore.TimeoutException):
        return Refused(
            "timed out", "no connection" if isinstance(error, httpcore.ConnectTimeout) else "no answer", 0
        )
    if isinstance(error, httpcore.ProtocolError):  # the message may quote what the server sent
        return Refused("unreachable", "broke off, or does not speak HTTP", 0)
    if not isinstance(error, httpcore.NetworkError | OSError):
        return Refused("unreachable", type(error).__name__)
    unknown = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
    return Refused("unreachable", str(error), None if unknown else 0)
