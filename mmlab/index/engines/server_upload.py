"""Batches to a server by several requests at a time: as many as it keeps up with.

A server says that it has too much to do by a refusal (429, 503), by silence, or by answers that take ever longer. Each
halves the number of requests that are on their way at once; each good answer adds a part of one again.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

CONNECTIONS = (
    4  # "two to four concurrent threads": https://qdrant.tech/documentation/manage-data/bulk-upload/
)
SLOW_SECONDS = 1.0  # what takes less is not slow
SLOW_FACTOR = 2.0  # times longer than a server takes that does one request after the other
DRIFT = 1.01  # by which the quickest answer is forgotten with each further one

Batch = TypeVar("Batch")


class Pace:
    """How many requests may be on their way at once: from 1 to `most`.

    >>> pace = Pace(4)
    >>> pace.refused(0.0)
    >>> pace.allowed
    2
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = float(most)
        self._quickest = float("inf")
        self._lowered = 0.0
        self._lock = threading.Lock()

    @property
    def allowed(self) -> int:
        """The number of requests, a whole one."""
        return int(self._limit)

    def answered(self, started: float, seconds: float) -> None:
        """Take note of an answer to a request that was sent at `started`, a time of `time.monotonic`."""
        with self._lock:
            self._quickest = min(seconds, self._quickest * DRIFT)
            expected = max(SLOW_SECONDS, SLOW_FACTOR * self.allowed * self._quickest)
            if seconds <= expected:
                self._limit = min(self._limit + 1 / self._limit, float(self.most))
                return
        self.refused(started)

    def refused(self, started: float) -> None:
        """Take note of a refusal, or of silence; of requests that were sent before the last one it counts once."""
        with self._lock:
            if started >= self._lowered:
                self._limit = max(self._limit / 2, 1.0)
                self._lowered = time.monotonic()


def send_all(
    batches: Iterable[Batch],
    send: Callable[[Batch], int],
    sent: Callable[[int], object],
    pace: Pace,
    stop: threading.Event,
) -> None:
    """Send batches by several threads; only those that are on their way are in memory, and one more.

    send: called in a thread with a batch; returns the points in it. sent: called with that number in the thread of the
    caller, where the batches are made as well. Raises the first error of `send`, after setting `stop`, by which the
    others end too, and after those have ended. At most one at a time is sent in the thread of the caller.
    """
    if pace.most == 1:
        for batch in batches:
            sent(send(batch))
        return

    def timed(batch: Batch) -> int:
        started = time.monotonic()
        count = send(batch)
        pace.answered(started, time.monotonic() - started)
        return count

    waiting: set[Future[int]] = set()
    with ThreadPoolExecutor(pace.most, "upload") as pool:
        try:
            for batch in batches:
                while len(waiting) >= pace.allowed:
                    waiting = _finish_some(waiting, sent)
                waiting.add(pool.submit(timed, batch))
            while waiting:
                waiting = _finish_some(waiting, sent)
        except BaseException:
            stop.set()
            raise


def _finish_some(waiting: set[Future[int]], sent: Callable[[int], object]) -> set[Future[int]]:
    """Wait for one of the requests or more; return those that are still on their way."""
    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
    for one in done:
        sent(one.result())
    return waiting
