"""FAISS flat and HNSW on the same vectors, to hold an engine against: bare indexes in memory, without payload.

Needs the optional extra: pip install "mmlab[tune]".
"""

import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.judge import WARM_UP, percentiles
from mmlab.items import Vectors


def has_faiss() -> bool:
    """Whether FAISS is installed."""
    return find_spec("faiss") is not None


def sweep_faiss(
    vectors: Vectors, queries: Vectors, k: int, m: Sequence[int], ef_construct: int, ef: Sequence[int]
) -> pd.DataFrame:
    """FAISS flat (a scan), then HNSW with each m and ef: the columns of `sweep_index`, no rows without FAISS.

    An item counts as found if its cosine is as high as that of the k-th exact one. One thread, one query at a time.
    """
    if not has_faiss():
        return pd.DataFrame()
    import faiss

    threads = faiss.omp_get_max_threads()
    truth = np.sort(queries.array @ vectors.array.T, axis=1)[:, -k]
    rows = []
    for edges in (None, *m):
        started = time.perf_counter()
        index = _make(vectors.array, edges, ef_construct)
        seconds = time.perf_counter() - started
        faiss.omp_set_num_threads(1)
        for candidates in (None,) if edges is None else ef:
            if candidates:
                index.hnsw.efSearch = candidates
            engine = "FAISS HNSW" if edges else "FAISS flat"
            settings = {"engine": engine, "m": edges, "ef_construct": ef_construct if edges else None}
            settings |= {"quantization": "none", "ef": candidates, "rescored": False}
            rows.append({**settings, **_measure(index, queries.array, k, truth), "build_s": seconds})
        faiss.omp_set_num_threads(threads)
    return pd.DataFrame(rows)


def _make(rows: np.ndarray, m: int | None, ef_construct: int) -> Any:
    import faiss

    if m is None:
        index = faiss.IndexFlatIP(rows.shape[1])
    else:
        index = faiss.IndexHNSWFlat(rows.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = ef_construct
    index.add(rows)
    return index


def _measure(index: Any, rows: np.ndarray, k: int, truth: np.ndarray) -> dict[str, float]:
    for row in rows[:WARM_UP]:
        index.search(row[None], k)
    shares, milliseconds = [], []
    for row, least in zip(rows, truth, strict=True):
        started = time.perf_counter()
        scores, _ = index.search(row[None], k)
        milliseconds.append(1000 * (time.perf_counter() - started))
        shares.append((scores[0] >= least - 1e-5).mean())
    return {"recall": float(np.mean(shares)), **percentiles(np.array(milliseconds))}
