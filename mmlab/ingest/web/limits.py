"""How much is asked of servers on the web, and borne from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much is asked of servers, and borne from them.

    threads: downloads at a time.
    connect, read: seconds to wait for a connection, and for the next bytes on it.
    deadline: seconds for one image, with its redirects, attempts and the pauses between them.
    attempts: for an image whose server cannot be reached, breaks off, or answers 429 or 5xx.
    backoff, max_backoff: seconds before the second attempt, doubled before each further one up to the longest;
        a random part of `backoff` is added. A server that asks for a longer pause gets it, or is given up if
        the deadline is nearer.
    redirects: followed for one image.
    max_bytes: of one image, as sent and as decoded; `threads` times as many are in memory at most.
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
