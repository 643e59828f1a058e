"""What a layout costs, and where the vectors lie: the same items built again in a folder that is thrown away."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.building import build_index
from mmlab.index.index import Index
from mmlab.index.judge import percentiles, recall, time_queries
from mmlab.index.opening import open_store
from mmlab.index.schema import LAYOUTS
from mmlab.items import Vectors

OPENINGS = 5  # times that an index is opened, to tell cold from warm


def compare_layouts(
    items: pd.DataFrame, spaces: Sequence[Vectors], queries: Vectors, to: str, k: int, **settings: Any
) -> pd.DataFrame:
    """All layouts of the same vectors, on this machine: layout, collections, points, build_s, disk_mb, recall, p50_ms.

    `settings` are those of `build_index`; recall is against exact search, latency that of one query at a time.
    """
    rows = []
    for layout in LAYOUTS:
        with TemporaryDirectory(prefix="mmlab-") as folder:
            started = time.perf_counter()
            index = _build(folder, items, spaces, layout=layout, **settings)
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
    items: pd.DataFrame, spaces: Sequence[Vectors], queries: Vectors, to: str, k: int, **settings: Any
) -> pd.DataFrame:
    """Vectors in memory and on disk, just opened and warm: vectors, state, samples, p50_ms, p95_ms.

    "just opened" is opening the index and its first query; "warm" a query after others. The system keeps files that
    it has read in memory, so a machine that has just been started takes longer than "just opened".
    """
    rows = []
    for place, on_disk in (("in memory", False), ("on disk", True)):
        with TemporaryDirectory(prefix="mmlab-") as folder:
            index = _build(folder, items, spaces, on_disk=on_disk, **settings)
            _, warm = time_queries(index, queries, to, k)
            for state, milliseconds in (
                ("just opened", _open_and_ask(index, queries, to, k)),
                ("warm", warm),
            ):
                told = percentiles(milliseconds)
                rows.append(
                    {
                        "vectors": place,
                        "state": state,
                        "samples": len(milliseconds),
                        "p50_ms": told["p50_ms"],
                        "p95_ms": told["p95_ms"],
                    }
                )
    return pd.DataFrame(rows)


def _build(folder: str, items: pd.DataFrame, spaces: Sequence[Vectors], **settings: Any) -> Index:
    return build_index(open_store(Path(folder)), "costs", items, spaces, progress=False, **settings)


def _open_and_ask(index: Index, queries: Vectors, to: str, k: int) -> np.ndarray:
    milliseconds = []
    for item in queries.ids[:OPENINGS]:
        query = queries.take([item])
        started = time.perf_counter()
        index.search(query, to, k)
        milliseconds.append(1000 * (time.perf_counter() - started))
    return np.array(milliseconds)
