"""Which index settings: every setting is built on the same vectors and judged by exact search.

The collections hold nothing but vectors; a query is asked alone, after some that are not counted.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.building import build_index
from mmlab.index.index import Index
from mmlab.index.judge import percentiles, recall, time_queries, with_cosines
from mmlab.index.opening import open_store
from mmlab.index.settings import BinaryWarning, Hnsw, Quantization
from mmlab.index.store import Store
from mmlab.items import ITEM_COLUMNS, Vectors

SCAN_KB = 10  # a graph is built over all that is larger: a sweep is about graphs
COLUMNS = (
    "engine",
    "m",
    "ef_construct",
    "quantization",
    "ef",
    "rescored",
    "recall",
    "p50_ms",
    "p95_ms",
    "p99_ms",
)


class NotTunable(RuntimeError):
    """A sweep would compare settings that have no effect."""


def sweep_index(
    vectors: Vectors,
    queries: Vectors,
    k: int,
    m: Sequence[int] = (16, 64),
    ef_construct: Sequence[int] = (128,),
    ef: Sequence[int] = (16, 50, 128),
    quantizations: Sequence[str] = ("none", "scalar", "product", "binary", "turbo"),
    oversampling: float = 2.0,
    store: Store | None = None,
) -> pd.DataFrame:
    """Every graph without quantization, and the densest one with each quantization, alone and rescored.

    Returns engine, m, ef_construct, quantization, ef, rescored, recall, p50_ms, p95_ms, p99_ms, build_s, disk_mb and
    memory_mb, that a fresh process needs to open it and to answer the queries. The first row is exact search.
    Without a store, a folder that is thrown away. Raises NotTunable where the engine ignores the settings or no graph
    was built.
    """
    with TemporaryDirectory(prefix="mmlab-") as folder:
        store = store or open_store(Path(folder) / "store")
        check_tunable(store)
        graphs = [(Hnsw(edges, made, scan_kb=SCAN_KB), None) for edges, made in product(m, ef_construct)]
        densest = Hnsw(max(m), max(ef_construct), scan_kb=SCAN_KB)
        graphs += [(densest, kind) for kind in quantizations if kind != "none"]
        rows: list[dict[str, Any]] = []
        with warnings.catch_warnings(action="ignore", category=BinaryWarning):  # here it is measured
            for hnsw, kind in graphs:
                rows += _judge(store, vectors, queries, k, hnsw, kind, ef, oversampling, exact=not rows)
    return pd.DataFrame(rows)


def check_tunable(store: Store) -> None:
    """Raise NotTunable where the engine scans whatever its settings say."""
    if store.ignores_settings:
        raise NotTunable(
            f"{store} scans all vectors and ignores the settings of graph and quantization: a sweep would compare "
            "one scan with itself. Sweep on a folder (Qdrant Edge) or a Qdrant server"
        )


def _judge(
    store: Store,
    vectors: Vectors,
    queries: Vectors,
    k: int,
    hnsw: Hnsw,
    kind: str | None,
    efs: Sequence[int],
    oversampling: float,
    exact: bool,
) -> list[dict[str, Any]]:
    """Build one graph and search it in each way; its collection is dropped in the end."""
    started = time.perf_counter()
    index = build_index(
        store, "mmlab-sweep", _bare_items(vectors), [vectors], "separate", hnsw, kind, progress=False
    )
    seconds = time.perf_counter() - started
    graph = {"m": hnsw.m, "ef_construct": hnsw.ef_construct, "quantization": kind or "none"}
    with index.session():
        _check_graph(index)
        truth = index.search(queries, "image", k, exact=True)
        disk = index.collections()["disk_bytes"].sum() / 1e6
        rows = []
        for ef, rescored, how in _ways(efs, Quantization.named(kind), oversampling, exact):
            found, milliseconds = time_queries(index, queries, "image", k, **how)
            found = with_cosines(index, queries, found)
            row = {
                "engine": "exact" if how.get("exact") else "Qdrant HNSW",
                **graph,
                "rescored": rescored,
                "ef": ef,
            }
            rows.append(
                {**row, "recall": recall(found, truth), **percentiles(milliseconds), "build_s": seconds}
            )
    resident = store.resident_bytes(next(iter(index.schemas)), queries)
    store.drop(next(iter(index.schemas)))
    sizes = {"memory_mb": np.nan if resident is None else resident / 1e6, "disk_mb": disk}
    return [{**row, **sizes} for row in rows]


def _ways(
    efs: Sequence[int], quantization: Quantization | None, oversampling: float, exact: bool
) -> Iterator[tuple[int | None, bool, dict[str, Any]]]:
    """ef, whether rescored, and the arguments of the search."""
    if exact:
        yield None, False, {"exact": True}
    for ef in efs:
        if quantization is None:
            yield ef, False, {"ef": ef}
        else:
            yield ef, False, {"ef": ef, "rescore": False, "oversampling": 1.0}
            yield ef, True, {"ef": ef, "rescore": True, "oversampling": oversampling}


def _check_graph(index: Index) -> None:
    info = index.collections().iloc[0]
    if not info["hnsw"]:
        raise NotTunable(
            f"no graph was built: {info['points']:,} points with {info['indexed_vectors']:,} in the graph, and up to "
            f"{SCAN_KB} KB of vectors are scanned. Sweep on more vectors"
        )


def _bare_items(vectors: Vectors) -> pd.DataFrame:
    """Items with nothing but an id, so that the payload costs nothing."""
    columns = {name: None for name in ITEM_COLUMNS if name in ("modality", "pair_id")}
    return pd.DataFrame({"item_id": vectors.ids, **columns, "modality": "image"})
