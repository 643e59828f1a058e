"""Building again: what is sent, what is deleted, what a kill leaves, and whose collections are touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mmlab.index import (
    Cluster,
    Hnsw,
    Index,
    NoCollection,
    Store,
    WrongSchema,
    build_index,
    open_index,
    open_store,
    push,
)
from mmlab.index.build import WrongCount
from mmlab.index.store.layouts import LAYOUTS, layout_of
from mmlab.index.store.schema import Schema
from mmlab.items import write_items
from tests.index.conftest import opened
from tests.index.loopback import http_server
from tests.index.pairs import BOTH, Pairs, make_pairs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
HNSW = Hnsw(m=64, ef_construct=1000, scan_kb=10)
WRITER = """
import sys
from mmlab.index import Hnsw, Store, build_index, open_store
from mmlab.items import Vectors, read_items
folder, layout = sys.argv[1:]
build = Store.build
def announced(*given):
    print("graph", flush=True)
    return build(*given)
Store.build = announced
print("go", flush=True)
build_index(open_store(folder + "/store"), "demo", read_items(folder + "/items.parquet"),
    [Vectors.load(folder + "/both.arrow")], layout, Hnsw(m=64, ef_construct=1000, scan_kb=10), batch=20, progress=False)
print("done", flush=True)
"""


@contextmanager
def writing(folder: Path, layout: str) -> Iterator[subprocess.Popen]:
    """A process that builds the index, killed when the block ends."""
    command = [sys.executable, "-c", WRITER, folder, layout]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGKILL)


def built(store, name: str, pairs: Pairs, layout: str = "unified", **settings) -> Index:
    return build_index(store, name, pairs.items, pairs.vectors, layout, progress=False, **settings)


def totals(index: Index) -> list[int]:
    return index.report[["were_there", "sent", "deleted"]].sum().tolist()


@pytest.mark.parametrize(
    "location",
    [
        "localhost:6333",
        "GRPC://localhost:6334",
        "grpc://localhost:6334",
        "me:secret@qdrant.example.org:6333?key=secret",
        ":memory:",
    ],
)
def test_an_address_is_not_taken_for_a_folder(location, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"Qdrant server by the http\(s\):// URL .*http://localhost:6333; found"
    ) as no:
        open_store(location)
    assert "secret" not in str(no.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("layout", "points"), [("unified", 112), ("separate", 112), ("named", 51)])
def test_what_is_there_is_not_sent_again(store, name, layout, points):
    pairs = make_pairs()
    assert totals(built(store, name, pairs, layout)) == [0, points, 0]
    assert totals(built(store, name, pairs, layout)) == [points, 0, 0]


@pytest.mark.parametrize(("layout", "sent"), [("unified", 2), ("separate", 2), ("named", 1)])
def test_changed_rows_are_replaced_and_vanished_ones_deleted(store, name, layout, sent):
    """A caption has a point in each of two spaces; in the named layout both vectors lie in one."""
    pairs = make_pairs()
    built(store, name, pairs, layout)
    caption = pairs.items.index[pairs.items["text"] == "text 1"][0]
    alone = pairs.items.index[pairs.items["pair_id"].isna()][0]
    changed = pairs.items.copy()
    changed.loc[caption, "label"] = "new"
    again = build_index(store, name, changed.drop(index=alone), pairs.vectors, layout, progress=False)
    assert totals(again)[1:] == [sent, sent]
    assert again.items({"label": "new"}, "text")["item_id"].tolist() == [pairs.items.loc[caption, "item_id"]]
    assert again.count("text") == 39


def test_a_moved_vector_is_sent_again(store, name):
    pairs = make_pairs()
    build_index(store, name, pairs.items, [pairs.both], progress=False)
    moved = replace(pairs.both, array=pairs.both.array[::-1])
    assert totals(build_index(store, name, pairs.items, [moved], progress=False)) == [0, 72, 0]


def test_a_vector_that_vanished_from_a_point_is_not_found(store, name):
    pairs = make_pairs()
    built(store, name, pairs, "named")
    images = pairs.items.loc[pairs.items["modality"] == "image", "item_id"]
    fewer = pairs.both.take([item for item in pairs.both.ids if item != images.iloc[0]])
    again = build_index(store, name, pairs.items, [pairs.texts, fewer], "named", progress=False)
    assert images.iloc[0] not in set(again.search(pairs.ask_both, "image", 31).table["item_id"])


@pytest.mark.parametrize("layout", ["unified", "separate", "named"])
def test_other_settings_make_the_collections_anew(store, name, layout):
    pairs = make_pairs()
    points = totals(built(store, name, pairs, layout))[1]
    other = built(store, name, pairs, layout, hnsw=Hnsw(m=8), quantization="scalar", replace=True)
    assert totals(other) == [0, points, 0]
    schemas = open_index(store, name, layout).schemas
    assert schemas == other.schemas
    assert {(schema.hnsw.m, schema.quantization.kind) for schema in schemas.values()} == {(8, "scalar")}


def test_a_space_that_is_no_longer_wanted_goes(store, name):
    pairs = make_pairs()
    before = set(store.collections())
    built(store, name, pairs)
    assert len(set(store.collections()) - before) == 2
    build_index(store, name, pairs.items, [pairs.both], replace=True, progress=False)
    assert set(store.collections()) - before == {f"{name}-unified"}


def test_collections_of_others_are_left_alone(store, name):
    pairs = make_pairs()
    store.create(f"{name}-unified", Schema(BOTH, {"label": "keyword"}))
    store.create(name, Schema(BOTH))
    with pytest.raises(WrongSchema, match=f"'{name}-unified' exists with another schema"):
        built(store, name, pairs, replace=True)
    assert {name, f"{name}-unified"} <= set(store.collections())


def test_vectors_must_be_of_the_items_and_each_of_its_own_space(tmp_path):
    store, pairs = open_store(tmp_path), make_pairs()
    with pytest.raises(ValueError, match="each of a space of its own"):
        build_index(store, "demo", pairs.items, [pairs.both, pairs.both])
    with pytest.raises(ValueError, match="none of the 2 vectors in both-.* is of one of the items"):
        build_index(store, "demo", pairs.items, [pairs.ask_both])
    with pytest.raises(
        ValueError, match="parameter layout: expected one of unified, separate, named, found 'flat'"
    ):
        built(store, "demo", pairs, "flat")


def test_another_layout_stays_while_it_holds_the_same_and_goes_when_it_is_outdated(tmp_path):
    """Beside the new index, the answers of the old one would be compared with it."""
    store = open_store(tmp_path)
    few, more = make_pairs(4), make_pairs(5)
    for layout in ("named", "separate", "unified"):
        built(store, "demo", few, layout)
    assert {one.layout for one in built(store, "demo", few).other_layouts()} == {"named", "separate"}
    assert built(store, "demo", more).other_layouts() == []
    built(store, "demo", more, "separate")
    assert [one.layout for one in built(store, "demo", more).other_layouts()] == ["separate"]
    assert built(store, "demo", more, quantization="none").other_layouts() == []


def test_another_layout_that_cannot_be_read_goes(tmp_path):
    store = open_store(tmp_path)
    for layout in ("named", "unified"):
        built(store, "demo", make_pairs(4), layout)
    store.close()
    (tmp_path / "demo-named" / "schema.json").write_text("{")
    assert built(store, "demo", make_pairs(4)).other_layouts() == []
    assert not any(name.startswith("demo-named") for name in store.collections())


def test_a_folder_is_one_shard(tmp_path):
    store = open_store(tmp_path)
    with pytest.raises(ValueError, match="is one shard on this machine; only a server has Cluster"):
        built(store, "demo", make_pairs(), cluster=Cluster(shards=2))
    index = built(store, "demo", make_pairs())
    with pytest.raises(ValueError, match="is one shard on this machine"):
        built(store, "demo", make_pairs(), cluster=Cluster(shards=2))
    assert index.count() == 72


@pytest.fixture
def kept(tmp_path) -> Pairs:
    """600 pairs, 1,081 items: 55 batches of 20 points, then a graph; written down for another process."""
    pairs = make_pairs(600)
    pairs = replace(pairs, items=pairs.items.assign(split="test", content=pairs.items["item_id"]))
    write_items(pairs.items, tmp_path / "items.parquet")
    pairs.both.save(tmp_path / "both.arrow")
    return pairs


def finish(store, pairs: Pairs, folder: Path, layout: str) -> Index:
    """Build what a killed process left, and look whether all is there."""
    items = pd.read_parquet(folder / "items.parquet")
    index = build_index(store, "demo", items, [pairs.both], layout, HNSW, progress=False)
    assert index.count() == len(items)
    held = index.collections()
    # a kill splits, and small parts get no graph: the vectors of each name in each segment
    scanned = 4 * 8 * (held["points"] - held["indexed_vectors"])  # bytes
    names = 2 if layout == "named" else 1
    assert (scanned <= 1024 * HNSW.scan_kb * held["segments"] * names).all()
    assert len(index.search(pairs.ask_both, "image", 20)) == 40
    assert totals(build_index(store, "demo", items, [pairs.both], layout, HNSW, progress=False))[1:] == [0, 0]
    return index


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_killed_build_leaves_a_store_that_opens_and_is_finished_by_the_next(tmp_path, kept, layout):
    store, there = open_store(tmp_path / "store", wait=0), 0
    for delay in (0.05, 0.25):
        with writing(tmp_path, layout) as child:
            assert child.stdout.readline() == "go\n"
            time.sleep(delay)
        found = sum(len(store.fingerprints(name)) for name in store.collections())
        assert found >= there
        there = found
    index = finish(store, kept, tmp_path, layout)
    assert totals(index)[0] >= there


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    ("layout", "collection"), [("unified", "demo-unified"), ("separate", "demo-separate-image")]
)
def test_a_kill_while_the_graph_is_built_loses_no_point(tmp_path, kept, layout, collection):
    store = open_store(tmp_path / "store", wait=0)
    with writing(tmp_path, layout) as child:
        assert [child.stdout.readline(), child.stdout.readline()] == ["go\n", "graph\n"]
        time.sleep(0.02)
    assert child.stdout.closed and child.returncode == -signal.SIGKILL
    sent = len(store.fingerprints(collection))
    assert sent == {"unified": 1081, "separate": 480}[layout]
    assert not store.info(collection)["hnsw"]
    index = finish(store, kept, tmp_path, layout)
    assert totals(index) == [sent, 1081 - sent, 0]


PAIRS = make_pairs(20)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pushed_index_answers_the_same(engine, name, tmp_path, layout):
    source = open_store(tmp_path / "source")
    here = build_index(source, name, PAIRS.items, PAIRS.vectors, layout, progress=False)
    with opened(engine, tmp_path / "target") as target:
        pushed = push(source, name, target, layout, batch=7, progress=False)
        there = open_index(target, name, layout)
        assert there.schemas == here.schemas == pushed.schemas
        assert totals(pushed) == totals(here)
        for asked, to in ((PAIRS.ask_both, "image"), (PAIRS.ask_both, "text"), (PAIRS.ask_texts, "text")):
            found = there.search(asked, to, 5).table
            assert found["item_id"].tolist() == here.search(asked, to, 5).table["item_id"].tolist()
        held = here.items()
        if target.shared:  # the paths of images are those of this machine
            assert held["image"].notna().any()
            held = held.assign(image=pd.Series(None, held.index, dtype="str"))
        assert there.items().equals(held)
        own = PAIRS.items.set_index("item_id")["image"]
        assert replace(there, images=own).items().equals(here.items())
        ids = here.items()["item_id"].tolist()[:5]
        assert replace(there, images=own).fetch(ids).equals(here.fetch(ids))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_shared_server_is_sent_no_path_of_an_image(tmp_path, layout):
    items = PAIRS.items.assign(image=PAIRS.items["image"].map("/home/somebody/{}".format, na_action="ignore"))
    source = open_store(tmp_path / "source")
    build_index(source, "demo", items, PAIRS.vectors, layout, progress=False)
    with opened("memory", tmp_path / "pushed") as pushed, opened("memory", tmp_path / "built") as built:
        push(source, "demo", pushed, layout, progress=False)
        assert totals(push(source, "demo", pushed, layout, progress=False))[1:] == [0, 0]
        build_index(built, "demo", items, PAIRS.vectors, layout, progress=False)
        assert totals(build_index(built, "demo", items, PAIRS.vectors, layout, progress=False))[1:] == [0, 0]
        for store in (pushed, built):
            held = [str(record) for name in store.collections() for record in store.records(name)]
            assert len(held) >= 20 and not any("somebody" in record for record in held)
    assert any("somebody" in str(record) for name in source.collections() for record in source.records(name))


def test_a_push_goes_on_where_it_stopped_and_follows_the_source(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    points = len(PAIRS.items)
    assert totals(push(source, "demo", target, progress=False)) == [0, points, 0]
    target.delete("demo-unified", PAIRS.items["item_id"].iloc[:4].tolist())
    assert totals(push(source, "demo", target, progress=False)) == [points - 4, 4, 0]
    build_index(source, "demo", PAIRS.items.iloc[3:], [PAIRS.both], progress=False)
    assert totals(push(source, "demo", target, progress=False)) == [points - 3, 0, 3]


def test_batches_leave_no_point_out_whatever_their_size(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    points = len(PAIRS.items)
    for batch, kept in ((3, points), (2, points - 7), (50, points - 8), (1, points - 11), (7, points)):
        items = PAIRS.items.iloc[points - kept :]
        built = build_index(source, "demo", items, [PAIRS.both], batch=batch, progress=False)
        pushed = push(source, "demo", target, batch=batch, progress=False)
        for index in (built, pushed):
            assert index.items()["item_id"].tolist() == sorted(items["item_id"])
        before = totals(built)
        assert before == totals(pushed)
        assert before[0] + before[1] == kept
        assert pushed.report["points"].tolist() == [kept]
        assert (built.report[["upsert_s", "build_s"]] >= 0).all(axis=None)
        assert built.report["collection"].tolist() == pushed.report["collection"].tolist() == ["demo-unified"]


def test_a_server_and_a_folder_are_waited_for_as_long_as_asked(tmp_path):
    with http_server(**{"GET /collections": [{"collections": []}]}) as server:
        for given, seconds in (({}, 60), ({"timeout": 5}, 5)):
            store = open_store(server.url, **given)
            assert store._engine._client.client._client._timeout == seconds
        assert open_store(server.url.replace("http", "HTTP")).shared
    assert open_store(tmp_path)._engine.session()._wait == 10
    assert open_store(str(tmp_path), wait=0.5)._engine.session()._wait == 0.5


def test_a_changed_point_is_sent_again(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    push(source, "demo", target, progress=False)
    edited = PAIRS.items.assign(label=PAIRS.items["label"].where(PAIRS.items["price"] != 1, "new"))
    build_index(source, "demo", edited, [PAIRS.both], progress=False)
    changed = int((PAIRS.items["price"] == 1).sum())
    points = len(PAIRS.items)
    assert totals(push(source, "demo", target, progress=False)) == [points - changed, changed, 0]
    assert len(open_index(target, "demo").items({"label": "new"})) == changed > 0


def test_points_without_a_fingerprint_are_always_sent(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    index = build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    ((name, schema),) = index.schemas.items()
    for store in (source, target):
        store.create(name, schema)
        store.upsert(name, layout_of(schema).arrange(PAIRS.items, [PAIRS.both]))
    points = len(PAIRS.items)
    assert set(source.fingerprints(name).values()) == {-1}
    assert totals(push(source, "demo", target, progress=False)) == [0, points, 0]


def test_a_push_that_cannot_be_says_why(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    with pytest.raises(NoCollection, match="no collection 'demo \\(unified layout\\)'"):
        push(source, "demo", target)
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    with pytest.raises(ValueError, match="only a server has Cluster"):
        push(source, "demo", target, cluster=Cluster(shards=2), progress=False)
    target.create("demo-unified", Schema(BOTH))
    with pytest.raises(WrongSchema, match="'demo-unified' exists with another schema"):
        push(source, "demo", target, progress=False)


class Losing(Store):
    """A store that loses what it is sent."""

    def upsert_records(self, collection, records, batch, sent):
        pass


def test_counts_that_differ_in_the_end_are_an_error(tmp_path):
    source, target = open_store(tmp_path / "source"), Losing(open_store(tmp_path / "target")._engine)
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    with pytest.raises(WrongCount, match="holds 0 of 36 points; is another process writing"):
        push(source, "demo", target, progress=False)
