"""Judges an index by exact search on the same vectors, and times its queries one by one."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.index import Index
from mmlab.items import Vectors, places_among

TIE = 1e-5  # cosines in float32 that differ by less are equal
WARM_UP = 20  # queries that are not counted: the first ones read files and fill caches


def search_settings(index: Index, k: int, ef: int) -> dict[str, dict[str, Any]]:
    """Ways to search this index, by name: exact, then its own, then others.

    Others are quantized copies rescored and alone, and the graph by the vectors themselves with fewer and more
    candidates.
    """
    settings: dict[str, dict[str, Any]] = {"exact": {"exact": True}}
    quantization = next(iter(index.schemas.values())).quantization
    if quantization:
        rescored = f"{quantization.kind} ef={ef}, rescored", {"ef": ef, "rescore": True}
        alone = f"{quantization.kind} ef={ef}, alone", {"ef": ef, "rescore": False, "oversampling": 1.0}
        settings |= dict((rescored, alone) if quantization.rescore else (alone, rescored))
    for candidates in dict.fromkeys((ef, k, 4 * ef)):
        settings[f"HNSW ef={candidates}"] = {"ef": candidates, "quantized": False}
    return settings


def judge_search(
    index: Index,
    queries: Vectors,
    to: str,
    k: int,
    settings: Mapping[str, Mapping[str, Any]],
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """A row per setting of `Index.search`: search, recall, p50_ms, p95_ms, p99_ms of one query at a time.

    `recall` is the mean share of the `k` items of exact search that were found, in [0, 1]; among equal
    scores any of them will do, so an item counts as found if it scores as high as the k-th exact one.
    """
    rows = []
    with index.session():
        exact = index.search(queries, to, k, where, exact=True)
        for name, how in settings.items():
            found, milliseconds = time_queries(index, queries, to, k, where=where, **how)
            found = with_cosines(index, queries, found)
            rows.append({"search": name, "recall": recall(found, exact), **percentiles(milliseconds)})
    return pd.DataFrame(rows)


def with_cosines(index: Index, queries: Vectors, found: pd.DataFrame) -> pd.DataFrame:
    """The rankings with the cosines of the stored vectors as scores: quantized copies score otherwise."""
    ids = found["item_id"].unique()
    held = index.vectors(ids, queries.space).array[places_among(found["item_id"], ids)]
    asked = queries.array[places_among(found["query_id"], queries.ids)]
    return found.assign(score=np.einsum("ij,ij->i", asked, held))


def recall(found: pd.DataFrame, exact: pd.DataFrame) -> float:
    """Mean over the queries of `exact` of the share of its items that `found` has, or has one as good as."""
    least = exact.groupby("query_id", sort=False)["score"].agg(["min", "size"])
    good = found["score"].to_numpy() >= found["query_id"].map(least["min"]).to_numpy() - TIE
    hits = found["query_id"][good].value_counts().reindex(least.index, fill_value=0)
    return float((hits.clip(upper=least["size"]) / least["size"]).mean())


def time_queries(
    index: Index, queries: Vectors, to: str, k: int, **how: Any
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rankings of all queries asked one by one, and the milliseconds of each, after some that are not counted."""
    single = [
        Vectors(queries.ids[i : i + 1], queries.array[i : i + 1], queries.space) for i in range(len(queries))
    ]
    found, milliseconds = [], []
    with index.session():
        for query in single[:WARM_UP]:
            index.search(query, to, k, **how)
        for query in single:
            started = time.perf_counter()
            found.append(index.search(query, to, k, **how))
            milliseconds.append(1000 * (time.perf_counter() - started))
    return pd.concat(found, ignore_index=True), np.array(milliseconds)


def percentiles(milliseconds: np.ndarray) -> dict[str, float]:
    """p50_ms, p95_ms and p99_ms."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}
