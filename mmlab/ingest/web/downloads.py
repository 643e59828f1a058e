"""The bytes behind an address: redirects followed, attempts repeated, every wait bounded, each hop checked.

Addresses and servers are hostile. httpx reads the addresses, and the connections are made by the layer below it,
httpcore: it follows no redirect, keeps no cookie, sends no credentials, decodes nothing and reads no proxy from
the environment, where names would be looked up unchecked. (SSL_CERT_FILE and SSL_CERT_DIR are heeded.)
"""

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from mmlab import __version__
from mmlab.ingest.web.addresses import CheckedNetwork, Refused, read_url
from mmlab.ingest.web.limits import Limits
from mmlab.ingest.web.responses import check_answer, check_image, explain, read_body

if TYPE_CHECKING:
    import httpx

KEPT_OPEN = 5.0  # seconds that a connection waits for its next request
HEADERS = {"User-Agent": f"mmlab/{__version__} (+ingest)", "Accept": "*/*", "Accept-Encoding": "identity"}
WAITS = ("connect", "read", "write")  # httpcore's timeouts; CheckedNetwork takes them for the deadline
REDIRECTS = (301, 302, 303, 307, 308)


class Downloads:
    """Images' bytes by url, for any number of threads; at the end of the `with` block all downloads end.

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

    def image(self, url: str) -> bytes:
        """The bytes of a file in one of the FORMATS that `open_image` takes; raises Refused."""
        deadline = time.monotonic() + self.limits.deadline
        data = self._retrying()(self._attempt, read_url(url), deadline)
        check_image(data)
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
            raise explain(error, deadline, self.limits) from error
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
            check_answer(answer.status, fields, self.limits)
            return read_body(answer.iter_stream(), fields.get(b"content-encoding", ""), self.limits.max_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._network.stopped.set()
        self._pool.close()
