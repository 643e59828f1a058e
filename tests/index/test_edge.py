"""What only Edge promises: a real graph, points that outlive a kill, and files that are its own."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Hnsw, NoCollection, Schema, Store, WrongSchema, open_store
from mmlab.items import Space, Vectors, unit_rows

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 16)
WRITER = """
import sys
from uuid import uuid4
import numpy as np, pandas as pd
from mmlab.index import Schema, open_store
from mmlab.items import Space, Vectors, unit_rows
space = Space("mmlab/toy", "1", "projected", "", "none", 16)
store = open_store(sys.argv[1])
store.create("demo", Schema(space))
with store.session():
    while True:
        ids = [str(uuid4()) for _ in range(50)]
        rows = unit_rows(np.random.default_rng().standard_normal((50, 16)))
        store.upsert("demo", Vectors(ids, rows, space), pd.DataFrame({"item_id": ids}))
        print(*ids, flush=True)
"""


def random_vectors(count: int, space: Space = SPACE) -> Vectors:
    rows = unit_rows(np.random.default_rng(0).standard_normal((count, space.dimension)))
    return Vectors([f"00000000-0000-0000-0000-{i:012x}" for i in range(count)], rows, space)


def build(folder: Path, vectors: Vectors, hnsw: Hnsw) -> Store:
    store = open_store(folder)
    store.create("demo", Schema(vectors.space, {"even": "bool"}, hnsw=hnsw))
    even = np.arange(len(vectors)) % 2 == 0
    store.upsert("demo", vectors, pd.DataFrame({"item_id": vectors.ids, "even": even}))
    store.build("demo")
    return store


def test_a_collection_above_the_limit_is_walked_not_scanned(tmp_path):
    space = replace(SPACE, dimension=64)
    vectors = random_vectors(3000, space)  # 750 KB
    store = build(tmp_path, vectors, Hnsw(m=8, ef_construct=16))
    info = store.info("demo")
    assert info["hnsw"]
    assert info["indexed_vectors"] == info["points"] == 3000
    assert info["disk_bytes"] > vectors.array.nbytes
    asked = Vectors(vectors.ids[:200], vectors.array[::-1][:200], space)
    hits = {ef: store.search("demo", asked, 10, ef=ef) for ef in (10, 500)}
    exact = store.search("demo", asked, 10, exact=True)
    shared = {
        ef: len(exact.merge(found, on=["query_id", "item_id"])) / len(exact) for ef, found in hits.items()
    }
    assert shared[10] < shared[500] <= 1
    assert shared[10] < 0.95  # a scan would find all


def test_a_graph_that_ends_short_of_k_is_made_up_by_a_scan(tmp_path):
    vectors = random_vectors(2000)
    store = build(tmp_path, vectors, Hnsw(m=4, ef_construct=4, ef=1, scan_kb=10))
    assert store.info("demo")["hnsw"]
    query = vectors.take(vectors.ids[:1])
    assert len(store.search("demo", query, 1999)) == 1999
    assert len(store.search("demo", query, 1999, where={"even": True})) == 1000


def test_points_added_after_a_build_are_found_and_make_the_graph_partial(tmp_path):
    vectors = random_vectors(2000)
    store = build(tmp_path, vectors.take(vectors.ids[:1500]), Hnsw(scan_kb=10))
    late = vectors.take(vectors.ids[1500:])
    store.upsert("demo", late, pd.DataFrame({"item_id": late.ids, "even": True}))
    assert not store.info("demo")["hnsw"]
    assert store.search("demo", late, 1)["item_id"].tolist() == late.ids.tolist()
    assert store.build("demo")["hnsw"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_acknowledged_points_outlive_a_kill(tmp_path):
    acknowledged: set[str] = set()
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
        ) as child:
            for _ in range(5):
                acknowledged.update(child.stdout.readline().split())
            child.send_signal(signal.SIGKILL)
            lines = child.stdout.read().splitlines(keepends=True)
        acknowledged.update(item for line in lines if line.endswith("\n") for item in line.split())
        store = open_store(tmp_path, wait=0)
        assert len(store.fetch("demo", sorted(acknowledged))) == len(acknowledged) >= 250


def test_a_collection_without_its_schema_is_not_there_and_can_be_made_again(tmp_path):
    store = build(tmp_path, random_vectors(10), Hnsw())
    (tmp_path / "demo" / "schema.json").unlink()  # what a kill in the middle of create or drop leaves
    (tmp_path / "demo" / ".schema.99.json").write_text("{")
    with pytest.raises(NoCollection, match=r"the store has \[\]"):
        store.count("demo")
    store.create("demo", Schema(SPACE))
    assert store.count("demo") == 0


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "photo.jpg").write_bytes(b"")
    (tmp_path / "raw" / "schema.json").write_text("{}")
    store = open_store(tmp_path)
    with pytest.raises(WrongSchema, match="'raw' has no schema that this version"):
        store.create("raw", Schema(SPACE))
    with pytest.raises(FileExistsError, match=r"it holds 'photo.jpg'; use another name"):
        store.drop("raw")
    assert (tmp_path / "raw" / "photo.jpg").exists()


def test_a_damaged_schema_says_so_and_can_be_dropped(tmp_path):
    store = build(tmp_path, random_vectors(10), Hnsw())
    (tmp_path / "demo" / "schema.json").write_text('{"format":')
    with pytest.raises(WrongSchema, match="schema.json is damaged"):
        store.count("demo")
    store.drop("demo")
    assert store.collections() == []


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "items.parquet").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="items.parquet is a file"):
        open_store(tmp_path / "items.parquet")
