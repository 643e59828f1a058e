"""Which settings of an index: every setting is built on the same vectors and measured against exact search.

The collections hold nothing but vectors; each query is searched alone, after a warm-up. Beside them stand bare
indexes of FAISS in memory, flat and HNSW, where it is installed: the optional extra, pip install "mmlab[tune]".
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from mmlab.index.bench.search_benchmark import TIE, WARM_UP_QUERIES, benchmark_search, percentiles
from mmlab.index.build import build_index, open_store
from mmlab.index.index import Index
from mmlab.index.schema.index_settings import BinaryWarning, Hnsw
from mmlab.index.store.engine import SearchOptions
from mmlab.index.store.store import Store
from mmlab.items import Vectors
from mmlab.items.tables import TooFew

SCAN_KB = 10  # a graph is built over everything larger: a sweep is about graphs


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
class GraphSearch:
    """How a graph is searched: exactly without `ef`; `oversampling` is None if the copies' scores are kept."""

    engine: str = "Qdrant HNSW"
    ef: int | None = None
    rescored: bool = False
    oversampling: float | None = None

    def options(self) -> SearchOptions:
        """Return the arguments of `Index.search`."""
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
    """Measure every graph without quantization, and the densest one with each quantization in each placement.

    Quantized copies are searched alone, and rescored from `oversampling` times k candidates. `on_disk` says where the
    vectors themselves lie; copies stay in memory. The collections are made in a temporary folder, or in the given
    store, which is left as it was.

    Returns a row per setting, exact search first: engine, m, ef_construct, quantization, on_disk, ef, rescored,
    oversampling, recall, p50_ms, p95_ms, p99_ms, upsert_s, build_s (the graph alone, on all threads that the engine
    takes), disk_mb, and memory_mb, which a fresh process needs to open the collection and answer the queries. The
    sizes are NaN on a server, which does not tell.

    Raises NotTunable if the engine ignores the settings, TooFew if no graph was built.

    Example: `sweep_index(vectors, queries, k=10, m=(16, 32), quantizations=("none", "scalar"))`; it takes minutes.
    """
    from tqdm.auto import tqdm

    graphs = _graphs(m, ef_construct, quantizations, on_disk)
    tables: list[pd.DataFrame] = []
    measured = warnings.catch_warnings(action="ignore", category=BinaryWarning)  # the recall is measured
    with TemporaryDirectory(prefix="mmlab-") as folder, measured:
        store = store or open_store(Path(folder) / "store")
        check_tunable(store)
        for graph in tqdm(graphs, desc="sweep", unit="graph", disable=not progress):
            searches = _searches(graph.quantization != "none", ef, oversampling)
            searches = searches if tables else [GraphSearch("exact"), *searches]
            with _built(store, graph, vectors) as index:
                tables.append(_measure(index, graph, queries, k, searches))
    return pd.concat(tables, ignore_index=True)


def check_tunable(store: Store) -> None:
    """Raise NotTunable if the engine scans, whatever its settings say."""
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


def _searches(quantized: bool, efs: Sequence[int], oversampling: Sequence[float]) -> list[GraphSearch]:
    """Return the searches of one graph: with each ef the copies alone, then rescored."""
    searches: list[GraphSearch] = []
    for ef in efs:
        searches.append(GraphSearch(ef=ef))
        searches += [GraphSearch(ef=ef, rescored=True, oversampling=one) for one in oversampling if quantized]
    return list(dict.fromkeys(searches))


@contextmanager
def _built(store: Store, graph: Graph, vectors: Vectors) -> Iterator[Index]:
    """Build the graph in a collection of a name that nobody else has, and drop it in the end, whatever happens."""
    name = f"mmlab-sweep-{uuid4().hex[:12]}"
    items = pd.DataFrame({"item_id": vectors.ids, "modality": "image", "pair_id": None})  # no further payload
    try:
        yield build_index(
            store,
            name,
            items,
            [vectors],
            "separate",
            Hnsw(graph.m, graph.ef_construct, scan_kb=SCAN_KB),
            graph.quantization,
            on_disk=graph.on_disk,
            progress=False,
        )
    finally:
        for collection in store.collections():
            if collection.startswith(name):
                store.drop(collection)


def _measure(
    index: Index, graph: Graph, queries: Vectors, k: int, searches: Sequence[GraphSearch]
) -> pd.DataFrame:
    """Return a row for each search, with what the graph took."""
    _check_graph(index)
    settings = {repr(search): search.options() for search in searches}
    measured = benchmark_search(index, queries, "image", k, settings).drop(columns="search")
    rows = pd.DataFrame([asdict(graph) | asdict(search) for search in searches])
    sizes = {
        "disk_mb": index.collections()["disk_bytes"].iloc[0],
        "memory_mb": index.store.resident_bytes(next(iter(index.schemas)), queries),
    }
    table = pd.concat([rows.astype({"oversampling": float}), measured], axis=1)
    return table.assign(
        upsert_s=index.report["upsert_s"].sum(),
        build_s=index.report["build_s"].sum(),
        **{name: float("nan") if size is None else size / 1e6 for name, size in sizes.items()},
    )


def _check_graph(index: Index) -> None:
    info = index.collections().iloc[0]
    if not info["hnsw"]:
        raise TooFew(
            f"no graph was built: {info['points']:,} points with {info['indexed_vectors']:,} in the graph, and up to "
            f"{SCAN_KB} KB of vectors are scanned. Sweep on more vectors"
        )


def has_faiss() -> bool:
    """Return whether FAISS is installed."""
    return find_spec("faiss") is not None


def sweep_faiss(
    vectors: Vectors, queries: Vectors, k: int, m: Sequence[int], ef_construct: int, ef: Sequence[int]
) -> pd.DataFrame:
    """Measure FAISS flat (a scan), then HNSW with each m and ef; no rows without FAISS.

    Returns the columns of `sweep_index`. An item counts as found if its cosine is as high as that of the k-th exact
    one. Graphs are built on all threads, queries searched one at a time on one. memory_mb and disk_mb are both the
    bytes of the serialized index; nothing is sent to it first, so upsert_s is 0.
    """
    if not has_faiss():
        return pd.DataFrame()
    import faiss

    least = np.sort(queries.array @ vectors.array.T, axis=1)[:, -k]
    rows: list[dict[str, Any]] = []
    for edges in (None, *m):
        started = time.perf_counter()
        index = _faiss_index(faiss, vectors.array, edges, ef_construct)
        costs = {"upsert_s": 0.0, "build_s": time.perf_counter() - started}
        costs |= dict.fromkeys(("disk_mb", "memory_mb"), faiss.serialize_index(index).nbytes / 1e6)
        graph = {"engine": "FAISS HNSW" if edges else "FAISS flat", "m": edges}
        graph |= {"ef_construct": ef_construct if edges else None, "quantization": "none", "on_disk": False}
        for candidates in ef if edges else (None,):
            if candidates:
                index.hnsw.efSearch = candidates
            search = {"ef": candidates, "rescored": False, "oversampling": np.nan}
            with _one_thread(faiss):
                measured = _measure_faiss(index, queries.array, k, least)
            rows.append({**graph, **search, **measured, **costs})
    return pd.DataFrame(rows)


def _faiss_index(faiss: Any, rows: np.ndarray, m: int | None, ef_construct: int) -> Any:
    if m is None:
        index: Any = faiss.IndexFlatIP(rows.shape[1])
    else:
        index = faiss.IndexHNSWFlat(rows.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = ef_construct
    index.add(rows)
    return index


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Run FAISS on one thread, and in the end on as many as before."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _measure_faiss(index: Any, rows: np.ndarray, k: int, least: np.ndarray) -> dict[str, float]:
    """Return recall, as an item counts that scores at least `least` (Q,), and the percentiles of the latency."""
    shares, milliseconds = [], []
    for row in rows[:WARM_UP_QUERIES]:
        index.search(row[None], k)
    for row, score in zip(rows, least, strict=True):
        started = time.perf_counter()
        scores, _ = index.search(row[None], k)
        milliseconds.append(1000 * (time.perf_counter() - started))
        shares.append((scores[0] >= score - TIE).mean())
    return {"recall": float(np.mean(shares)), **percentiles(np.array(milliseconds))}
