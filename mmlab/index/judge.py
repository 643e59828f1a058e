"""Judges an index by exact search on the same vectors, and times its queries."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.store import Store
from mmlab.items import Vectors

WARM_UP = 20  # queries that are not counted: the first ones read files and fill caches


def judge_search(
    store: Store,
    collection: str,
    queries: Vectors,
    k: int,
    efs: Sequence[int],
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Exact search and HNSW with each `ef`, one query at a time: search, recall, p50_ms, p95_ms.

    `recall` is the mean share of the `k` items of exact search that were found, in [0, 1]; among equal
    scores any of them will do, so an item counts as found if it scores as high as the k-th exact one.
    """
    settings = [("exact", {"exact": True})] + [(f"HNSW ef={ef}", {"ef": ef}) for ef in dict.fromkeys(efs)]
    rows = []
    with store.session():
        for name, how in settings:
            found, milliseconds = _time_queries(store, collection, queries, k, where, how)
            if name == "exact":
                exact = found
            p50, p95 = np.percentile(milliseconds, [50, 95])
            rows.append({"search": name, "recall": recall(found, exact), "p50_ms": p50, "p95_ms": p95})
    return pd.DataFrame(rows)


def recall(found: pd.DataFrame, exact: pd.DataFrame) -> float:
    """Mean over the queries of `exact` of the share of its items that `found` has, or has one as good as."""
    least = exact.groupby("query_id", sort=False)["score"].agg(["min", "size"])
    good = found["score"].to_numpy() >= found["query_id"].map(least["min"]).to_numpy() - 1e-6
    hits = found["query_id"][good].value_counts().reindex(least.index, fill_value=0)
    return float((hits.clip(upper=least["size"]) / least["size"]).mean())


def _time_queries(
    store: Store,
    collection: str,
    queries: Vectors,
    k: int,
    where: Mapping[str, Any] | None,
    how: Mapping[str, Any],
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rankings of all queries asked one by one, and the milliseconds of each."""
    single = [
        Vectors(queries.ids[i : i + 1], queries.array[i : i + 1], queries.space) for i in range(len(queries))
    ]
    for query in single[:WARM_UP]:
        store.search(collection, query, k, where=where, **how)
    found, milliseconds = [], []
    for query in single:
        started = time.perf_counter()
        found.append(store.search(collection, query, k, where=where, **how))
        milliseconds.append(1000 * (time.perf_counter() - started))
    return pd.concat(found, ignore_index=True), np.array(milliseconds)
