"""The default store against FAISS, bare Edge on the same graph and QdrantClient(path=): latency, rates, recall.

100,000 clustered unit vectors of 512 dimensions, k = 10: 1,000 centres, each vector one of them with noise, and so are
the queries. Vectors without structure have no near neighbours, which no model's are like.
"""

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index import Hnsw, Index, Quantization, build_index, open_store
from mmlab.index.bench.search_benchmark import recall
from mmlab.index.build import write_changed
from mmlab.index.collections import plan_index
from mmlab.index.store.layouts import layout_of
from mmlab.index.store.schema import Schema
from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows
from tests.bench.figures import Figure

POINTS, DIMENSION, UPSERTS, BATCH, SINGLE, K = 100_000, 512, 20_000, 1_000, 300, 10
EFS = (10, 16, 24, 32, 50, 75, 100, 200, 400)
NOISE = 0.7  # of each number, beside centres of standard deviation 1
SPACE = Space("clustered", "1", "none", "", "none", DIMENSION)
MEMORY = Path("/dev/shm")  # QdrantClient(path=) writes one transaction per point, but searches in memory
WHERE = {"label": "3"}  # keeps 10 %
KEPT_SECONDS = 60


def store() -> list[Figure]:
    """Upserts, single queries with and without a filter, and a batch of 1,000."""
    points, queries = clustered(POINTS, BATCH)
    items = items_of(points)
    with TemporaryDirectory() as folder:
        engine = open_store(Path(folder) / "store", keep_open=KEPT_SECONDS)  # as a run does
        index = build_index(engine, "bench", items, [points], progress=False)
        shard = Path(folder) / "store" / "bench-unified" / "shard"
        bare_shard = shutil.copytree(shard, Path(folder) / "bare")
        with _path_client(points) as path, closing(engine):
            exact = index.search(queries, "image", K, exact=True).table
            ef = _least_ef(lambda ef: recall(index.search(queries, "image", K, ef=ef).table, exact))
            with bare_edge(bare_shard, ef) as bare:
                return [
                    *_upserts(Path(folder), items, points),
                    *_found(index, queries, ef),
                    *_latencies(index, queries, points, bare, path, ef),
                    *_batches(index, queries, bare, ef),
                ]


def clustered(points: int, queries: int, centres: int = 1_000) -> tuple[Vectors, Vectors]:
    """Points and queries (unit rows) around the same centres."""
    rng = np.random.default_rng(0)
    middle = rng.standard_normal((centres, DIMENSION), dtype=np.float32)

    def draw(count: int) -> Vectors:
        noise = rng.standard_normal((count, DIMENSION), dtype=np.float32)
        rows = middle[rng.integers(centres, size=count)] + NOISE * noise
        return Vectors(
            np.array([f"00000000-0000-0000-0000-{i:012x}" for i in range(count)]), unit_rows(rows), SPACE
        )

    return draw(points), draw(queries)


def items_of(points: Vectors) -> pd.DataFrame:
    """Images with the columns of every items table; `label` has ten values, `price` is a number of its own."""
    rng = np.random.default_rng(1)
    number = pd.Series(np.arange(len(points)).astype(str), dtype="str")
    known = {
        "item_id": points.ids,
        "modality": "image",
        "pair_id": number,
        "image": "/images/" + number + ".jpg",
    }
    known |= {"label": rng.integers(0, 10, len(points)).astype(str), "split": "test", "origin": "image"}
    return pd.DataFrame({**dict.fromkeys(ITEM_COLUMNS), **known, "price": rng.random(len(points))})


def _upserts(folder: Path, items: pd.DataFrame, points: Vectors) -> Iterator[Figure]:
    """Items to stored points, with all checks and fingerprints, against bare updates of ready payloads; in turns."""
    some, part = items.head(UPSERTS), points.take(points.ids[:UPSERTS])
    ((name, schema),) = plan_index("upsert", "unified", some, [part], hnsw=Hnsw()).items()
    payloads = layout_of(schema).arrange(some, [part]).payloads
    ours, bare = [], []
    for turn in range(3):
        store = open_store(folder / f"mmlab-{turn}")
        with store.session():
            store.create(name, schema)
            started = time.perf_counter()
            write_changed(store, name, layout_of(schema).arrange(some, [part]))
            ours.append(time.perf_counter() - started)
        bare.append(_bare_upserts(folder / f"edge-{turn}", schema, part, payloads))
    seconds, edge = float(np.median(ours)), float(np.median(bare))
    told = f"bare Edge: {UPSERTS / edge:.0f}/s"
    yield Figure("store, upserts with payload", UPSERTS / seconds, "points/s", told)
    yield Figure("store, upserts with payload", edge / seconds, "times", "bare Edge", "at least 0.9")


def _bare_upserts(folder: Path, schema: Schema, points: Vectors, payloads: list[dict[str, Any]]) -> float:
    from qdrant_edge import EdgeShard, Point, UpdateOperation

    from mmlab.index.engines.edge_engine import to_config, to_index_type

    folder.mkdir(parents=True)
    shard = EdgeShard.create(str(folder), to_config(schema))
    for path, kind in layout_of(schema).payload_indexes().items():
        shard.update(UpdateOperation.create_field_index(path, to_index_type(kind)))
    started = time.perf_counter()
    for start in range(0, len(points), BATCH):
        part = slice(start, start + BATCH)
        rows = zip(points.ids[part].tolist(), points.array[part].tolist(), payloads[part], strict=True)
        shard.update(UpdateOperation.upsert_points([Point(*point) for point in rows]))
    seconds = time.perf_counter() - started
    shard.close()
    return seconds


def _found(index: Index, queries: Vectors, ef: int) -> Iterator[Figure]:
    """Recall by ids, ties counting by their scores, and how far the scores are from those of exact search."""
    exact = index.search(queries, "image", K, exact=True).table
    for candidates, least in ((Hnsw().ef, ""), (ef, "at least 0.99")):
        found = index.search(queries, "image", K, ef=candidates).table
        yield Figure(f"store, recall@{K} at ef {candidates}", recall(found, exact), "", "exact search", least)
    both = exact.merge(found, on=["query_id", "item_id"])
    off = float((both["score_x"] - both["score_y"]).abs().max())
    yield Figure("store, largest difference of a score", off, "", "exact search", "at most 1e-5")


def _latencies(
    index: Index, queries: Vectors, points: Vectors, bare: dict, path: Callable[[Any], Any], ef: int
) -> Iterator[Figure]:
    """Medians of single queries, measured in turns; each graph at the least ef with a recall of 0.99."""
    ones = [queries.take([item]) for item in queries.ids[:SINGLE]]
    rows = list(queries.array[:SINGLE])
    medians = take_turns(
        {
            "mmlab": (lambda one: index.search(one, "image", K, ef=ef), ones),
            "table": (lambda one: index.search(one, "image", K, ef=ef).table, ones),
            "filtered": (lambda one: index.search(one, "image", K, WHERE, ef=ef), ones),
            "edge": (bare["one"], rows),
            "faiss": (_faiss(points, queries), rows),
            "path": (path, rows[:20]),
        }
    )
    ours = medians["mmlab"]
    yield Figure("store, median query", ours, "ms", f"FAISS HNSW: {medians['faiss']:.2f} ms")
    yield Figure("store, median query", ours / medians["faiss"], "times", "FAISS HNSW", "at most 2.5")
    edge = f"bare Edge: {medians['edge']:.2f} ms"
    for name, most in (("mmlab", "at most 1.1"), ("table", "")):
        what = "store, median query" + (", with its table" if name == "table" else "")
        yield Figure(what, medians[name] / medians["edge"], "times", edge, most)
    yield Figure(
        "store, median query", medians["path"] / ours, "times faster", "QdrantClient(path=)", "at least 20"
    )
    exact = index.search(queries, "image", K, WHERE, exact=True).table
    found = recall(index.search(queries, "image", K, WHERE, ef=ef).table, exact)
    yield Figure("store, a filter that keeps 10 %, recall@10", found, "", "exact search", "at least 0.99")
    yield Figure(
        "store, a filter that keeps 10 %", medians["filtered"] / ours, "times", "without it", "at most 1"
    )


def _batches(index: Index, queries: Vectors, bare: dict, ef: int) -> Iterator[Figure]:
    medians = take_turns(
        {
            "mmlab": (lambda asked: index.search(asked, "image", K, ef=ef), [queries] * 3),
            "table": (lambda asked: index.search(asked, "image", K, ef=ef).table, [queries] * 3),
            "edge": (bare["batch"], [queries.array] * 3),
        }
    )
    yield Figure("store, batch of 1,000", 1e6 / medians["mmlab"], "queries/s")
    for name, least in (("mmlab", "at most 1.05"), ("table", "")):
        what = "store, batch of 1,000" + (", with its table" if name == "table" else "")
        yield Figure(what, medians[name] / medians["edge"], "times", "bare query_batch", least)


def _least_ef(share: Callable[[int], float]) -> int:
    """The least ef of a few whose recall is 0.99 or more, the largest where none is."""
    return next((ef for ef in EFS if share(ef) >= 0.99), EFS[-1])


def take_turns(asks: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]]) -> dict[str, float]:
    """The median milliseconds of each ask: three rounds in turns after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for warm in (False, True, True, True):
        for name, (ask, questions) in asks.items():
            for question in questions:
                started = time.perf_counter()
                ask(question)
                if warm:
                    times[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.median(taken)) for name, taken in times.items()}


def _faiss(points: Vectors, queries: Vectors) -> Callable[[Any], Any]:
    """FAISS HNSW with mmlab's m and ef_construct, on one thread, at the least ef with a recall of 0.99."""
    import faiss

    index = faiss.IndexHNSWFlat(DIMENSION, Hnsw().m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = Hnsw().ef_construct
    index.add(points.array)
    faiss.omp_set_num_threads(1)
    least = np.sort(queries.array @ points.array.T, axis=1)[:, [-K]] - 1e-5

    def share(ef: int) -> float:
        index.hnsw.efSearch = ef
        return float((index.search(queries.array, K)[0] >= least).mean())

    index.hnsw.efSearch = _least_ef(share)
    return lambda row: index.search(row[None], K)


@contextmanager
def bare_edge(folder: Path, ef: int) -> Iterator[dict[str, Callable[[Any], Any]]]:
    """Bare queries of a shard, which do the same work as the store's: "one" row and a "batch" of rows."""
    from qdrant_edge import (
        EdgeShard,
        QuantizationSearchParams,
        Query,
        QueryBatchRequest,
        QueryRequest,
        SearchParams,
    )

    shard, used = EdgeShard.load(str(folder)), Quantization("scalar")
    copies = QuantizationSearchParams(rescore=used.rescore, oversampling=used.oversampling)
    params = SearchParams(hnsw_ef=ef, quantization=copies)

    def request(row: np.ndarray) -> QueryRequest:
        return QueryRequest(limit=K, query=Query.Nearest(row.tolist()), params=params)

    yield {
        "one": lambda row: shard.query(request(row)),
        "batch": lambda rows: shard.query_batch(QueryBatchRequest([request(row) for row in rows])),
    }
    shard.close()


@contextmanager
def _path_client(points: Vectors) -> Iterator[Callable[[Any], Any]]:
    """The local mode of qdrant-client, a scan in numpy."""
    from qdrant_client import QdrantClient, models

    with (
        warnings.catch_warnings(action="ignore"),  # it tells that it is not made for so many points
        TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
    ):
        client = QdrantClient(path=folder)
        size = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
        client.create_collection("bench", vectors_config=size)
        client.upload_collection("bench", points.array, ids=points.ids.tolist())
        yield lambda row: client.query_points("bench", row.tolist(), limit=K)
        client.close()
