"""One million vectors of 512 dimensions with int8 quantization on one machine: `make bench-large`."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmlab.index import Quantization, build_index, open_store
from mmlab.index.bench.search_benchmark import percentiles, recall, time_queries
from tests.bench.figures import Figure
from tests.bench.store import BATCH, K, clustered, items_of

POINTS, CENTRES, ASKED = 1_000_000, 10_000, 300


def large(points: int = POINTS) -> list[Figure]:
    """Time to build, resident memory while building and answering, disk, recall and p95."""
    import psutil

    held, queries = clustered(points, BATCH, min(CENTRES, points // 100))
    items, quantization = items_of(held), Quantization("scalar")
    with TemporaryDirectory() as folder:
        engine = open_store(Path(folder) / "store")
        started = time.perf_counter()
        index = build_index(engine, "large", items, [held], quantization=quantization, on_disk=True)
        seconds = time.perf_counter() - started
        peak = _peak_bytes()
        with index.session():
            disk = index.collections()["disk_bytes"].sum()
            asked = queries.take(queries.ids[:ASKED])
            found, milliseconds = time_queries(index, asked, "image", K)
            exact = index.search(asked, "image", K, exact=True).table
            resident = psutil.Process().memory_info().rss
    name, told = f"large, {points:,} x 512 int8", percentiles(milliseconds)
    return [
        Figure(f"{name}, build", seconds, "s", "upserts, payload indexes and graph"),
        Figure(
            f"{name}, most resident memory",
            peak / 1e9,
            "GB",
            "with the float32 vectors of the caller",
            "at most 24",
        ),
        Figure(f"{name}, resident memory when answering", resident / 1e9, "GB"),
        Figure(f"{name}, disk", disk / 1e9, "GB"),
        Figure(f"{name}, recall@{K}", recall(found, exact), "", "exact search"),
        Figure(f"{name}, p50", told["p50_ms"], "ms"),
        Figure(f"{name}, p95", told["p95_ms"], "ms"),
    ]


def _peak_bytes() -> float:
    """The most resident memory of this process so far."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(np.int64(peak) * (1 if sys.platform == "darwin" else 1024))
