"""What an index really takes beside what `mmlab plan` says: disk without the write-ahead log, and memory.

Points of tests/bench/store.py: no captions, six fields with an index, 128 or 512 numbers. The memory of a point is the
difference between two sizes, each in a fresh process that has opened the collection and searched it, which reads the
payload too; both are so large that the write-ahead log has its full size.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmlab.index import Hnsw, build_index, open_store
from mmlab.index.cluster_plan import ClusterPlan
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.figures import Figure
from tests.bench.store import items_of

POINTS = 20_000
CASES = ((128, 16, "none"), (128, 64, "none"), (128, 16, "scalar"), (128, 16, "binary"), (512, 16, "scalar"))
SIZES = (25_000, 75_000)
LARGE = (512, 16, "scalar")


def plan() -> list[Figure]:
    """The ratio of what was measured to what was planned: disk in each case, memory in one."""
    return [*(_disk(*case) for case in CASES), _memory(*LARGE)]


def _disk(dimension: int, m: int, quantization: str) -> Figure:
    disk, _ = _build(POINTS, dimension, m, quantization)
    planned = ClusterPlan(POINTS, dimension, quantization=quantization, hnsw_m=m)
    name = f"plan, {POINTS:,} x {dimension}, m = {m}, {quantization}, disk"
    return _figure(name, disk / POINTS, 1e9 * planned.disk_gb / POINTS)


def _memory(dimension: int, m: int, quantization: str) -> Figure:
    few, many = (_build(size, dimension, m, quantization)[1] for size in SIZES)
    planned = ClusterPlan(SIZES[1], dimension, quantization=quantization, hnsw_m=m)
    each = 1e9 * planned.memory_gb / SIZES[1] + planned.parts()["payload"].disk
    name = f"plan, {SIZES[0]:,} to {SIZES[1]:,} x {dimension}, m = {m}, {quantization}, memory"
    return _figure(name, (many - few) / (SIZES[1] - SIZES[0]), each)


def _figure(name: str, measured: float, planned: float) -> Figure:
    compared = f"measured {measured:,.0f}, planned {planned:,.0f} bytes a point"
    return Figure(name, measured / planned, "times", compared, "0.8 to 1.2")


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
