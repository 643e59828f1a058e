"""From a folder to another store: everything arrives, nothing is sent twice, and the counts are held."""

import pytest

from mmlab.index import Cluster, NoCollection, Store, WrongSchema, build_index, open_index, open_store, push
from mmlab.index.push import PushFailed
from mmlab.index.schema.schema import Schema
from mmlab.index.store.layouts import LAYOUTS, layout_of
from tests.index.conftest import opened
from tests.index.pairs import BOTH, make_pairs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
PAIRS = make_pairs(20)


def totals(index) -> list[int]:
    return index.report[["were_there", "sent", "deleted"]].sum().tolist()


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
            found = there.search(asked, to, 5)
            assert found["item_id"].tolist() == here.search(asked, to, 5)["item_id"].tolist()
        assert there.items().equals(here.items())


def test_a_push_goes_on_where_it_stopped_and_follows_the_source(tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    points = len(PAIRS.items)
    assert totals(push(source, "demo", target, progress=False)) == [0, points, 0]
    target.delete("demo-unified", PAIRS.items["item_id"].iloc[:4].tolist())
    assert totals(push(source, "demo", target, progress=False)) == [points - 4, 4, 0]
    build_index(source, "demo", PAIRS.items.iloc[3:], [PAIRS.both], progress=False)
    assert totals(push(source, "demo", target, progress=False)) == [points - 3, 0, 3]


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

    def upsert_records(self, collection, records):
        pass


def test_counts_that_differ_in_the_end_are_an_error(tmp_path):
    source, target = open_store(tmp_path / "source"), Losing(open_store(tmp_path / "target")._engine)
    build_index(source, "demo", PAIRS.items, [PAIRS.both], progress=False)
    with pytest.raises(PushFailed, match="points here, 0 there after the push"):
        push(source, "demo", target, progress=False)
