"""A push of 20,000 points to a server that takes a while for each answer: one request at a time, and four.

The server is the stand-in of tests/index/qdrant_server.py in a process of its own, which does one write at a time: what
several requests gain is the time of the way alone.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import numpy as np

from mmlab.index import Store, build_index, open_store
from mmlab.index import push as push_index
from mmlab.index.engines.server_connection import CONNECTIONS
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.figures import Figure
from tests.bench.store import items_of

POINTS, DIMENSION, BATCHES, LATENCIES = 20_000, 128, (1_000, 250), (0.02, 0.2)


def push() -> list[Figure]:
    """Seconds of a push, from the first look to the count in the end."""
    rows = unit_rows(np.random.default_rng(0).standard_normal((POINTS, DIMENSION), dtype=np.float32))
    ids = [f"00000000-0000-0000-0000-{number:012x}" for number in range(POINTS)]
    vectors = Vectors(ids, rows, Space("drawn", "1", "none", "", "none", DIMENSION))
    with TemporaryDirectory() as folder:
        source = open_store(folder)
        build_index(source, "bench", items_of(vectors), [vectors], progress=False)
        return [_compare(source, latency, batch) for latency in LATENCIES for batch in BATCHES]


def _compare(source: Store, latency: float, batch: int) -> Figure:
    serial, parallel = (_seconds(source, latency, batch, connections) for connections in (1, CONNECTIONS))
    name = f"push, {POINTS:,} x {DIMENSION}, {1000 * latency:g} ms an answer, batches of {batch:,}"
    return Figure(
        name, serial / parallel, "times", f"{serial:.1f} s one at a time, {parallel:.1f} s by {CONNECTIONS}"
    )


def _seconds(source: Store, latency: float, batch: int, connections: int) -> float:
    with slow_server(latency) as url:
        target = open_store(url, connections=connections)
        started = time.perf_counter()
        report = push_index(source, "bench", target, batch=batch, progress=False).report
        assert report["sent"].tolist() == report["points"].tolist() == [POINTS]
        return time.perf_counter() - started


@contextmanager
def slow_server(latency: float) -> Iterator[str]:
    """The URL of a stand-in in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.push", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


if __name__ == "__main__":
    from tests.index.qdrant_server import qdrant_server

    with qdrant_server() as server:
        server.slow = float(sys.argv[1])
        print(server.url, flush=True)
        sys.stdin.read()
