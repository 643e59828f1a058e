"""What is in the way of an index: what may go, what stays, and which words say so."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from mmlab.index import (
    Cluster,
    Hnsw,
    Quantization,
    Store,
    WrongSchema,
    build_index,
    open_index,
    open_store,
    push,
)
from mmlab.index.collections import collection_name, plan_index
from mmlab.index.store.layouts import LAYOUTS
from mmlab.index.store.schema import OldSchema, Schema
from tests.index.conftest import opened
from tests.index.pairs import BOTH, make_pairs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
PAIRS = make_pairs(12)
WIDE = Cluster(2, 2, 2)


@pytest.fixture
def server(tmp_path):
    """A store that is shared, without a server."""
    with opened("memory", tmp_path) as store:
        yield store


@pytest.fixture
def source(tmp_path) -> Store:
    """A folder with the index "demo"."""
    store = open_store(tmp_path / "source")
    build(store)
    return store


def build(store: Store, items: pd.DataFrame = PAIRS.items, **settings):
    return build_index(store, "demo", items, [PAIRS.both], progress=False, **settings)


def shift(store: Store, **settings):
    return push(store, "demo", settings.pop("to"), progress=False, **settings)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_collection_is_planned_with_the_settings_that_are_given(layout):
    given = {"hnsw": Hnsw(m=8), "quantization": Quantization("binary"), "on_disk": True}
    planned = plan_index("demo", layout, PAIRS.items, [PAIRS.both], **given)
    for schema in planned.values():
        assert {name: getattr(schema, name) for name in given} == given
        assert (schema.layout, schema.index) == (layout, "demo")
    assert not any(s.on_disk for s in plan_index("demo", layout, PAIRS.items, [PAIRS.both]).values())


def test_a_plain_push_or_build_keeps_how_a_server_spreads_the_collection(source, server):
    points = len(PAIRS.items)
    assert shift(source, to=server, cluster=WIDE).report["sent"].tolist() == [points]
    again = shift(source, to=server)
    assert again.report[["were_there", "sent"]].to_numpy().tolist() == [[points, 0]]
    assert build(server).report["sent"].tolist() == [0]
    for index in (again, build(server), open_index(server, "demo")):
        assert [schema.cluster for schema in index.schemas.values()] == [WIDE]


def test_a_build_and_a_push_show_how_far_they_are_if_told_to(source, server, capfd):
    shift(source, to=server)
    assert capfd.readouterr().err == ""
    push(source, "demo", server, progress=True)
    build_index(server, "demo", PAIRS.items, [PAIRS.both], progress=True)
    shown = capfd.readouterr().err
    assert shown.count("demo-unified: 100%") == 2
    assert "point/s" in shown


def test_a_push_replaces_what_differs_only_if_told_to(source, server):
    shift(source, to=server)
    build(source, hnsw=Hnsw(m=8))
    with pytest.raises(
        WrongSchema, match=r"not replaced: they differ in hnsw.m: 64 and 8 .*mmlab push --replace"
    ):
        shift(source, to=server)
    assert open_index(server, "demo").schemas["demo-unified"].hnsw.m == 64
    with pytest.raises(WrongSchema, match=r"cluster.shards: 1 and 2; cluster.replicas"):
        shift(source, to=server, cluster=WIDE)
    replaced = shift(source, to=server, replace=True)
    assert replaced.report["sent"].tolist() == [len(PAIRS.items)]
    assert open_index(server, "demo").schemas["demo-unified"].hnsw.m == 8


def test_an_empty_collection_is_in_nobodys_way(source, server):
    (schema,) = open_index(source, "demo").schemas.values()
    server.create("demo-unified", replace(schema, hnsw=Hnsw(m=8)))
    assert shift(source, to=server).report["sent"].tolist() == [len(PAIRS.items)]


def test_the_index_of_another_user_of_the_same_name_stays(source, server):
    """The same settings, the same space, other items."""
    half = len(PAIRS.items) // 2
    mine, other = PAIRS.items.iloc[:half], PAIRS.items.iloc[half:]
    build(server, other)
    for again in (lambda: build(server, mine), lambda: shift(source, to=server)):
        build(source, mine)
        with pytest.raises(WrongSchema, match=f"none of its {len(other)} points is of the index"):
            again()
    assert open_index(server, "demo").count() == len(other)
    assert shift(source, to=server, replace=True).count() == len(mine)


def test_a_space_that_is_not_given_any_more_stays_on_a_server(server):
    build_index(server, "demo", PAIRS.items, PAIRS.vectors, progress=False)
    with pytest.raises(WrongSchema, match=r"it holds vectors of texts-\w+, of which none are given"):
        build(server)
    assert len(open_index(server, "demo").schemas) == 2
    assert len(build(server, replace=True).schemas) == 1
    assert len(open_index(server, "demo").schemas) == 1


def test_a_folder_is_the_runs_own(tmp_path):
    store = open_store(tmp_path)
    build(store)
    assert not open_index(store, "demo").schemas["demo-unified"].on_disk
    assert build(store, hnsw=Hnsw(m=8)).schemas["demo-unified"].hnsw.m == 8
    with pytest.raises(WrongSchema, match="hnsw.m: 8 and 64"):
        build(store, replace=False)


def test_an_older_index_in_a_folder_is_made_anew_and_stays_where_it_may_not(tmp_path):
    store = open_store(tmp_path)
    build(store)
    age(tmp_path / "demo-unified" / "schema.json")
    with pytest.raises(WrongSchema, match="not replaced: .* was made by an older mmlab"):
        build(store, replace=False)
    with pytest.raises(OldSchema, match="'demo-unified' was made by an older mmlab: run 03_index again"):
        open_index(store, "demo")
    assert build(store).report["sent"].tolist() == [len(PAIRS.items)]


@pytest.mark.parametrize("gone", [0, 1])
def test_a_collection_that_is_made_otherwise_is_found_beside_one_that_is_gone_or_old(tmp_path, gone):
    store = open_store(tmp_path)
    names = list(build(store, layout="separate").schemas)
    other = names[1 - gone]
    store.drop(names[gone])
    with pytest.raises(WrongSchema, match=f"{other}' in .* is not replaced: they differ in hnsw.m: 64 and 8"):
        build(store, layout="separate", hnsw=Hnsw(m=8), replace=False)
    build(store, layout="separate")
    age(tmp_path / names[gone] / "schema.json")
    build(store, layout="separate", hnsw=Hnsw(m=8))
    assert {schema.hnsw.m for schema in open_index(store, "demo", "separate").schemas.values()} == {8}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("demo", "unified"), "demo-unified"),
        (("demo", "separate", "clip-9a22c5cf", "text"), "demo-separate-clip-9a22c5cf-text"),
        (("Ünlike a name", "unified"), "r--nlike-a-name-cc7217b3-unified"),
        (
            ("Ünlike a name", "separate", "clip-9a22c5cf", "text"),
            "r--nlike-a-name-67dcafbb-separate-9a22c5cf-text",
        ),
    ],
)
def test_an_index_finds_its_collections_by_the_same_names_again(arguments, expected):
    assert collection_name(*arguments) == expected


def test_a_name_that_is_too_long_is_cut_to_what_a_collection_may_have():
    name = collection_name("a" * 100, "separate", "clip-9a22c5cf", "image")
    assert len(name) == 63
    assert name.endswith("-separate-9a22c5cf-image")
    assert name.startswith("r-" + "a" * 28 + "-")
    short = collection_name("A b" * 30, "unified")
    assert short.startswith("r-a-ba-ba-ba-ba-ba-ba-ba-ba-ba-ba-ba-ba-")
    assert len(short) == 40 + len("-12345678-unified")
    assert collection_name("a" * 55, "unified") == "a" * 55 + "-unified"  # 63 letters
    assert collection_name("a" * 56, "unified") != "a" * 56 + "-unified"


@pytest.mark.parametrize("run", ["demo", "Ünlike a name", "a" * 60])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_part_that_cannot_be_read_is_named_when_the_index_is_opened(tmp_path, layout, run):
    store = open_store(tmp_path)
    index = build_index(store, run, PAIRS.items, PAIRS.vectors, layout, progress=False)
    store.create("demo-other", Schema(BOTH))
    (tmp_path / "demo-other" / "schema.json").write_text("{")  # not a name of this index
    for collection in index.schemas:
        file = tmp_path / collection / "schema.json"
        there = file.read_text()
        file.write_text("{")
        with pytest.raises(WrongSchema, match=f"{collection}/schema.json is damaged"):
            open_index(store, run, layout)
        file.write_text(there)
        age(file)
        with pytest.raises(OldSchema, match=f"{collection!r} was made by an older mmlab"):
            open_index(store, run, layout)
        file.write_text(there)
    assert open_index(store, run, layout).schemas == index.schemas


def age(file) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 1}))


@pytest.mark.parametrize("damage", ["schema.json", "no schema", "segment.json"])
def test_a_damaged_collection_in_a_folder_is_built_anew_and_the_report_tells(tmp_path, damage):
    store = open_store(tmp_path)
    build(store)
    (folder,) = (path.parent for path in tmp_path.glob("*/schema.json"))
    if damage == "schema.json":
        (folder / "schema.json").write_text('{"format":')
    elif damage == "no schema":
        (folder / "schema.json").write_text("{}")
    else:
        next(folder.rglob("segment.json")).write_bytes(b"")
    with pytest.raises(WrongSchema, match="is damaged .*: run 03_index again, which drops the collection"):
        open_index(store, "demo")
    built = build(store)
    assert "is damaged" in built.report["damage"].iloc[0]
    assert built.report["sent"].iloc[0] == built.count() == len(PAIRS.items)
    again = build(store)
    assert again.report[["damage", "sent"]].to_numpy().tolist() == [["", 0]]


def test_a_damaged_collection_of_another_layout_is_dropped(tmp_path):
    store = open_store(tmp_path)
    build(store, layout="separate")
    next((tmp_path / store.collections()[0]).rglob("segment.json")).write_bytes(b"")
    build(store)
    assert sorted(store.collections()) == ["demo-separate-text", "demo-unified"]
    assert len(open_index(store, "demo").schemas) == 1


def test_a_collection_of_a_newer_version_is_not_taken_for_damaged(tmp_path):
    store = open_store(tmp_path)
    index = build(store)
    file = tmp_path / next(iter(index.schemas)) / "schema.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(WrongSchema, match="no schema that this version of mmlab can read"):
        build(store)
