"""What only Edge promises: a real graph, points that outlive a kill, and files that are its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.index import Hnsw, NoCollection, Quantization, Store, WrongSchema, build_index, open_store
from mmlab.index.bench.search_benchmark import recall
from mmlab.index.engines.edge_engine import scanned_kb
from mmlab.index.engines.edge_folder import CollectionFolder
from mmlab.index.store.engine import Examples, Search
from mmlab.index.store.schema import DamagedCollection, Schema
from mmlab.items import Space, Vectors, exact_search, unit_rows
from mmlab.items.files import copy_folder
from mmlab.items.workers import count_cores
from tests.index.conftest import upsert
from tests.index.pairs import make_pairs

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 16)
WRITER = """
import sys
from uuid import uuid4
import numpy as np, pandas as pd
from mmlab.index import open_store
from mmlab.index.store.schema import Schema
from mmlab.items import Space, Vectors, exact_search, unit_rows
from tests.index.conftest import upsert
space = Space("mmlab/toy", "1", "projected", "", "none", 16)
store = open_store(sys.argv[1])
store.create("demo", Schema(space))
with store.session():
    while True:
        ids = [str(uuid4()) for _ in range(50)]
        rows = unit_rows(np.random.default_rng().standard_normal((50, 16)))
        upsert(store, "demo", Vectors(ids, rows, space), pd.DataFrame({"item_id": ids}))
        print(*ids, flush=True)
"""


def random_vectors(count: int, space: Space = SPACE) -> Vectors:
    rows = unit_rows(np.random.default_rng(0).standard_normal((count, space.dimension)))
    return Vectors([f"00000000-0000-0000-0000-{i:012x}" for i in range(count)], rows, space)


def build(folder: Path, vectors: Vectors, hnsw: Hnsw, quantization: Quantization | None = None) -> Store:
    store = open_store(folder)
    store.create("demo", Schema(vectors.space, {"even": "bool"}, hnsw=hnsw, quantization=quantization))
    even = np.arange(len(vectors)) % 2 == 0
    upsert(store, "demo", vectors, pd.DataFrame({"item_id": vectors.ids, "even": even}))
    store.build("demo")
    return store


def test_a_large_collection_is_several_segments_each_with_its_graph(tmp_path, monkeypatch):
    """Segments of 600 points: what comes later changes the last one alone."""
    monkeypatch.setattr("mmlab.index.engines.edge_engine.SEGMENT_BYTES", 600 * 16 * 4)
    vectors = random_vectors(2000)
    asked = Vectors([f"q{n}" for n in range(20)], vectors.array[:20], SPACE)
    items = pd.DataFrame({"item_id": vectors.ids, "modality": "image", "pair_id": None})
    settings = {"hnsw": Hnsw(scan_kb=10), "quantization": None, "batch": 100, "progress": False}
    index = build_index(open_store(tmp_path), "demo", items, [vectors], **settings)
    report = index.report.iloc[0]
    assert report["sent"] == 2000 and report["build_s"] > 0
    [held] = index.collections().to_dict("records")
    assert held["segments"] == 5 and held["indexed_vectors"] == 2000 and held["hnsw"]  # one takes what comes
    exact = exact_search(asked, vectors, 10)
    for search in ({"exact": True}, {"ef": 100}):
        found = index.search(asked, "image", 10, **search).table
        assert len(found.merge(exact, on=["query_id", "item_id"])) > 0.95 * len(exact)
        assert found[found["rank"] == 1]["item_id"].tolist() == vectors.ids[:20].tolist()
    shard = tmp_path / "demo-unified" / "shard" / "segments"
    before = {path.name for path in shard.iterdir()}
    more = Vectors(
        np.append(vectors.ids, "f" * 8 + "-0000" * 3 + "-" + "0" * 12),
        np.r_[vectors.array, vectors.array[:1]],
        SPACE,
    )
    table = pd.DataFrame({"item_id": more.ids, "modality": "image", "pair_id": None})
    again = build_index(open_store(tmp_path), "demo", table, [more], **settings)
    assert again.report["sent"].item() == 1 and again.count() == 2001
    assert len(before & {path.name for path in shard.iterdir()}) >= 3
    assert again.collections()["hnsw"].item()


def test_a_graph_is_built_with_all_cores_unless_the_user_says_otherwise():
    code = "import os, mmlab.index.engines; print(os.environ['QDRANT_NUM_CPUS'])"
    for given, expected in ({}, count_cores() + 1), ({"QDRANT_NUM_CPUS": "1"}, 1):
        environment = {key: value for key, value in os.environ.items() if key != "QDRANT_NUM_CPUS"} | given
        found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
        assert int(found) == expected


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list what is mapped")
def test_a_file_of_vectors_is_mapped_once(tmp_path):
    pairs = make_pairs(400)
    index = build_index(
        open_store(tmp_path), "demo", pairs.items, [pairs.both], hnsw=Hnsw(scan_kb=10), progress=False
    )
    with index.session():
        index.search(pairs.ask_both, "image", 1)
        mapped = Path("/proc/self/maps").read_text().splitlines()
    files = [line.rpartition(" ")[2] for line in mapped if str(tmp_path) in line and "vector_storage" in line]
    matrices = [name for name in files if name.endswith("matrix.dat")]
    assert matrices and len(set(matrices)) == len(matrices)


def test_a_collection_above_the_limit_is_walked_not_scanned(tmp_path):
    space = replace(SPACE, dimension=64)
    vectors = random_vectors(3000, space)  # 750 KB
    store = build(tmp_path, vectors, Hnsw(m=8, ef_construct=16))
    info = store.info("demo")
    assert info["hnsw"]
    assert info["indexed_vectors"] == info["points"] == 3000
    assert info["disk_bytes"] > vectors.array.nbytes
    asked = Vectors(vectors.ids[:200], vectors.array[::-1][:200], space)
    hits = {ef: store.search("demo", asked, 10, ef=ef).table for ef in (10, 500)}
    exact = store.search("demo", asked, 10, exact=True).table
    shared = {
        ef: len(exact.merge(found, on=["query_id", "item_id"])) / len(exact) for ef, found in hits.items()
    }
    assert shared[10] < shared[500] <= 1
    assert shared[10] < 0.95  # a scan would find all


def test_examples_walk_the_graph_of_quantized_vectors(tmp_path):
    vectors = random_vectors(3000)
    store = build(tmp_path, vectors, Hnsw(m=16, ef=200, scan_kb=10), Quantization("scalar"))
    wanted, unwanted = vectors.array[:2].tolist(), vectors.array[2:4].tolist()
    asked = vectors.take(vectors.ids[100:110])
    for score in ("best_score", "sum_scores", "feedback", "discover"):
        options = {"examples": Examples(score, wanted, unwanted)}
        exact = store.search("demo", asked, 10, exact=True, **options).table
        found = store.search("demo", asked, 10, **options).table
        assert len(exact.merge(found, on=["query_id", "item_id"])) > 0.8 * len(exact), score


def test_a_graph_that_ends_short_of_k_is_made_up_by_a_scan(tmp_path):
    vectors = random_vectors(2000)
    store = build(tmp_path, vectors, Hnsw(m=4, ef_construct=4, ef=1, scan_kb=10))
    assert store.info("demo")["hnsw"]
    query = vectors.take(vectors.ids[:1])
    assert len(store.search("demo", query, 1999)) == 1999
    assert len(store.search("demo", query, 1999, where={"even": True})) == 1000


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("kind", [None, Quantization("scalar")])
def test_few_points_that_a_filter_lets_through_are_scanned(tmp_path, on_disk, kind):
    vectors, bad = random_vectors(2000), Hnsw(m=4, ef_construct=4, ef=1, scan_kb=10)
    store = open_store(tmp_path)
    store.create("demo", Schema(SPACE, {"rest": "integer"}, "unified", bad, kind, on_disk))
    upsert(store, "demo", vectors, pd.DataFrame({"item_id": vectors.ids, "rest": np.arange(2000) % 10}))
    store.build("demo")
    asked = vectors.take(vectors.ids[:50])
    recalls = {}
    for rests in ([3], [0, 1, 2, 3, 4], list(range(10))):  # a tenth of the points is few, half of them is not
        where = {"rest": rests}
        assert store.scans("demo", SPACE, where) is (len(rests) == 1 and not on_disk)
        exact, found = (store.search("demo", asked, 5, where, exact=exact).table for exact in (True, False))
        recalls[len(rests)] = recall(found, exact)
    assert recalls[5] < 0.9
    assert recalls[10] < 0.9
    assert recalls[1] > 0.98 or on_disk


def test_few_points_that_lie_together_in_one_of_several_segments_are_scanned_too(tmp_path, monkeypatch):
    vectors, bad = random_vectors(2000), Hnsw(m=4, ef_construct=4, ef=1, scan_kb=10)
    monkeypatch.setattr("mmlab.index.engines.edge_engine.SEGMENT_BYTES", 700 * 64)
    store = open_store(tmp_path)
    store.create("demo", Schema(SPACE, {"late": "bool"}, hnsw=bad))
    late = pd.DataFrame({"item_id": vectors.ids, "late": np.arange(2000) >= 1700})  # most of the last segment
    upsert(store, "demo", vectors, late)
    assert store.build("demo")["segments"] > 2
    asked = vectors.take(vectors.ids[:50])
    exact, found = (
        store.search("demo", asked, 5, {"late": True}, exact=exact).table for exact in (True, False)
    )
    assert recall(found, exact) == 1
    exact, found = (store.search("demo", asked, 5, exact=exact).table for exact in (True, False))
    assert recall(found, exact) < 1


def test_searches_that_the_engine_fuses_scan_few_points_too(tmp_path):
    vectors = random_vectors(2000)
    store = open_store(tmp_path)
    bad = Hnsw(m=4, ef_construct=4, ef=1, scan_kb=10)
    store.create("demo", Schema(SPACE, {"rest": "integer"}, hnsw=bad))
    upsert(store, "demo", vectors, pd.DataFrame({"item_id": vectors.ids, "rest": np.arange(2000) % 10}))
    store.build("demo")
    one, other = vectors.take(vectors.ids[:1]), vectors.take(vectors.ids[1:2])
    found, exact = (
        store.search_fused("demo", [one, other], 5, 20, "rrf", 60, {"rest": 3}, exact=exact)
        .table["item_id"]
        .tolist()
        for exact in (False, True)
    )
    assert found == exact


def test_the_part_of_a_segment_that_is_scanned_grows_in_steps():
    schema = Schema(Space("a", "1", "none", "", "none", 256))  # 1 KB a row
    assert (
        scanned_kb(schema, 0) == scanned_kb(schema, 1280) == schema.hnsw.scan_kb == 256
    )  # a fifth of 1,280 rows
    assert scanned_kb(schema, 1281) == scanned_kb(schema, 1810) == 363  # 256 times the root of 2
    assert scanned_kb(schema, 1811) == 512
    assert scanned_kb(schema, 10**6) == scanned_kb(schema, 10**9) == 65_536  # at least a fifth of 256 MB
    assert scanned_kb(replace(schema, on_disk=True), 10**6) == 256


def test_points_added_after_a_build_are_found_and_make_the_graph_partial(tmp_path):
    vectors = random_vectors(2000)
    store = build(tmp_path, vectors.take(vectors.ids[:1500]), Hnsw(scan_kb=10))
    late = vectors.take(vectors.ids[1500:])
    upsert(store, "demo", late, pd.DataFrame({"item_id": late.ids, "even": True}))
    assert not store.info("demo")["hnsw"]
    assert store.search("demo", late, 1).table["item_id"].tolist() == late.ids.tolist()
    assert store.build("demo")["hnsw"]


def test_what_is_built_is_left_as_it_is_unless_its_scans_are_of_another_size(tmp_path):
    store, folder = build(tmp_path, random_vectors(50), Hnsw()), tmp_path / "demo"
    written = (folder / "checksums.json").stat().st_ino
    assert store.build("demo")["points"] == 50
    assert (folder / "checksums.json").stat().st_ino == written
    config = folder / "shard" / "edge_config.json"
    stored = json.loads(config.read_text())
    stored["hnsw_config"]["full_scan_threshold"] = 7  # as another version built it
    config.write_text(json.dumps(stored))
    (folder / "checksums.json").unlink()
    CollectionFolder(tmp_path, "demo").seal()
    resealed = (folder / "checksums.json").stat().st_ino
    store.build("demo")
    assert (folder / "checksums.json").stat().st_ino != resealed


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
        assert len(store.payloads("demo", sorted(acknowledged))) == len(acknowledged) >= 250


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


def flip(file: Path, place: int = -1) -> None:
    """Change one byte of a file; without `place` the last that is not zero."""
    content = bytearray(file.read_bytes())
    place = len(content.rstrip(b"\0")) - 1 if place < 0 else place
    content[place] ^= 0xFF
    file.write_bytes(content)


def files_of(folder: Path) -> dict[str, list[Path]]:
    """The files of a built collection by their names, the log left out."""
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / "demo" / "shard").rglob("*")):
        if path.is_file() and "wal" not in path.parts and path.stat().st_size:
            found.setdefault(path.name, []).append(path)
    return found


def test_a_flipped_byte_of_the_vectors_is_seen_when_they_are_opened(tmp_path):
    """Without checksums the engine answers from them, and nobody knows."""
    build(tmp_path, random_vectors(3000, replace(SPACE, dimension=64)), Hnsw(m=8, ef_construct=16))
    (vectors,) = files_of(tmp_path)["matrix.dat"]
    flip(vectors)
    with pytest.raises(DamagedCollection, match=r"matrix.dat is damaged \(its bytes .*run 03_index again"):
        open_store(tmp_path).count("demo")
    (tmp_path / "demo" / "checksums.json").unlink()
    assert open_store(tmp_path).count("demo") == 3000


def test_a_changed_file_with_its_old_time_is_found_by_a_thorough_look(tmp_path):
    store = build(tmp_path, random_vectors(50), Hnsw())
    (tmp_path / "demo" / "checksums.json").touch()  # looked at later than anything is written
    vectors = max(files_of(tmp_path)["chunk_0.mmap"], key=lambda path: path.stat().st_blocks)
    time.sleep(0.05)
    flip(vectors)
    os.utime(tmp_path / "demo" / "checksums.json")
    assert store.count("demo") == 50
    with pytest.raises(DamagedCollection, match="chunk_0.mmap is damaged"):
        store.check("demo")


@pytest.mark.parametrize("damage", ["flip", "half", "empty", "gone"])
def test_any_damaged_file_is_named_before_the_engine_opens_it(tmp_path, damage):
    build(tmp_path / "whole", random_vectors(50), Hnsw())
    for name, paths in files_of(tmp_path / "whole").items():
        copy_folder(tmp_path / "whole", tmp_path / "store")
        file = tmp_path / "store" / paths[0].relative_to(tmp_path / "whole")
        if damage == "flip":
            if not any(file.read_bytes()):
                continue
            flip(file)
        elif damage == "gone":
            file.unlink()
        else:
            os.truncate(file, file.stat().st_size // 2 if damage == "half" else 0)
        with pytest.raises(DamagedCollection, match=f"{name} is damaged"):
            open_store(tmp_path / "store").count("demo")


def test_what_the_engine_cannot_open_or_panics_at_is_named(tmp_path):
    """As a build that was killed leaves it: without checksums."""
    store = build(tmp_path, random_vectors(3000, replace(SPACE, dimension=64)), Hnsw(m=8, ef_construct=16))
    whole = files_of(tmp_path)
    for name, found in (("segment.json", "failed to load segment"), ("id_tracker.mappings", "capacity")):
        (tmp_path / "demo" / "checksums.json").unlink(missing_ok=True)
        before = whole[name][0].read_bytes()
        whole[name][0].write_bytes(b"\x13garbage" * 300)
        with pytest.raises(DamagedCollection, match=rf"shard is damaged \(.*{found}.*run 03_index again"):
            store.count("demo")
        whole[name][0].write_bytes(before)
    assert store.count("demo") == 3000


def test_checksums_hold_while_it_is_read_and_go_before_it_is_changed(tmp_path):
    vectors = random_vectors(50)
    store, checksums = build(tmp_path, vectors, Hnsw()), tmp_path / "demo" / "checksums.json"
    written = checksums.read_bytes()
    for _ in range(2):
        assert len(store.search("demo", vectors.take(vectors.ids[:1]), 50)) == 50
        store.check("demo")
    assert checksums.read_bytes() == written
    with store.session():
        store.delete("demo", vectors.ids[:1].tolist())
        assert not checksums.exists()
    assert not checksums.exists()
    store.build("demo")
    assert checksums.exists()
    assert store.count("demo") == 49


def test_a_store_that_may_only_be_read_is_asked_from_a_copy(tmp_path, read_only):
    vectors = random_vectors(50)
    build(tmp_path / "store", vectors, Hnsw())
    before = sorted(tmp_path.rglob("*"))
    read_only(tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert str(store) == f"Store(Qdrant Edge at {tmp_path / 'store'}, read from a copy)"
    assert store.search("demo", vectors.take(vectors.ids[:1]), 1).table["item_id"].tolist() == [
        vectors.ids[0]
    ]
    for change in (
        lambda: store.drop("demo"),
        lambda: store.create("new", Schema(SPACE)),
        lambda: store.delete("demo", vectors.ids[:1].tolist()),
        lambda: store.build("demo"),
    ):
        with pytest.raises(PermissionError, match="store, read from a copy: nobody may write there"):
            change()
    assert sorted(tmp_path.rglob("*")) == before
    assert open_store(tmp_path / "store").count("demo") == 50


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "items.parquet").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="items.parquet is a file"):
        open_store(tmp_path / "items.parquet")


@pytest.mark.parametrize("name", ["scalar", "product", "binary", "turbo"])
def test_every_quantization_is_built_and_rescoring_finds_at_least_as_much(tmp_path, name):
    """Random vectors of 64 numbers: their copies alone lose neighbours, which rescoring finds again."""
    space = replace(SPACE, dimension=64)
    vectors = random_vectors(1500, space)
    store = build(tmp_path, vectors, Hnsw(m=16, ef=200, scan_kb=10), Quantization(name, oversampling=4))
    assert store.info("demo")["hnsw"]
    asked = Vectors(vectors.ids[:100], unit_rows(np.random.default_rng(1).standard_normal((100, 64))), space)
    exact = store.search("demo", asked, 10, exact=True).table

    def recall(**options) -> float:
        found = store.search("demo", asked, 10, **options).table
        return len(exact.merge(found, on=["query_id", "item_id"])) / len(exact)

    alone, rescored = recall(rescore=False, oversampling=1.0), recall()
    assert alone < 1  # the copies are what is searched
    assert alone < rescored
    assert rescored > 0.9 or name == "binary"
    assert recall(quantized=False) > 0.95


def test_the_memory_that_a_search_takes_is_measured_in_a_process_of_its_own(tmp_path):
    space = replace(SPACE, dimension=256)
    store = build(tmp_path, random_vectors(8000, space), Hnsw(m=8, ef_construct=16))
    queries = random_vectors(20, space)
    with store.session():
        assert store.count("demo") == 8000  # open here: it is closed for the other process
        taken = store.resident_bytes("demo", queries, exact=True)
    assert 8000 * 256 * 4 < taken < 10 * 8000 * 256 * 4  # all vectors are read
    assert store.count("demo") == 8000


def test_the_memory_of_a_named_vector_needs_its_modality(tmp_path):
    store, pairs = open_store(tmp_path), make_pairs()
    build_index(store, "demo", pairs.items, pairs.vectors, "named", progress=False)
    assert store.resident_bytes("demo-named", pairs.ask_texts, to="text", k=3) >= 0
    with pytest.raises(
        ValueError, match=r"the named layout needs the modality to search for, to=\['image', 'text'\]"
    ):
        store.resident_bytes("demo-named", pairs.ask_texts)


def test_a_measurement_that_fails_says_why(tmp_path):
    store = build(tmp_path, random_vectors(10), Hnsw())
    shutil.rmtree(tmp_path / "demo" / "shard" / "segments")
    (tmp_path / "demo" / "shard" / "segments").write_text("")
    with pytest.raises(RuntimeError, match="process to measure the memory of .*demo/shard failed: .*rror"):
        store._engine.resident_bytes("demo", random_vectors(2).array, Search(k=1, ef=1))


def test_only_the_files_of_edge_know_its_package():
    package = Path(mmlab.__file__).parent
    knowing = [file for file in package.rglob("*.py") if "qdrant_edge" in file.read_text(encoding="utf-8")]
    names = {file.relative_to(package).as_posix() for file in knowing}
    assert names == {"index/engines/bm25.py", "index/engines/edge_engine.py"}
