"""Building an index on a Qdrant server against bare qdrant-client: 40,000 points of 256 numbers until it is green.

The server is the one that MMLAB_TEST_QDRANT_URL names; without it nothing is measured. What is made there is dropped.
"""

import os
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from qdrant_client import QdrantClient, models

from mmlab.index import Index, build_index, open_store
from mmlab.index.engines.server_engine import to_config
from mmlab.index.store.payload import payload_rows
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.figures import Figure
from tests.bench.store import clustered, items_of

POINTS, DIMENSION, BATCH, QUERIES, K = 40_000, 256, 1_000, 300, 10
SPACE = Space("clustered", "1", "none", "", "none", DIMENSION)


def server() -> list[Figure]:
    """Seconds until the graph is there, and milliseconds of one query."""
    url = os.environ.get("MMLAB_TEST_QDRANT_URL")
    if not url:
        print("server: skipped, MMLAB_TEST_QDRANT_URL names no server", file=sys.stderr)
        return []
    points, queries = (cut(one) for one in clustered(POINTS, QUERIES))
    items, name, store = items_of(points), f"mmlab-bench-{uuid4().hex[:8]}", open_store(url)
    bare = f"{name}-bare"
    try:
        index, ours = seconds_of(lambda: build_index(store, name, items, [points], progress=False))
        client = store._engine._client.client  # over the same transport
        _, theirs = seconds_of(
            lambda: bare_build(client, bare, index, points, payload_rows(items, fields_of(index)))
        )
        with TemporaryDirectory() as folder:
            _, here = seconds_of(
                lambda: build_index(open_store(folder), name, items, [points], progress=False)
            )
        return [
            Figure(
                "server, build until green",
                ours,
                "s",
                f"bare upload + defer: {theirs:.1f} s; folder: {here:.1f} s",
            ),
            Figure("server, build until green", ours / theirs, "times", "bare upload + defer", "at most 1.5"),
            *latencies(index, queries, client, bare),
        ]
    finally:
        for made in (*(found for found in store.collections() if found.startswith(name)),):
            store.drop(made)


def cut(vectors: Vectors) -> Vectors:
    return Vectors(vectors.ids, unit_rows(vectors.array[:, :DIMENSION]), SPACE)


def fields_of(index: Index) -> dict[str, str]:
    return dict(next(iter(index.schemas.values())).fields)


def seconds_of(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def bare_build(client: QdrantClient, name: str, index: Index, points: Vectors, payloads: list[dict]) -> None:
    """Upload in batches with indexing put off, then ask for the graph and wait: what the client's users write."""
    schema = next(iter(index.schemas.values()))
    client.create_collection(name, **to_config(schema))
    for field, kind in schema.indexed.items():
        client.create_payload_index(name, field, kind, wait=True)
    rows = zip(points.ids.tolist(), points.array.tolist(), payloads, strict=True)
    structs = (models.PointStruct(id=one, vector=row, payload=payload) for one, row, payload in rows)
    client.upload_points(name, structs, batch_size=BATCH, wait=True)
    size = schema.hnsw.scan_kb
    client.update_collection(name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=size))
    while (
        client.get_collection(name).status != "green" or not client.get_collection(name).indexed_vectors_count
    ):
        time.sleep(0.1)


def latencies(index: Index, queries: Vectors, client: QdrantClient, bare: str) -> list[Figure]:
    """One query after the other, in turns."""
    ours, theirs = [], []
    with index.session():
        for number in range(QUERIES):
            query = queries.take(queries.ids[number : number + 1])
            ours.append(seconds_of(lambda query=query: index.search(query, "image", K).table)[1])
            asked = [models.QueryRequest(query=queries.array[number].tolist(), limit=K)]
            theirs.append(seconds_of(lambda asked=asked: client.query_batch_points(bare, asked))[1])
    told = f"bare client: {1e3 * np.median(theirs):.2f} ms"
    return [Figure("server, median query", 1e3 * float(np.median(ours)), "ms", told)]
