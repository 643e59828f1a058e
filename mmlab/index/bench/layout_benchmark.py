"""What a layout costs, and vectors on disk against memory: the same items, built again in temporary folders.

Their payload is what an answer shows: a field to filter by has files of its own, and making and opening those would
take longer than all else.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from mmlab.index.bench.search_benchmark import SAMPLES, percentiles, recall, time_parts, time_queries
from mmlab.index.build import build_index, open_store
from mmlab.index.index import Index
from mmlab.index.schema.index_settings import Hnsw, Quantization
from mmlab.index.store.layouts import LAYOUTS
from mmlab.items import Vectors

COLUMNS = ["item_id", "modality", "pair_id", "text", "image"]


def compare_layouts(
    items: pd.DataFrame,
    vectors: Sequence[Vectors],
    queries: Vectors,
    target: str,
    k: int,
    hnsw: Hnsw | None = None,
    quantization: Quantization | str | None = "scalar",
) -> pd.DataFrame:
    """Build the same vectors in every layout on this machine, and measure each.

    The arguments are those of `build_index` and `Index.search`; `target` is the modality to search for. Returns
    layout, collections, points, build_s (collections, points and graphs), disk_mb, recall (against exact search, in
    [0, 1]) and p50_ms (of one query at a time). Takes seconds.

    Example: `compare_layouts(items, [vectors], queries, "image", k=10)`.
    """
    rows = []
    for layout in LAYOUTS:
        with _built(items, vectors, layout, hnsw, quantization) as (index, build_s), index.session():
            collections = index.collections()
            found, milliseconds = time_queries(index, queries, target, k)
            exact = index.search(queries, target, k, exact=True)
        rows.append(
            {
                "layout": layout,
                "collections": len(collections),
                "points": collections["points"].sum(),
                "build_s": build_s,
                "disk_mb": collections["disk_bytes"].sum() / 1e6,
                "recall": recall(found, exact),
                "p50_ms": percentiles(milliseconds)["p50_ms"],
            }
        )
    return pd.DataFrame(rows)


def compare_placements(
    items: pd.DataFrame,
    vectors: Sequence[Vectors],
    queries: Vectors,
    target: str,
    k: int,
    hnsw: Hnsw | None = None,
    quantization: Quantization | str | None = "scalar",
    samples: int = SAMPLES,
) -> pd.DataFrame:
    """Time one query with the vectors in memory and on disk, just opened and warm, on this machine.

    The arguments are those of `compare_layouts`; samples: openings of the store that are timed. Returns the rows of
    `time_parts` for memory, then for disk. Takes seconds.

    Example: `compare_placements(items, [vectors], queries, "image", k=10)`.
    """
    tables = []
    for on_disk in (False, True):
        with _built(items, vectors, "unified", hnsw, quantization, on_disk) as (index, _):
            tables.append(time_parts(index, queries, target, k, samples))
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _built(
    items: pd.DataFrame,
    vectors: Sequence[Vectors],
    layout: str,
    hnsw: Hnsw | None,
    quantization: Quantization | str | None,
    on_disk: bool = False,
) -> Iterator[tuple[Index, float]]:
    """Build an index in a temporary folder, and say how many seconds that took."""
    with TemporaryDirectory(prefix="mmlab-") as folder:
        store, started = open_store(Path(folder)), time.perf_counter()
        index = build_index(
            store, "benchmark", items[COLUMNS], vectors, layout, hnsw, quantization,
            on_disk=on_disk, progress=False,
        )  # fmt: skip
        yield index, time.perf_counter() - started
