"""Queries per second of the default store, against bare Edge on the same graph and QdrantClient(path=).

20,000 random unit vectors of 256 dimensions, k = 10. Random vectors have no near neighbours, so this is the
hardest case for a graph: recall on real vectors is higher at the same settings.
"""

import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index import Hnsw, Schema, Store, open_store
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.figures import Figure

POINTS, DIMENSION, BATCH, K, EF = 20_000, 256, 1_000, 10, Hnsw().ef
SPACE = Space("random", "1", "none", "", "none", DIMENSION)
MEMORY = Path("/dev/shm")  # QdrantClient(path=) writes one transaction per point, but searches in memory


def store() -> list[Figure]:
    """Single queries and a batch of 1,000 through mmlab, as rates and as ratios; recall@10 against exact search."""
    rng = np.random.default_rng(0)
    ids = [f"00000000-0000-0000-0000-{i:012x}" for i in range(POINTS)]
    points = Vectors(ids, unit_rows(rng.standard_normal((POINTS, DIMENSION))), SPACE)
    queries = Vectors(ids[:BATCH], unit_rows(rng.standard_normal((BATCH, DIMENSION))), SPACE)
    with TemporaryDirectory() as folder:
        built = open_store(Path(folder) / "store")
        built.create("bench", Schema(SPACE))
        built.upsert("bench", points, pd.DataFrame({"item_id": points.ids}))
        built.build("bench")
        shard = shutil.copytree(Path(folder) / "store" / "bench" / "shard", Path(folder) / "bare")
        with (
            built.session(),
            _bare_edge(shard, queries.array) as bare,
            _path_client(points, queries.array) as path,
        ):
            return [*_rates(_mmlab(built, queries), bare, path), _recall(built, queries)]


def _rates(mmlab: dict, bare: dict, path: dict) -> Iterator[Figure]:
    for what, least in (("single queries", 0.5), ("batch of 1,000", 0.83)):
        ours, edge, client = _take_turns([asks[what] for asks in (mmlab, bare, path)])
        yield Figure(f"store, {what}", ours, "queries/s", f"bare Edge: {edge:.0f}/s", "")
        yield Figure(f"store, {what}", ours / edge, "times", "bare Edge", f"at least {least}")
        yield Figure(f"store, {what}", ours / client, "times", "QdrantClient(path=)", "at least 20")


def _take_turns(asks: list[Callable[[], int]]) -> list[float]:
    """Queries per second of each: the best of five rounds in turns, after one to warm up. An ask returns its number."""
    best = [0.0] * len(asks)
    for warm in (False, True, True, True, True, True):
        for i, ask in enumerate(asks):
            started = time.perf_counter()
            rate = ask() / (time.perf_counter() - started)
            best[i] = max(best[i], rate) if warm else 0.0
    return best


def _each(ask: Callable[[Any], Any], queries: list[Any]) -> int:
    for query in queries:
        ask(query)
    return len(queries)


def _mmlab(built: Store, queries: Vectors) -> dict[str, Callable[[], int]]:
    ones = [queries.take([i]) for i in queries.ids[:200]]
    return {
        "single queries": lambda: _each(lambda one: built.search("bench", one, K), ones),
        "batch of 1,000": lambda: built.search("bench", queries, K)["query_id"].nunique(),
    }


def _recall(built: Store, queries: Vectors) -> Figure:
    found, exact = (built.search("bench", queries, K, exact=exact) for exact in (False, True))
    share = len(exact.merge(found, on=["query_id", "item_id"])) / len(exact)
    return Figure(f"store, recall@{K} at ef {EF}", share, "", "exact search, random vectors", "at least 0.6")


@contextmanager
def _bare_edge(folder: Path, rows: np.ndarray) -> Iterator[dict[str, Callable[[], int]]]:
    from qdrant_edge import EdgeShard, Query, QueryBatchRequest, QueryRequest, SearchParams

    shard = EdgeShard.load(str(folder))
    params = SearchParams(hnsw_ef=EF)

    def request(row: np.ndarray) -> QueryRequest:
        return QueryRequest(limit=K, query=Query.Nearest(row.tolist()), params=params)

    yield {
        "single queries": lambda: _each(lambda row: shard.query(request(row)), rows[:200]),
        "batch of 1,000": lambda: len(shard.query_batch(QueryBatchRequest([request(row) for row in rows]))),
    }
    shard.close()


@contextmanager
def _path_client(points: Vectors, rows: np.ndarray) -> Iterator[dict[str, Callable[[], int]]]:
    """The local mode of qdrant-client, a scan in numpy; its batch is 50 queries, asked one after the other too."""
    from qdrant_client import QdrantClient, models

    asked = [models.QueryRequest(query=row.tolist(), limit=K) for row in rows[:50]]
    with (
        warnings.catch_warnings(action="ignore"),  # it tells that it is not made for so many points
        TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
    ):
        client = QdrantClient(path=folder)
        size = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
        client.create_collection("bench", vectors_config=size)
        client.upload_collection("bench", points.array, ids=points.ids.tolist())
        yield {
            "single queries": lambda: _each(
                lambda row: client.query_points("bench", row.tolist(), limit=K), rows[:20]
            ),
            "batch of 1,000": lambda: len(client.query_batch_points("bench", asked)),
        }
        client.close()
