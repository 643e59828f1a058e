"""Which settings of an index: every setting is built of the same items and measured against exact search.

Each is built as the index of a run is, in its layout and with its payload, whose indexes change the graph, and asked in
both directions, one query at a time, after a warm-up. Beside them stand bare indexes of FAISS in memory, flat and HNSW,
where it is installed: the optional extra, pip install "mmlab[tune]".
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
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

from mmlab.index.bench.search_benchmark import (
    TIE,
    WARM_UP_QUERIES,
    Measured,
    measure_searches,
    percentiles,
)
from mmlab.index.build import build_index, open_store
from mmlab.index.index import Index
from mmlab.index.store.engine import SearchOptions
from mmlab.index.store.schema import BinaryWarning, Hnsw
from mmlab.index.store.store import Store
from mmlab.items import Vectors
from mmlab.items.tables import TooFew

SCAN_KB = 10  # a graph is built over everything larger, where a run would scan: a sweep is about graphs


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
    items: pd.DataFrame,
    vectors: Vectors,
    asked: Mapping[str, Vectors],
    k: int,
    layout: str = "unified",
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

    items, vectors, layout: what `build_index` takes. asked: the queries, by the modality that they search. Quantized
    copies are searched alone, and rescored from `oversampling` times k candidates. `on_disk` says where the vectors
    themselves lie; copies stay in memory. The collections are made in a temporary folder, or in the given store, which
    is left as it was.

    Returns a row per setting, exact search first: engine, m, ef_construct, quantization, on_disk, ef, rescored,
    oversampling, recall (that of the modality which is found worse), recall_image and recall_text where they are asked
    for, p50_ms, p95_ms, p99_ms, upsert_s, build_s (the graph alone, on all threads that the engine takes), disk_mb, and
    memory_mb, which a fresh process needs to open the collections and answer the queries. The sizes are NaN on a
    server, which does not tell.

    Raises NotTunable if the engine ignores the settings, TooFew if no graph was built.

    Example: `sweep_index(items, vectors, {"image": texts}, k=10, m=(16, 32), quantizations=("none", "scalar"))`; it
    takes minutes.
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
            settings = _settings(graph, vectors)
            with temporary_index(store, items, [vectors], layout, **settings) as index:
                tables.append(_measure(index, graph, asked, k, searches))
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


def _settings(graph: Graph, vectors: Vectors) -> dict[str, Any]:
    """Return the settings of `build_index`; a graph is built also where a run would scan so few vectors."""
    scan_kb = Hnsw().scan_kb if vectors.array.nbytes > 1024 * Hnsw().scan_kb else SCAN_KB
    hnsw = Hnsw(graph.m, graph.ef_construct, scan_kb=scan_kb)
    return {"hnsw": hnsw, "quantization": graph.quantization, "on_disk": graph.on_disk}


@contextmanager
def temporary_index(
    store: Store, items: pd.DataFrame, vectors: Sequence[Vectors], layout: str, **settings: Any
) -> Iterator[Index]:
    """Build an index of a name that nobody else has, see `build_index`, and drop it in the end, whatever happens."""
    name = f"mmlab-sweep-{uuid4().hex[:12]}"
    try:
        yield build_index(store, name, items, vectors, layout, progress=False, **settings)
    finally:
        for collection in store.collections():
            if collection.startswith(name):
                store.drop(collection)


def _measure(
    index: Index, graph: Graph, asked: Mapping[str, Vectors], k: int, searches: Sequence[GraphSearch]
) -> pd.DataFrame:
    """Return a row for each search, with what the graph took."""
    _check_graph(index)
    settings = {repr(search): search.options() for search in searches}
    measured = [measure_searches(index, queries, to, k, settings) for to, queries in asked.items()]
    found = [
        summarize_directions(dict(zip(asked, (one[name] for one in measured), strict=True)))
        for name in settings
    ]
    rows = pd.DataFrame([asdict(graph) | asdict(search) for search in searches])
    held = [index.collection(queries.space, to) for to, queries in asked.items()]
    memory = [
        index.store.resident_bytes(name, queries, to=to)
        for name, (to, queries) in zip(held, asked.items(), strict=True)
        if held.index(name) == list(asked).index(to)
    ]
    sizes = {"disk_mb": index.collections()["disk_bytes"].tolist(), "memory_mb": memory}
    table = pd.concat([rows.astype({"oversampling": float}), pd.DataFrame(found)], axis=1)
    return table.assign(
        upsert_s=index.report["upsert_s"].sum(),
        build_s=index.report["build_s"].sum(),
        **{name: _megabytes(parts) for name, parts in sizes.items()},
    )


def summarize_directions(measured: Mapping[str, Measured]) -> dict[str, float]:
    """Return recall, of the modality that is found worse, the recall of each, and the percentiles of all latencies."""
    recalls = {f"recall_{to}": float(one.recalls.mean()) for to, one in measured.items()}
    milliseconds = np.concatenate([one.milliseconds for one in measured.values()])
    return {"recall": min(recalls.values()), **recalls, **percentiles(milliseconds)}


def _megabytes(sizes: Sequence[int | None]) -> float:
    known = [size for size in sizes if size is not None]
    return sum(known) / 1e6 if len(known) == len(sizes) else float("nan")


def _check_graph(index: Index) -> None:
    held = index.collections()
    if not held["hnsw"].any():
        raise TooFew(
            f"no graph was built: {held['points'].sum():,} points with {held['indexed_vectors'].sum():,} in the graph, "
            f"and up to {SCAN_KB} KB of vectors are scanned. Sweep on more vectors"
        )


def has_faiss() -> bool:
    """Return whether FAISS is installed."""
    return find_spec("faiss") is not None


def sweep_faiss(
    searched: Mapping[str, tuple[Vectors, Vectors]],
    k: int,
    m: Sequence[int],
    ef_construct: int,
    ef: Sequence[int],
) -> pd.DataFrame:
    """Measure FAISS flat (a scan), then HNSW with each m and ef; no rows without FAISS.

    searched: the vectors that are searched and those that ask, by modality: each modality is an index of its own, for
    FAISS has no filter. Returns the columns of `sweep_index`. An item counts as found if its cosine is as high as that
    of the k-th exact one. Graphs are built on all threads, queries searched one at a time on one. memory_mb and disk_mb
    are both the bytes of the serialized indexes; nothing is sent to them first, so upsert_s is 0.
    """
    if not has_faiss():
        return pd.DataFrame()
    import faiss

    rows: list[dict[str, Any]] = []
    for edges in (None, *m):
        started = time.perf_counter()
        indexes = [_faiss_index(faiss, own.array, edges, ef_construct) for own, _ in searched.values()]
        costs = {"upsert_s": 0.0, "build_s": time.perf_counter() - started}
        size = sum(faiss.serialize_index(index).nbytes for index in indexes) / 1e6
        costs |= dict.fromkeys(("disk_mb", "memory_mb"), size)
        graph = {"engine": "FAISS HNSW" if edges else "FAISS flat", "m": edges}
        graph |= {"ef_construct": ef_construct if edges else None, "quantization": "none", "on_disk": False}
        for candidates in ef if edges else (None,):
            search = {"ef": candidates, "rescored": False, "oversampling": np.nan}
            with _one_thread(faiss):
                measured = {
                    to: _measure_faiss(index, *searched[to], k, candidates)
                    for to, index in zip(searched, indexes, strict=True)
                }
            rows.append({**graph, **search, **summarize_directions(measured), **costs})
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


def _measure_faiss(index: Any, vectors: Vectors, queries: Vectors, k: int, ef: int | None) -> Measured:
    """Return recall and milliseconds of each query; an item is found that scores as high as the k-th exact one."""
    if ef:
        index.hnsw.efSearch = ef
    rows = queries.array
    least = np.sort(rows @ vectors.array.T, axis=1)[:, -k]
    shares, milliseconds = [], []
    for row in rows[:WARM_UP_QUERIES]:
        index.search(row[None], k)
    for row, score in zip(rows, least, strict=True):
        started = time.perf_counter()
        scores, _ = index.search(row[None], k)
        milliseconds.append(1000 * (time.perf_counter() - started))
        shares.append((scores[0] >= score - TIE).mean())
    return Measured(np.array(shares), np.array(milliseconds))
