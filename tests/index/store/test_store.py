"""The contract of a store, held by every engine: see `store` in conftest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mmlab.index import Hnsw, NoCollection, Store, WrongSchema, open_store
from mmlab.index.engines.edge_engine import EdgeEngine
from mmlab.index.store.engine import Examples
from mmlab.index.store.schema import Schema
from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows
from tests.index.conftest import upsert

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)
TOY = "mmlab-test-toy"
OTHER = replace(SPACE, model="mmlab/other")


def uid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012x}"


def query(*rows: list[float], space: Space = SPACE) -> Vectors:
    return Vectors([f"q{i}" for i in range(len(rows))], np.array(rows), space)


X = query([1, 0, 0])


def found(store: Store, name: str, **arguments: object) -> list[str]:
    return store.search(name, X, 10, **arguments).table["item_id"].tolist()


def test_search_ranks_by_cosine(filled):
    hits = filled.search(TOY, X, 3).table
    assert hits.columns.tolist() == ["query_id", "item_id", "rank", "score"]
    assert hits["item_id"].tolist() == [uid(1), uid(2), uid(3)]
    assert hits["rank"].tolist() == [1, 2, 3]
    assert hits["score"].dtype == np.float32
    np.testing.assert_allclose(hits["score"], [1, 0.8, 0.6], atol=1e-6)


def test_search_keeps_the_order_of_the_queries(filled):
    hits = filled.search(TOY, query([0, 0, 1], [-1, 0, 0]), 1).table
    assert hits["query_id"].tolist() == ["q0", "q1"]
    assert hits["item_id"].tolist() == [uid(4), uid(5)]


def test_a_k_beyond_the_collection_returns_all(filled):
    assert found(filled, TOY) == [uid(i) for i in range(1, 6)]
    assert len(filled.search(TOY, X, 10**9)) == 5


def test_equal_scores_are_in_the_order_of_the_ids(store, name):
    store.create(name, Schema(SPACE, {}))
    ids = [uid(i) for i in (7, 3, 9, 1)]
    upsert(store, name, Vectors(ids, np.tile([1, 0, 0], (4, 1)), SPACE), pd.DataFrame({"item_id": ids}))
    assert found(store, name) == [uid(i) for i in (1, 3, 7, 9)]


def test_an_empty_collection_or_no_query_gives_empty_rankings(store, name, toy):
    store.create(name, toy.schema)
    assert store.search(name, X, 3).table.empty
    assert store.search(name, Vectors([], np.empty((0, 3)), SPACE), 3).table.empty
    assert store.items(name).empty
    assert store.count(name) == 0


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"modality": "image"}, [1, 3, 5]),
        ({"modality": ["image", "text"]}, [1, 2, 3, 4, 5]),
        ({"label": ["cup", "lamp"], "modality": "image"}, [1, 5]),
        ({"label": "nothing"}, []),
        ({"size (cm)": 10}, [1, 5]),
        ({"size (cm)": np.array([20, 40])}, [2, 4]),
        ({"price": 1.5}, [1, 4]),
        ({"price": [2.25, 4]}, [3, 5]),
        ({"new": True}, [1, 4]),
        ({"new": [True, False]}, [1, 2, 4, 5]),
        ({"price": {"gte": 1.5, "not": 2.25}}, [1, 4, 5]),
        ({"price": {"gte": 1.5, "lt": 4, "not": [1.5]}}, [3]),
        ({"size (cm)": {"not": [10, 40]}, "modality": "image"}, [3]),
        ({"new": {"not": True}}, [2, 3, 5]),
        ({"label": {"not": "cup"}, "price": {"lte": 2.25}}, [3, 4]),
        ({}, [1, 2, 3, 4, 5]),
    ],
)
def test_where_lets_through_what_meets_all_of_it(filled, where, expected):
    ids = [uid(i) for i in expected]
    assert found(filled, TOY, where=where) == ids
    assert filled.items(TOY, where=where)["item_id"].tolist() == ids
    assert filled.count(TOY, where=where) == len(ids)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"colour": "red"}, r"no filterable field 'colour'; there are \['modality', 'label'"),
        ({"text": "a cup"}, "no filterable field 'text'"),
        ({"label": []}, "'label': the list of allowed values is empty"),
        ({"label": None}, "'label' holds keyword, found None"),
        ({"size (cm)": "ten"}, "expected integer, found 'ten'"),
        ({"new": 1}, "expected bool, found 1"),
    ],
)
def test_a_wrong_where_is_refused(filled, where, message):
    with pytest.raises(ValueError, match=message):
        filled.search(TOY, X, 3, where=where)


@pytest.mark.parametrize(
    ("field", "where", "counts"),
    [
        ("label", None, {"cup": 2, "shoe": 1, "lamp": 1}),
        ("label", {"modality": "image"}, {"cup": 1, "shoe": 1, "lamp": 1}),
        ("size (cm)", None, {10: 2, 20: 1, 40: 1}),
        ("new", None, {True: 2, False: 2}),
        ("price", None, {1.5: 2, 2.25: 1, 4.0: 1}),
        ("label", {"price": {"gt": 9}}, {}),
    ],
)
def test_facets_count_the_values_of_a_field(filled, field, where, counts):
    assert filled.facets(TOY, field, where) == counts


@pytest.mark.parametrize(
    ("k", "ef", "message"),
    [(0, None, "k: expected a whole number from 1"), (3, 0, "ef: expected a whole number from 1")],
)
def test_numbers_below_one_are_refused(filled, k, ef, message):
    with pytest.raises(ValueError, match=message):
        filled.search(TOY, X, k, ef=ef)


def test_vectors_of_another_space_are_refused(filled, toy):
    with pytest.raises(SpaceMismatch, match="'mmlab/toy' and 'mmlab/other'.*Embed with mmlab/toy"):
        filled.search(TOY, query([1, 0, 0], space=OTHER), 3)
    with pytest.raises(SpaceMismatch, match="mmlab/other"):
        upsert(filled, TOY, Vectors(toy.vectors.ids, toy.vectors.array, OTHER), toy.payload)
    with pytest.raises(SpaceMismatch, match="mmlab/other"):
        filled.create(TOY, replace(toy.schema, space=OTHER))


def test_create_again_changes_nothing(own, name, toy):
    own.create(name, toy.schema)
    assert own.count(name) == 5
    assert own.schema(name) == toy.schema


def test_create_with_another_schema_names_what_differs(filled, toy):
    changed = replace(
        toy.schema, fields={**toy.schema.fields, "label": "text", "colour": "keyword"}, hnsw=Hnsw(m=16)
    )
    message = (
        r"fields.label: keyword and text; hnsw.m: 8 and 16; fields.colour: absent and keyword.*Drop it first"
    )
    with pytest.raises(WrongSchema, match=message):
        filled.create(TOY, changed)


def test_an_unknown_collection_is_named_with_those_there(filled):
    with pytest.raises(NoCollection, match=rf"no collection 'nope'; the store has \[.*'{TOY}'"):
        filled.search("nope", X, 3)


@pytest.mark.parametrize("wrong", ["", "Demo", "../demo", "a b", "-a", "a" * 64, ".lock"])
def test_names_of_collections_are_checked(store, wrong, toy):
    with pytest.raises(ValueError, match="the name of a collection is"):
        store.create(wrong, toy.schema)


def test_drop_removes_and_may_be_repeated(own, name, toy):
    own.drop(name)
    own.drop(name)
    assert name not in own.collections()
    own.create(name, replace(toy.schema, fields={}))
    assert own.count(name) == 0


def test_payloads_come_back_typed(filled, toy):
    expected = toy.payload.astype({"size (cm)": "Int64", "new": "boolean"})
    assert_frame_equal(filled.items(TOY), expected)
    found = filled.payloads(TOY, [uid(4), uid(1), uid(4)])
    assert sorted(found) == [uid(1), uid(4)]
    assert found[uid(4)] == {
        "modality": "text",
        "size (cm)": 40,
        "price": 1.5,
        "new": True,
        "text": "ein Lämpchen 灯",
    }


def test_ids_that_do_not_exist_are_left_out(filled):
    unknown = [uid(9), "no uuid", uid(1).upper()]
    assert list(filled.payloads(TOY, [uid(1), *unknown])) == [uid(1)]
    assert list(filled.rows(TOY, [uid(1), *unknown], SPACE)) == [uid(1)]


def test_vectors_come_back(filled, toy):
    rows = filled.rows(TOY, [uid(3), uid(2)], SPACE)
    np.testing.assert_allclose([rows[uid(3)], rows[uid(2)]], toy.vectors.array[[2, 1]], atol=1e-6)
    with pytest.raises(SpaceMismatch, match="mmlab/other"):
        filled.rows(TOY, [uid(3)], OTHER)


def test_upsert_again_replaces_by_id(own, name, toy):
    changed = toy.payload.assign(label="new", price=np.nan)
    moved = Vectors(toy.vectors.ids, toy.vectors.array[::-1], SPACE)
    upsert(own, name, moved, changed, batch=2)
    assert own.count(name) == 5
    assert found(own, name)[0] == uid(5)
    assert set(own.items(name)["label"]) == {"new"}
    assert own.items(name)["price"].isna().all()


def test_delete_passes_over_unknown_ids(own, name):
    own.delete(name, [uid(1), uid(99)])
    assert found(own, name) == [uid(i) for i in range(2, 6)]
    with pytest.raises(ValueError, match="lower-case uuid.*found 'x'"):
        own.delete(name, ["x"])


def test_ids_must_be_uuids(filled, toy):
    ids = [f"item {i}" for i in range(5)]
    with pytest.raises(ValueError, match="lower-case uuid.*found 'item 0'"):
        upsert(filled, TOY, Vectors(ids, np.tile([1, 0, 0], (5, 1)), SPACE), toy.payload.assign(item_id=ids))


def test_a_session_keeps_its_place_and_may_be_nested(own, name, toy):
    with own.session() as outer, own.session() as inner:
        assert inner is outer is own
        for i in range(5):
            upsert(own, name, toy.vectors.take([uid(i + 1)]), toy.payload[i : i + 1])
            assert own.count(name) == 5
    assert own.count(name) == 5


def test_an_error_in_a_session_closes_it(filled):
    with pytest.raises(ZeroDivisionError), filled.session():
        assert filled.count(TOY) / 0
    assert filled.count(TOY) == 5


def test_every_copy_holds_as_many_points(filled):
    assert filled.count_by_copies("mmlab-test-toy") == (5, 5)
    assert len(filled.fingerprints("mmlab-test-toy")) == 5


def test_build_and_info_tell_what_is_there(own, name):
    built = own.build(name)
    assert built["points"] == own.info(name)["points"] == 5
    assert not built["hnsw"]  # 60 bytes are scanned, not walked


class Sized(EdgeEngine):
    """An engine with `sizes`: points, and vectors in the graph."""

    sizes = (0, 0)

    def info(self, name):
        return {**super().info(name), "points": self.sizes[0], "indexed_vectors": self.sizes[1]}


@pytest.mark.parametrize(
    ("sizes", "complete"),
    [
        ((0, 0), False), ((1, 0), False), ((1, 1), True), ((2, 4), True), ((100_001, 100_000), True),
        ((100_000, 10_000), False),
    ],
)  # fmt: skip
def test_there_is_a_graph_if_it_holds_every_point_but_what_is_scanned(tmp_path, toy, sizes, complete):
    engine = Sized(tmp_path, wait=1.0)
    engine.sizes = sizes
    store = Store(engine)
    store.create("demo", toy.schema)
    assert store.info("demo")["hnsw"] is complete


def test_answers_agree_with_numpy(store, name):
    rng = np.random.default_rng(0)
    space = replace(SPACE, dimension=32)
    rows = unit_rows(rng.standard_normal((700, 32)))
    asked = unit_rows(rng.standard_normal((150, 32)))
    colours = np.array(["red", "green", "blue"])[np.arange(700) % 3]
    vectors = Vectors([uid(i) for i in range(700)], rows, space)
    store.create(name, Schema(space, {"colour": "keyword"}))
    with store.session():
        upsert(store, name, vectors, pd.DataFrame({"item_id": vectors.ids, "colour": colours}), batch=300)
        store.build(name)
        hits = store.search(
            name, Vectors([str(i) for i in range(150)], asked, space), 20, {"colour": "red"}, exact=True
        ).table
    scores = np.where(colours == "red", asked @ rows.T, -2)
    order = np.argsort(-scores, axis=1)[:, :20]
    assert hits["item_id"].tolist() == [uid(i) for i in order.ravel()]
    np.testing.assert_allclose(hits["score"], np.take_along_axis(scores, order, 1).ravel(), atol=1e-5)
    assert hits["query_id"].tolist() == np.repeat([str(i) for i in range(150)], 20).tolist()


def test_the_repr_says_engine_and_place(tmp_path):
    assert repr(open_store(tmp_path)) == f"Store(Qdrant Edge at {tmp_path})"


ROWS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.6, 0.8, 0], [0, 0, 1], [-1, 0, 0]])  # of the five points
UP, DEEP, BETWEEN = [0.0, 1, 0], [0.0, 0, 1], [0.6, 0.8, 0]


def squash(cosines):
    return cosines / (1 + np.abs(cosines))


def best_score(wanted, unwanted):
    w, u = (ROWS @ np.array(one).T for one in (wanted, unwanted))
    highest = w.max(axis=1), u.max(axis=1)
    return np.where(highest[0] > highest[1], (1 + squash(highest[0])) / 2, -(1 + squash(highest[1])) / 2)


SCORED = {  # by X and examples
    "best_score": (Examples("best_score", [UP], [DEEP]), best_score([[1, 0, 0], UP], [DEEP])),
    "sum_scores": (
        Examples("sum_scores", [UP], [DEEP, BETWEEN]),
        ROWS @ np.subtract([1, 1, 0], [0.6, 0.8, 1]),
    ),
    "sum_scores of wanted": (Examples("sum_scores", [UP], []), ROWS @ [1, 1, 0]),
    "feedback": (
        Examples("feedback", [UP, BETWEEN], [DEEP], 0.4),
        ROWS @ [1, 0, 0] + 0.4 * ((ROWS @ UP + ROWS @ BETWEEN) / 2 - ROWS @ DEEP),
    ),
    "discover": (
        Examples("discover", [UP, BETWEEN], [DEEP, UP]),
        np.sign(ROWS @ UP - ROWS @ DEEP)
        + np.sign(ROWS @ BETWEEN - ROWS @ UP)
        + (1 + squash(ROWS @ [1, 0, 0])) / 2,
    ),
    "context": (
        Examples("context", [UP, BETWEEN], [DEEP, UP]),
        squash(np.minimum(ROWS @ UP - ROWS @ DEEP, 0)) + squash(np.minimum(ROWS @ BETWEEN - ROWS @ UP, 0)),
    ),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("examples", "scores"), SCORED.values(), ids=SCORED)
def test_examples_score_by_their_formula(filled, examples, scores, exact):
    hits = filled.search(TOY, X, 5, examples=examples, exact=exact).table
    expected = pd.Series(scores, [uid(i) for i in range(1, 6)])
    np.testing.assert_allclose(hits["score"], expected[hits["item_id"]], atol=1e-5)
    assert hits["score"].is_monotonic_decreasing


def test_examples_are_searched_under_a_filter(filled):
    examples = Examples("sum_scores", [UP], [DEEP])
    assert found(filled, TOY, examples=examples, where={"modality": "text"}) == [uid(2), uid(4)]


def test_a_boost_adds_weighted_fields_to_the_cosine_and_a_missing_value_is_0(filled):
    hits = filled.search(TOY, X, 5, boost={"price": -0.1, "size (cm)": 0.02}).table
    prices, sizes = [1.5, 0, 2.25, 1.5, 4], [10, 20, 0, 40, 10]
    expected = ROWS @ [1, 0, 0] - 0.1 * np.array(prices) + 0.02 * np.array(sizes)
    by_id = pd.Series(expected, [uid(i) for i in range(1, 6)])
    assert hits["item_id"].tolist() == by_id.sort_values(ascending=False).index.tolist()
    np.testing.assert_allclose(hits["score"], by_id[hits["item_id"]], atol=1e-6)


def test_a_boost_adds_to_the_score_by_examples_and_reaches_as_deep_as_asked(store, name, toy):
    ids = [uid(i) for i in range(1, 202)]
    rows = np.column_stack([np.cos(np.arange(201) / 200), np.sin(np.arange(201) / 200), np.zeros(201)])
    items = pd.DataFrame({"item_id": ids, "price": [0.0] * 200 + [100.0]})
    store.create(name, Schema(SPACE, {"price": "float"}))
    upsert(store, name, Vectors(ids, rows, SPACE), items)
    assert store.search(name, X, 1, boost={"price": 1}).table["item_id"].tolist() == [
        uid(1)
    ]  # the 100 nearest
    assert store.search(name, X, 51, boost={"price": 1}).table["item_id"][0] == uid(201)  # the 204 nearest
    examples = Examples("sum_scores", [UP], [])
    hits = store.search(name, X, 51, boost={"price": 1}, examples=examples).table
    assert hits["item_id"][0] == uid(201)
    assert hits["score"][0] == pytest.approx(100 + np.cos(1) + np.sin(1), abs=1e-4)


@pytest.mark.parametrize(
    ("boost", "message"),
    [
        (
            {"prize": 1},
            r"boost: expected a field of numbers, no field 'prize' \(did you mean 'price'\?\); there are",
        ),
        ({"label": 1}, r"'label' holds keyword; there are \['size \(cm\)', 'price'\]"),
        ({"new": 1}, "'new' holds bool"),
        ({"price": "much"}, "boost of 'price'.* expected a number, found 'much'"),
        ({"price": np.nan}, "boost of 'price'.* expected a number, found nan"),
        ("price", r"expected a dict such as {'price': -0.01}, found 'price'"),
    ],
)
def test_a_wrong_boost_says_what_is_there(filled, boost, message):
    with pytest.raises(ValueError, match=message):
        filled.search(TOY, X, 5, boost=boost)


@pytest.mark.parametrize("more", [{"boost": {"price": 1}}, {"examples": Examples("sum_scores", [UP], [])}])
def test_diversity_goes_with_no_other_score(filled, more):
    with pytest.raises(ValueError, match="diversity orders what is nearest to the query: leave it out"):
        filled.search(TOY, X, 3, diversity=0.5, **more)
