"""What of the web is trusted: connections to public addresses only, and responses within limits that are images.

Addresses in a dataset, redirects of a server and answers of name servers are hostile: they may lead to this machine,
its network, or the metadata service of a cloud. A name is looked up once, all its addresses are checked, and only
checked addresses are dialled. The registries of IANA say which addresses are not public
(https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry). Of a response the status,
the length and the bytes are checked.
"""

import io
import ipaddress
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import TYPE_CHECKING, Any

from mmlab.items.images import FORMATS

if TYPE_CHECKING:
    import httpcore
    import httpx

PUBLIC = [ipaddress.ip_network(text) for text in ("0.0.0.0/0", "2000::/3")]
SPECIAL = [
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # looks public, but is the host of a virtual machine in Azure
        "2001::/23",  # holds Teredo
        "2002::/16",  # 6to4
        *("2001:db8::/32", "3fff::/20"),
    )
]
MAPPED = ipaddress.ip_network("::ffff:0:0/96")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # how IPv4 servers are reached where there is only IPv6
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
MAX_DETAIL_CHARS = 200

Resolver = Callable[..., list[tuple[Any, ...]]]  # as socket.getaddrinfo


class DownloadError(Exception):
    """An address gave no image.

    reason: one of the reasons that `fetch_images` lists. detail: more about it, without control characters.
    retry_after: the seconds after which another try may succeed; None if none can.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason, detail)
        self.reason, self.retry_after = reason, retry_after
        self.detail = "".join(c if c.isprintable() else "\ufffd" for c in detail)[:MAX_DETAIL_CHARS]


def parse_url(text: str, base: "httpx.URL | None" = None) -> "httpx.URL":
    """Parse the address of an image, or of a redirect relative to `base`.

    Raise DownloadError with the flaw, but without the address, which may hold a password or a token.
    """
    import httpx

    try:
        url = base.join(text) if base else httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise DownloadError("bad address", "malformed") from error
    flaws = {
        "neither http nor https": url.scheme not in ("http", "https"),
        "no host": not url.raw_host,
        "malformed host": b"%" in url.raw_host,
        "contains a user name or password": bool(url.userinfo),
        "port out of range": url.port is not None and not 0 < url.port < 65536,
    }
    for flaw, present in flaws.items():
        if present:
            raise DownloadError("bad address", flaw)
    return url


def is_public(address: str) -> bool:
    """Return whether a numeric address belongs to a server on the internet.

    An IPv4 address that is mapped into IPv6 or reached through NAT64 is checked as IPv4. Other ways to wrap one
    (6to4, Teredo) are out of use and never public.

    >>> is_public("8.8.8.8"), is_public("::ffff:127.0.0.1")
    (True, False)
    """
    ip = ipaddress.ip_address(address)
    if ip in MAPPED or ip in NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return any(ip in network for network in PUBLIC) and not any(ip in network for network in SPECIAL)


def resolve_host(
    host: str, port: int, private_addresses: bool = False, resolver: Resolver = socket.getaddrinfo
) -> list[str]:
    """Return the numeric addresses of a host, each once.

    Raise DownloadError if one of them is not public, unless private addresses are allowed; raise socket.gaierror
    if there are none.
    """
    try:
        answers = resolver(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # longer than a name may be
        raise socket.gaierror(socket.EAI_NONAME, "not a name that can be looked up") from error
    addresses = list(dict.fromkeys(sockaddr[0] for *_, sockaddr in answers))
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for address in addresses:
        if not private_addresses and not is_public(address):
            raise DownloadError("address not allowed", address if host == address else f"{host} is {address}")
    return addresses


class CheckedNetwork:
    """Dial checked addresses only; implements httpcore.NetworkBackend.

    The connection pool above it knows each host by its name: certificates are checked for the name, and a
    connection is reused for the same name only.

    Where httpcore passes a timeout, this network expects the deadline (of time.monotonic) of the whole download. A
    single wait lasts at most `connect` or `read` seconds and never goes beyond the deadline, so a server that sends
    a byte now and then cannot hold a thread. A deadline that has passed is a TimeoutError.
    """

    def __init__(
        self,
        connect: float,
        read: float,
        private_addresses: bool = False,
        resolver: Resolver = socket.getaddrinfo,
        network: Any = None,
    ) -> None:
        """Dial through `network`, by default httpcore.SyncBackend."""
        httpcore = _httpcore()
        self.connect, self.read = connect, read
        self.private_addresses, self.resolver = private_addresses, resolver
        self.stopped = threading.Event()
        self._network = network or httpcore.SyncBackend()
        self._refusals = httpcore.ConnectError, httpcore.ConnectTimeout

    def connect_tcp(
        self, host: str, port: int, timeout: float, local_address: None = None, socket_options: Any = None
    ) -> "_Stream":
        """Connect to the first address of the host that accepts the connection."""
        failure: Exception | None = None
        for address in resolve_host(host, port, self.private_addresses, self.resolver):
            try:
                wait = self.wait(timeout, self.connect)
                return _Stream(self._network.connect_tcp(address, port, wait, None, socket_options), self)
            except self._refusals as error:
                failure = error
        raise failure or self._refusals[0](f"{host} has no address")

    def wait(self, deadline: float, at_most: float) -> float:
        """Return the seconds to wait: `at_most`, or those left until the deadline if these are fewer."""
        left = deadline - time.monotonic()
        if left <= 0 or self.stopped.is_set():
            raise TimeoutError("the time for the whole download is over")
        return min(at_most, left)


class _Stream:
    """A connection whose every wait ends at the deadline of its download."""

    def __init__(self, stream: "httpcore.NetworkStream", network: CheckedNetwork) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float) -> bytes:
        return self._stream.read(max_bytes, self._network.wait(timeout, self._network.read))

    def write(self, buffer: bytes, timeout: float) -> None:
        self._stream.write(buffer, self._network.wait(timeout, self._network.read))

    def start_tls(self, ssl_context: Any, server_hostname: str, timeout: float) -> "_Stream":
        wait = self._network.wait(timeout, self._network.connect)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, wait), self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        with suppress(OSError):  # closing alone would not wake a thread that waits for this connection
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._stream.close()


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
    httpcore = _httpcore()
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


def _httpcore() -> Any:
    import httpcore

    return httpcore
