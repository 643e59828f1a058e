"""Pictures from the web: fetched once, checked by their bytes and kept; each address that gives none says why.

Addresses and servers are hostile. httpx reads the addresses, and the connections are made by the layer below it,
httpcore: it follows no redirect, keeps no cookie, sends no credentials, decodes nothing and reads no proxy from
the environment, where names would be looked up unchecked. (SSL_CERT_FILE and SSL_CERT_DIR are heeded.)
"""

import io
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pandas as pd

from mmlab import __version__
from mmlab.ingest.addresses import CheckedNetwork, Refused, read_url
from mmlab.ingest.blobs import Blobs
from mmlab.ingest.memo import Memo

if TYPE_CHECKING:
    import httpx

KIND = "fetched"  # in the memo: url -> the file's path inside the blobs' folder
CHUNK = 1000  # urls looked up in the memo at a time
KEPT_OPEN = 5.0  # seconds that a connection waits for its next request
HEADERS = {"User-Agent": f"mmlab/{__version__} (+ingest)", "Accept": "*/*", "Accept-Encoding": "identity"}
WAITS = ("connect", "read", "write")  # httpcore's timeouts; CheckedNetwork takes them for the deadline
REDIRECTS = (301, 302, 303, 307, 308)
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Limits:
    """How much is asked of servers, and borne from them.

    threads: downloads at a time.
    connect, read: seconds to wait for a connection, and for the next bytes on it.
    deadline: seconds for one picture, with its redirects, attempts and the pauses between them.
    attempts: for a picture whose server cannot be reached, breaks off, or answers 429 or 5xx.
    backoff, max_backoff: seconds before the second attempt, doubled before each further one up to the longest;
        a random part of `backoff` is added. A server that asks for a longer pause gets it, or is given up if
        the deadline is nearer.
    redirects: followed for one picture.
    max_bytes: of one picture, as sent and as decoded; `threads` times as many are in memory at most.
    private_addresses: fetch from private and loopback addresses too.
    """

    threads: int = 16
    connect: float = 5.0
    read: float = 10.0
    deadline: float = 60.0
    attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 10.0
    redirects: int = 5
    max_bytes: int = 20_000_000
    private_addresses: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "connect", "read", "deadline", "attempts", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is more than 0, found {getattr(self, name)}")
        for name in ("backoff", "max_backoff", "redirects"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is at least 0, found {getattr(self, name)}")


class Fetched(NamedTuple):
    """What became of one url: the file, or why there is none."""

    file: str | None = None
    reason: str | None = None
    detail: str | None = None


def fetch_pictures(
    urls: Sequence[str], blobs: Blobs, memo: Memo, limits: Limits | None = None, progress: bool = True
) -> pd.DataFrame:
    """One row per distinct url, in their order, indexed by it: file (an absolute path), reason, detail.

    The reasons: bad address, address not allowed, unreachable, timed out, refused by the server, too many
    redirects, too large, empty file, not a picture, damaged file, too many pixels. A detail holds no more of
    the url than its host.
    What was fetched is noted in the memo at once, and is not asked for again while its file is there; what was
    refused is tried again by the next call. An interrupt ends the downloads and loses none that were noted.
    """
    from tqdm.auto import tqdm

    urls = list(dict.fromkeys(urls))
    known = _known(urls, blobs, memo)
    root, keeping = blobs.folder.resolve(), threading.Lock()  # equal bytes may arrive twice at once

    def fetch(url: str) -> tuple[str, Fetched]:
        try:
            picture = downloads.picture(url)
        except Refused as error:
            return url, Fetched(reason=error.reason, detail=error.detail)
        with keeping:
            return url, Fetched(str(blobs.put(picture)))

    bar = tqdm(total=len(urls), initial=len(known), desc="fetched", unit="image", disable=not progress)
    limits = limits or Limits()
    with bar, Downloads(limits) as downloads:
        for batch in _spread(fetch, (url for url in urls if url not in known), limits.threads):
            files = {url: fetched.file for url, fetched in batch.items() if fetched.file}
            memo.put(KIND, {url: Path(file).relative_to(root).as_posix() for url, file in files.items()})
            known |= batch
            bar.update(len(batch))
    rows = [known[url] for url in urls]
    return pd.DataFrame(rows, pd.Index(urls, dtype="str", name="url"), Fetched._fields).astype("str")


class Downloads:
    """Pictures' bytes by url, for any number of threads; at the end of the `with` block all downloads end.

    resolver and network are those of `CheckedNetwork`.
    """

    def __init__(self, limits: Limits, resolver: Callable = socket.getaddrinfo, network: Any = None) -> None:
        import httpcore
        import httpx

        self.limits = limits
        self._network = CheckedNetwork(
            limits.connect, limits.read, limits.private_addresses, resolver, network
        )
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=limits.threads,
            keepalive_expiry=KEPT_OPEN,
            network_backend=self._network,
        )

    def picture(self, url: str) -> bytes:
        """The bytes of a file that Pillow recognises as a picture; raises Refused."""
        deadline = time.monotonic() + self.limits.deadline
        data = self._retrying()(self._attempt, read_url(url), deadline)
        _check_picture(data)
        return data

    def _retrying(self) -> Callable:
        import tenacity

        limits, stopped = self.limits, self._network.stopped
        backoff = tenacity.wait_exponential(limits.backoff, max=limits.max_backoff)
        backoff += tenacity.wait_random(0, limits.backoff)
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: getattr(error, "pause", None) is not None),
            wait=lambda state: max(backoff(state), state.outcome.exception().pause),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(limits.attempts),
                tenacity.stop_before_delay(limits.deadline),
                tenacity.stop_when_event_set(stopped),
            ),
            sleep=tenacity.sleep_using_event(stopped),
            reraise=True,
        )

    def _attempt(self, url: "httpx.URL", deadline: float) -> bytes:
        """Follow the redirects from url to an answer of 200; every hop is checked like the first."""
        try:
            for _ in range(self.limits.redirects + 1):
                answer = self._ask(url, deadline)
                if isinstance(answer, bytes):
                    return answer
                url = read_url(answer, url)
        except Refused:
            raise
        except Exception as error:  # hostile servers find errors that no list foresees: one costs one row
            raise _explain(error, deadline, self.limits) from error
        raise Refused("too many redirects", f"more than {self.limits.redirects}")

    def _ask(self, url: "httpx.URL", deadline: float) -> bytes | str:
        """The body of one answer, or where it redirects to."""
        import httpcore

        where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        asked = {
            "headers": HEADERS | {"Host": url.netloc},
            "extensions": {"timeout": dict.fromkeys(WAITS, deadline)},
        }
        with self._pool.stream("GET", where, **asked) as answer:
            fields = {key.lower(): value.decode("utf-8", "replace") for key, value in answer.headers}
            if answer.status in REDIRECTS and b"location" in fields:
                return fields[b"location"]
            _check_answer(answer.status, fields, self.limits)
            return _read_body(
                answer.iter_stream(), fields.get(b"content-encoding", ""), self.limits.max_bytes
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._network.stopped.set()
        self._pool.close()


def _check_answer(status: int, fields: Mapping[bytes, str], limits: Limits) -> None:
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


def _read_body(pieces: Iterable[bytes], encoding: str, most: int) -> bytes:
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
        raise Refused("not a picture", f"cannot be decoded from {encoding}") from error
    return body.getvalue()


def _check_picture(data: bytes) -> None:
    """By the bytes alone: what the server declares is not asked."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Refused("empty file")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.verify()
    except UnidentifiedImageError as error:
        raise Refused("not a picture") from error
    except Image.DecompressionBombError as error:
        raise Refused("too many pixels") from error
    except Exception as error:  # Pillow's plugins raise what they like for a broken file
        raise Refused("damaged file", str(error)) from error


def _explain(error: Exception, deadline: float, limits: Limits) -> Refused:
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


def _known(urls: Sequence[str], blobs: Blobs, memo: Memo) -> dict[str, Fetched]:
    """The urls that were fetched before and whose file is still there."""
    known = {}
    for start in range(0, len(urls), CHUNK):
        for url, name in memo.get(KIND, urls[start : start + CHUNK]).items():
            file = blobs.folder.resolve() / name
            if file.is_file():
                known[url] = Fetched(str(file))
    return known


def _spread(function: Callable, tasks: Iterator, threads: int) -> Iterator[dict]:
    """The (key, value) pairs that `function` makes of the tasks, in batches as they are done.

    Two tasks per thread are handed out at a time, so a long list costs no memory and a slow task holds up no other.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(function, task) for task in islice(tasks, 2 * threads)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield dict(future.result() for future in done)
            running |= {pool.submit(function, task) for task in islice(tasks, len(done))}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
