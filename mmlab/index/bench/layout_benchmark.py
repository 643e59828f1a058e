"""What a layout costs, and where the vectors lie: the same items built again in a folder that is thrown away.

Their payload is what an answer shows: a field to filter by has files of its own, whose making and opening would
take longer than all else.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from mmlab.index.bench.latency import SAMPLES, time_parts
from mmlab.index.bench.search_benchmark import percentiles, recall, time_queries
from mmlab.index.build import build_index
from mmlab.index.opening import open_store
from mmlab.index.schema.schema import LAYOUTS
from mmlab.index.store.store import Store
from mmlab.items import Vectors

SHOWN = ["item_id", "modality", "pair_id", "text", "image"]


def compare_layouts(
    items: pd.DataFrame, spaces: Sequence[Vectors], queries: Vectors, to: str, k: int, **settings: Any
) -> pd.DataFrame:
    """All layouts of the same vectors, on this machine: layout, collections, points, build_s, disk_mb, recall, p50_ms.

    `settings` are those of `build_index`; build_s is for collections, points and graphs; recall is against exact
    search, latency that of one query at a time.
    """
    rows = []
    for layout in LAYOUTS:
        with _thrown_away() as store:
            started = time.perf_counter()
            index = build_index(store, "costs", items[SHOWN], spaces, layout, progress=False, **settings)
            seconds = time.perf_counter() - started
            with index.session():
                held = index.collections()
                found, milliseconds = time_queries(index, queries, to, k)
                exact = index.search(queries, to, k, exact=True)
        rows.append(
            {
                "layout": layout,
                "collections": len(held),
                "points": held["points"].sum(),
                "build_s": seconds,
                "disk_mb": held["disk_bytes"].sum() / 1e6,
                "recall": recall(found, exact),
                "p50_ms": percentiles(milliseconds)["p50_ms"],
            }
        )
    return pd.DataFrame(rows)


def compare_placements(
    items: pd.DataFrame,
    spaces: Sequence[Vectors],
    queries: Vectors,
    to: str,
    k: int,
    samples: int = SAMPLES,
    **settings: Any,
) -> pd.DataFrame:
    """Vectors in memory and on disk, just opened and warm, on this machine: the rows of `time_parts` for each."""
    tables = []
    for on_disk in (False, True):
        with _thrown_away() as store:
            index = build_index(
                store, "costs", items[SHOWN], spaces, progress=False, on_disk=on_disk, **settings
            )
            tables.append(time_parts(index, queries, to, k, samples))
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _thrown_away() -> Iterator[Store]:
    with TemporaryDirectory(prefix="mmlab-") as folder:
        yield open_store(Path(folder))
