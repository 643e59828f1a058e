"""Which index settings: every setting is built on the same vectors and judged by exact search.

The collections hold nothing but vectors; a query is asked alone, after some that are not counted.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pandas as pd

from mmlab.index.bench.search_benchmark import judge_search
from mmlab.index.build import build_index
from mmlab.index.index import Index
from mmlab.index.opening import open_store
from mmlab.index.schema.index_settings import BinaryWarning, Hnsw
from mmlab.index.store.store import Store
from mmlab.items import ITEM_COLUMNS, Vectors

SCAN_KB = 10  # a graph is built over all that is larger: a sweep is about graphs


class NotTunable(RuntimeError):
    """A sweep would compare settings that have no effect."""


@dataclass(frozen=True)
class Graph:
    """What is built once and searched in many ways."""

    m: int
    ef_construct: int
    quantization: str
    on_disk: bool


@dataclass(frozen=True)
class Way:
    """How a graph is searched; oversampling is None where the copies' scores are taken as they are."""

    engine: str = "Qdrant HNSW"
    ef: int | None = None
    rescored: bool = False
    oversampling: float | None = None

    def settings(self) -> dict[str, Any]:
        """The arguments of `Index.search`."""
        if self.ef is None:
            return {"exact": True}
        return {"ef": self.ef, "rescore": self.rescored, "oversampling": self.oversampling or 1.0}


def sweep_index(
    vectors: Vectors,
    queries: Vectors,
    k: int,
    m: Sequence[int] = (16, 64),
    ef_construct: Sequence[int] = (128,),
    ef: Sequence[int] = (16, 50, 128),
    quantizations: Sequence[str] = ("none", "scalar", "product", "binary", "turbo"),
    oversampling: Sequence[float] = (2.0,),
    on_disk: Sequence[bool] = (False,),
    store: Store | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Every graph without quantization, and the densest one with each quantization in each placement.

    Quantized copies are searched alone, and rescored from `oversampling` times k candidates. `on_disk` says where the
    vectors themselves lie; copies stay in memory. Returns engine, m, ef_construct, quantization, on_disk, ef, rescored,
    oversampling, recall, p50_ms, p95_ms, p99_ms, upsert_s, build_s (the graph alone, on all threads that the engine
    takes), disk_mb and memory_mb, that a fresh process needs to open it and to answer the queries; the sizes are
    NaN on a server, which does not tell. The first row is exact search.
    Without a store, a folder that is thrown away; on a given one nothing stays. Raises NotTunable where the engine
    ignores the settings or no graph was built.
    """
    from tqdm.auto import tqdm

    graphs = _graphs(m, ef_construct, quantizations, on_disk)
    tables = []
    measured = warnings.catch_warnings(action="ignore", category=BinaryWarning)  # so no warning is needed
    with TemporaryDirectory(prefix="mmlab-") as folder, measured:
        store = store or open_store(Path(folder) / "store")
        check_tunable(store)
        for graph in tqdm(graphs, desc="sweep", unit="graph", disable=not progress):
            ways = _ways(graph.quantization != "none", ef, oversampling)
            ways = ways if tables else [Way("exact"), *ways]
            with _built(store, graph, vectors) as index:
                tables.append(_measure(index, graph, queries, k, ways))
    return pd.concat(tables, ignore_index=True)


def check_tunable(store: Store) -> None:
    """Raise NotTunable where the engine scans whatever its settings say."""
    if store.ignores_settings:
        raise NotTunable(
            f"{store} scans all vectors and ignores the settings of graph and quantization: a sweep would compare "
            "one scan with itself. Sweep on a folder (Qdrant Edge) or a Qdrant server"
        )


def _graphs(
    m: Sequence[int], ef_construct: Sequence[int], quantizations: Sequence[str], on_disk: Sequence[bool]
) -> list[Graph]:
    graphs = [Graph(*links, "none", on_disk[0]) for links in product(m, ef_construct)]
    kinds = dict.fromkeys(("none", *quantizations))
    graphs += [Graph(max(m), max(ef_construct), kind, place) for place in on_disk for kind in kinds]
    return list(dict.fromkeys(graphs))


def _ways(quantized: bool, efs: Sequence[int], oversampling: Sequence[float]) -> list[Way]:
    rescored = [{"rescored": True, "oversampling": times} for times in oversampling] if quantized else []
    return list(dict.fromkeys(Way(ef=ef, **how) for ef in efs for how in ({}, *rescored)))


@contextmanager
def _built(store: Store, graph: Graph, vectors: Vectors) -> Iterator[Index]:
    """The graph in a collection of a name that nobody else has, dropped in the end, whatever happens."""
    name = f"mmlab-sweep-{uuid4().hex[:12]}"
    hnsw = Hnsw(graph.m, graph.ef_construct, scan_kb=SCAN_KB)
    common = {"on_disk": graph.on_disk, "progress": False}
    try:
        items = _bare_items(vectors)
        yield build_index(store, name, items, [vectors], "separate", hnsw, graph.quantization, **common)
    finally:
        for collection in store.collections():
            if collection.startswith(name):
                store.drop(collection)


def _measure(index: Index, graph: Graph, queries: Vectors, k: int, ways: Sequence[Way]) -> pd.DataFrame:
    """A row for each way, with what the graph took."""
    _check_graph(index)
    judged = judge_search(index, queries, "image", k, {repr(way): way.settings() for way in ways})
    rows = pd.DataFrame([asdict(graph) | asdict(way) for way in ways]).astype({"oversampling": float})
    table = pd.concat([rows, judged.drop(columns="search")], axis=1)
    resident = index.store.resident_bytes(next(iter(index.schemas)), queries)
    table = table.assign(upsert_s=index.report["upsert_s"].sum(), build_s=index.report["build_s"].sum())
    sizes = {"disk_mb": index.collections()["disk_bytes"].iloc[0], "memory_mb": resident}
    return table.assign(
        **{name: float("nan") if size is None else size / 1e6 for name, size in sizes.items()}
    )


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
