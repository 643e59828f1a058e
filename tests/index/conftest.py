"""Engines under one contract, and a tiny collection whose answers can be worked out by hand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Hnsw, Store, open_store
from mmlab.index.store.layout_base import Points
from mmlab.index.store.payload import payload_rows
from mmlab.index.store.schema import Schema
from mmlab.items import Space, Vectors

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)
FIELDS = {
    "modality": "keyword",
    "label": "keyword",
    "size (cm)": "integer",
    "price": "float",
    "new": "bool",
    "text": "text",
}


@dataclass(frozen=True)
class Toy:
    """Five points whose cosines with (1, 0, 0) are 1, 0.8, 0.6, 0, -1; most columns have a gap."""

    schema: Schema
    vectors: Vectors
    payload: pd.DataFrame


def upsert(store: Store, collection: str, vectors: Vectors, payload: pd.DataFrame, **options) -> None:
    """Send row i of the payload with vector i."""
    payloads = payload_rows(payload, store.schema(collection).fields)
    points = Points(vectors.ids, payloads, {"": (vectors, np.arange(len(vectors)))})
    store.upsert(collection, points, **options)


@pytest.fixture(scope="session")
def toy() -> Toy:
    ids = [str(UUID(int=i)) for i in range(1, 6)]
    rows = [[1, 0, 0], [0.8, 0.6, 0], [0.6, 0.8, 0], [0, 0, 1], [-1, 0, 0]]
    payload = {
        "item_id": ids,
        "modality": ["image", "text", "image", "text", "image"],
        "label": ["cup", "cup", "shoe", None, "lamp"],
        "size (cm)": pd.array([10, 20, None, 40, 10], dtype="Int32"),
        "price": [1.5, np.nan, 2.25, 1.5, 4.0],
        "new": [True, False, None, True, False],
        "text": [None, "a <b>cup</b>", None, "ein Lämpchen 灯", None],
    }
    schema = Schema(SPACE, FIELDS, hnsw=Hnsw(m=8))
    return Toy(schema, Vectors(ids, np.array(rows), SPACE), pd.DataFrame(payload))


@pytest.fixture(scope="session", params=["edge", "memory", "server"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engines that hold the contract; the last is a real server, where one is named."""
    if request.param == "server" and not os.environ.get("MMLAB_TEST_QDRANT_URL"):
        pytest.skip("no real server: MMLAB_TEST_QDRANT_URL is not set")
    return request.param


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[Store]:
    """A store on the engine; what was made on a real server is dropped in the end."""
    if engine == "edge":
        yield open_store(folder)
    elif engine == "memory":
        from qdrant_client import QdrantClient

        yield open_store(QdrantClient(":memory:"))
    else:
        store = open_store(os.environ["MMLAB_TEST_QDRANT_URL"])
        before = set(store.collections())
        yield store
        for name in set(store.collections()) - before:
            store.drop(name)


@pytest.fixture
def store(engine: str, tmp_path: Path) -> Iterator[Store]:
    """A store for one test to write to."""
    with opened(engine, tmp_path / "store") as store:
        yield store


@pytest.fixture
def name() -> str:
    """A collection name that no other test uses: a real server is shared."""
    return f"mmlab-test-{uuid4().hex[:12]}"


@pytest.fixture
def own(store: Store, name: str, toy: Toy) -> Store:
    """The store with the five points in collection `name`, to be changed."""
    store.create(name, toy.schema)
    upsert(store, name, toy.vectors, toy.payload)
    return store


@pytest.fixture(scope="session")
def filled(engine: str, tmp_path_factory: pytest.TempPathFactory, toy: Toy) -> Iterator[Store]:
    """A store with the five points in collection "mmlab-test-toy", shared by the tests that only read."""
    with opened(engine, tmp_path_factory.mktemp("filled")) as store:
        store.drop("mmlab-test-toy")
        store.create("mmlab-test-toy", toy.schema)
        upsert(store, "mmlab-test-toy", toy.vectors, toy.payload)
        with store.session():  # opening a folder for each operation takes most of the time
            yield store
