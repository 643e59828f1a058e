"""Download images from addresses on the web: once each, within limits, with a reason where one cannot be had.

Addresses and servers are hostile. httpx parses the addresses; the connections are made by httpcore, the layer below
it, which follows no redirect, keeps no cookie, sends no credentials, decodes nothing and ignores the proxies of the
environment, where names would be looked up unchecked. It does heed SSL_CERT_FILE and SSL_CERT_DIR.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import pandas as pd

from mmlab import __version__
from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.addresses import (
    CheckedNetwork,
    DownloadError,
    DownloadLimits,
    Resolver,
    check_image,
    check_response,
    explain_failure,
    parse_url,
    read_body,
)

if TYPE_CHECKING:
    import httpx
    import tenacity

KIND = "fetched"  # in the cache: url -> the path of its file inside the folder of the blobs
KEEPALIVE_SECONDS = 5.0  # that an idle connection is kept for the next request
HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": f"mmlab/{__version__} (+ingest)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
TIMEOUTS = ("connect", "read", "write")  # of httpcore; CheckedNetwork takes them for the deadline
REDIRECTS = (301, 302, 303, 307, 308)


class Download(NamedTuple):
    """The file that an address gave, or why it gave none."""

    file: str | None = None
    reason: str | None = None
    detail: str | None = None


def fetch_images(
    urls: Sequence[str],
    blobs: Blobs,
    cache: FindingsCache,
    limits: DownloadLimits | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Download the images of all urls; return one row per distinct url, indexed by it, in their order.

    Columns: file (an absolute path), reason, detail. The reasons: bad address, address not allowed, unreachable,
    timed out, refused by the server, too many redirects, too large, empty file, not an image, damaged file, too many
    pixels. A detail contains no part of the url but its host.
    A downloaded file is recorded in the cache at once and not downloaded again while it exists; failures are tried
    again by the next call. An interrupt ends the downloads and loses none that were recorded.
    """
    from tqdm.auto import tqdm

    urls = list(dict.fromkeys(urls))
    known = _known_downloads(urls, blobs, cache)
    root = blobs.folder.resolve()
    limits = limits or DownloadLimits()
    bar = tqdm(total=len(urls), initial=len(known), desc="fetched", unit="image", disable=not progress)
    with bar, Downloader(limits) as downloader:
        new = (url for url in urls if url not in known)
        for batch in _run_in_threads(_make_fetch(downloader, blobs), new, limits.threads):
            files = {url: download.file for url, download in batch.items() if download.file}
            cache.put(KIND, {url: Path(file).relative_to(root).as_posix() for url, file in files.items()})
            known |= batch
            bar.update(len(batch))
    rows = [known[url] for url in urls]
    return pd.DataFrame(rows, pd.Index(urls, dtype="str", name="url"), Download._fields).astype("str")


def check_downloads(new: int, most: int) -> None:
    """Raise ValueError where more images are to be fetched than `most`."""
    if new > most:
        raise ValueError(
            f"{new:,} images lie on the web, and no more than {most:,} are fetched unasked: give "
            f"-p max_downloads={new} to fetch them all, or -p images_at=FOLDER where they are on disk"
        )


def count_new(urls: Sequence[str], blobs: Blobs, cache: FindingsCache) -> int:
    """Return how many of the urls `fetch_images` would download: those whose file is not kept from before."""
    urls = list(dict.fromkeys(urls))
    return len(urls) - len(_known_downloads(urls, blobs, cache))


class Downloader:
    """Download the bytes of images in any number of threads; the end of the `with` block ends all downloads.

    `resolver` and `network` are those of `CheckedNetwork`.
    """

    def __init__(
        self, limits: DownloadLimits, resolver: Resolver = socket.getaddrinfo, network: Any = None
    ) -> None:
        import httpcore
        import httpx

        self.limits, self._as_url = limits, httpcore.URL
        self._network = CheckedNetwork(
            limits.connect, limits.read, limits.private_addresses, resolver, network
        )
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=limits.threads,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=cast(httpcore.NetworkBackend, self._network),
        )

    def download(self, url: str) -> bytes:
        """Return the bytes of an image in one of the FORMATS that `open_image` takes; raise DownloadError."""
        deadline = time.monotonic() + self.limits.deadline
        data = self._retrying()(self._follow_redirects, parse_url(url), deadline)
        check_image(data)
        return data

    def _retrying(self) -> "tenacity.Retrying":
        import tenacity

        limits, stopped = self.limits, self._network.stopped
        backoff = tenacity.wait_exponential(limits.backoff, max=limits.max_backoff) + tenacity.wait_random(
            0, limits.backoff
        )

        def wait_seconds(state: "tenacity.RetryCallState") -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), _retry_after(error) or 0)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _retry_after(error) is not None),
            wait=wait_seconds,
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(limits.tries),
                tenacity.stop_before_delay(limits.deadline),
                tenacity.stop_when_event_set(stopped),
            ),
            sleep=tenacity.sleep_using_event(stopped),
            reraise=True,
        )

    def _follow_redirects(self, url: "httpx.URL", deadline: float) -> bytes:
        """Return the body of the first 200; every redirect is checked like the first address."""
        try:
            for _ in range(self.limits.redirects + 1):
                response = self._request(url, deadline)
                if isinstance(response, bytes):
                    return response
                url = parse_url(response, url)
        except DownloadError:
            raise
        except Exception as error:  # hostile servers cause errors that no list foresees: one costs one row
            raise explain_failure(error, deadline, self.limits) from error
        raise DownloadError("too many redirects", f"more than {self.limits.redirects}")

    def _request(self, url: "httpx.URL", deadline: float) -> bytes | str:
        """Return the body of one response, or the address that it redirects to."""
        target = self._as_url(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = HEADERS | {"Host": url.netloc}
        extensions = {"timeout": dict.fromkeys(TIMEOUTS, deadline)}
        with self._pool.stream("GET", target, headers=headers, extensions=extensions) as response:
            fields = {key.lower(): value.decode("utf-8", "replace") for key, value in response.headers}
            if response.status in REDIRECTS and b"location" in fields:
                return fields[b"location"]
            check_response(response.status, fields, self.limits)
            encoding = fields.get(b"content-encoding", "")
            return read_body(response.iter_stream(), encoding, self.limits.max_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._network.stopped.set()
        self._pool.close()


def _retry_after(error: BaseException | None) -> float | None:
    return error.retry_after if isinstance(error, DownloadError) else None


def _known_downloads(urls: list[str], blobs: Blobs, cache: FindingsCache) -> dict[str, Download]:
    """Return the urls that were downloaded before and whose file still exists."""
    root = blobs.folder.resolve()
    files = {url: root / name for url, name in cache.get(KIND, urls).items()}
    return {url: Download(str(file)) for url, file in files.items() if file.is_file()}


def _make_fetch(downloader: Downloader, blobs: Blobs) -> Callable[[str], tuple[str, Download]]:
    """Return a function that downloads one url, keeps its file, and returns the url with what became of it."""
    writing = threading.Lock()  # equal bytes may arrive twice at once

    def fetch(url: str) -> tuple[str, Download]:
        try:
            image = downloader.download(url)
        except DownloadError as error:
            return url, Download(reason=error.reason, detail=error.detail)
        with writing:
            return url, Download(str(blobs.put(image)))

    return fetch


def _run_in_threads(
    function: Callable[[str], tuple[str, Download]], urls: Iterator[str], threads: int
) -> Iterator[dict[str, Download]]:
    """Yield the results of the urls in batches as they are done.

    Two urls per thread are handed out at a time: a long list needs no memory, and a slow url holds up no other.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(function, url) for url in islice(urls, 2 * threads)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield dict(future.result() for future in done)
            running |= {pool.submit(function, url) for url in islice(urls, len(done))}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
