"""What an index really takes beside what `mmlab plan` says: disk without the write-ahead log, and memory.

Points of tests/bench/store.py: no captions, six fields with an index, 128 or 512 numbers. The memory of a point is the
difference between two sizes, each in a fresh process that has opened the collection and searched it, which reads the
payload too.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmlab.index import Hnsw, build_index, open_store
from mmlab.index.cluster_plan import ClusterPlan
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.figures import Figure
from tests.bench.store import items_of

SIZES = (10_000, 20_000)
CASES = ((128, 16, "none"), (128, 64, "none"), (128, 16, "scalar"), (128, 16, "binary"), (512, 16, "scalar"))


def plan() -> list[Figure]:
    """The ratio of what was measured to what was planned, for each case."""
    return [figure for case in CASES for figure in _measure(*case)]


def _measure(dimension: int, m: int, quantization: str) -> Iterator[Figure]:
    few, many = (_build(size, dimension, m, quantization) for size in SIZES)
    planned = ClusterPlan(SIZES[1], dimension, quantization=quantization, hnsw_m=m)
    name, points = f"plan, {SIZES[1]:,} x {dimension}, m = {m}, {quantization}", SIZES[1] - SIZES[0]
    disk, each = many[0] / SIZES[1], (many[1] - few[1]) / points
    expected = [1e9 * planned.disk_gb / SIZES[1], 1e9 * planned.memory_gb / SIZES[1]]
    expected[1] += planned.parts()["payload"].disk
    for what, measured, wanted in zip(("disk", "memory"), (disk, each), expected, strict=True):
        compared = f"measured {measured:,.0f}, planned {wanted:,.0f} bytes a point"
        yield Figure(f"{name}, {what}", measured / wanted, "times", compared, "0.8 to 1.2")


def _build(count: int, dimension: int, m: int, quantization: str) -> tuple[int, int]:
    """Return the bytes on disk and in memory."""
    rows = unit_rows(np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32))
    ids = [f"00000000-0000-0000-0000-{number:012x}" for number in range(count)]
    vectors = Vectors(ids, rows, Space("drawn", "1", "none", "", "none", dimension))
    with TemporaryDirectory() as folder:
        store = open_store(folder)
        settings = {"quantization": quantization, "hnsw": Hnsw(m=m), "progress": False}
        index = build_index(store, "plan", items_of(vectors), [vectors], **settings)
        disk = int(index.collections()["disk_bytes"].sum())
        log = sum(512 * os.stat(path).st_blocks for path in Path(folder).rglob("wal/*"))
        [collection] = index.schemas
        return disk - log, store.resident_bytes(collection, vectors.take(ids[:20])) or 0
