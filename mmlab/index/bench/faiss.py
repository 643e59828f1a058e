"""FAISS flat and HNSW on the same vectors, to compare an engine with: bare indexes in memory, without payload.

Needs the optional extra: pip install "mmlab[tune]".
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.bench.search_benchmark import TIE, WARM_UP_QUERIES, percentiles
from mmlab.items import Vectors


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
        index = _build(vectors.array, edges, ef_construct)
        costs = {"upsert_s": 0.0, "build_s": time.perf_counter() - started}
        costs |= dict.fromkeys(("disk_mb", "memory_mb"), faiss.serialize_index(index).nbytes / 1e6)
        graph = {"engine": "FAISS HNSW" if edges else "FAISS flat", "m": edges}
        graph |= {"ef_construct": ef_construct if edges else None, "quantization": "none", "on_disk": False}
        for candidates in ef if edges else (None,):
            if candidates:
                index.hnsw.efSearch = candidates
            search = {"ef": candidates, "rescored": False, "oversampling": np.nan}
            rows.append({**graph, **search, **_measure(index, queries.array, k, least), **costs})
    return pd.DataFrame(rows)


def _build(rows: np.ndarray, m: int | None, ef_construct: int) -> Any:
    import faiss

    if m is None:
        index: Any = faiss.IndexFlatIP(rows.shape[1])
    else:
        index = faiss.IndexHNSWFlat(rows.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = ef_construct
    index.add(rows)
    return index


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run FAISS on one thread, and in the end on as many as before."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _measure(index: Any, rows: np.ndarray, k: int, least: np.ndarray) -> dict[str, float]:
    """Return recall, as an item counts that scores at least `least` (Q,), and the percentiles of the latency."""
    shares, milliseconds = [], []
    with _one_thread():
        for row in rows[:WARM_UP_QUERIES]:
            index.search(row[None], k)
        for row, score in zip(rows, least, strict=True):
            started = time.perf_counter()
            scores, _ = index.search(row[None], k)
            milliseconds.append(1000 * (time.perf_counter() - started))
            shares.append((scores[0] >= score - TIE).mean())
    return {"recall": float(np.mean(shares)), **percentiles(np.array(milliseconds))}
