"""One contract for every layout on every engine: their answers agree with a matrix product, and so with each other."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

import mmlab.index.store.store as module
from mmlab.index import Hnsw, Index, NoCollection, Store, build_index, open_index, open_store
from mmlab.index.index import EmptyIndex
from mmlab.index.store.engine import Examples
from mmlab.index.store.layouts import LAYOUTS
from mmlab.items import SpaceMismatch, Vectors
from tests.index.conftest import opened
from tests.index.pairs import BOTH, TEXTS, make_pairs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
NAME = "mmlab-test-pairs"
PAIRS = make_pairs()
MODALITY = PAIRS.items.set_index("item_id")["modality"]


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def index(engine, layout, tmp_path_factory) -> Index:
    with opened(engine, tmp_path_factory.mktemp("pairs")) as store:
        build_index(store, NAME, PAIRS.items, PAIRS.vectors, layout, progress=False)
        with store.session():
            yield open_index(store, NAME, layout)


def nearest(queries: Vectors, held: Vectors, items: pd.DataFrame, k: int) -> tuple[list[str], np.ndarray]:
    """The k items with the highest cosine for every query, one query after the other, and their cosines."""
    ids = held.ids[np.isin(held.ids, items["item_id"])]
    cosines = queries.array @ held.take(ids).array.T
    order = np.argsort(-cosines, axis=1)[:, :k]
    return ids[order].ravel().tolist(), np.take_along_axis(cosines, order, 1).ravel()


def of(modality: str) -> pd.DataFrame:
    return PAIRS.items[PAIRS.items["modality"] == modality]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("queries", "held", "to"),
    [
        (PAIRS.ask_both, PAIRS.both, "image"),
        (PAIRS.ask_both, PAIRS.both, "text"),
        (PAIRS.ask_texts, PAIRS.texts, "text"),
    ],
)
def test_the_nearest_items_of_a_modality_are_found(index, queries, held, to, exact):
    hits = index.search(queries, to, 6, exact=exact).table
    ids, scores = nearest(queries, held, of(to), 6)
    assert hits["item_id"].tolist() == ids
    assert hits["query_id"].tolist() == ["a"] * 6 + ["b"] * 6
    assert hits["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 2
    np.testing.assert_allclose(hits["score"], scores, atol=1e-5)


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ({"label": "cup"}, lambda items: items["label"] == "cup"),
        ({"label": ["cup", "shoe"]}, lambda items: items["label"].isin(["cup", "shoe"])),
        ({"label": {"not": ["cup"]}}, lambda items: items["label"] != "cup"),
        ({"price": {"gte": 10, "lt": 30}}, lambda items: (items["price"] >= 10) & (items["price"] < 30)),
        ({"price": {"gt": 10, "not": 11.0}}, lambda items: (items["price"] > 10) & (items["price"] != 11)),
        ({"width": {"gte": 20}}, lambda items: items["width"] >= 20),  # without a payload index
        (
            {"price": {"lte": 10}, "label": "shoe"},
            lambda items: (items["price"] <= 10) & (items["label"] == "shoe"),
        ),
    ],
)
@pytest.mark.parametrize("to", ["image", "text"])
def test_where_is_about_the_items_asked_for(index, to, where, passes):
    items = of(to)[passes(of(to))]
    hits = index.search(PAIRS.ask_both, to, 5, where).table
    assert hits["item_id"].tolist() == nearest(PAIRS.ask_both, PAIRS.both, items, 5)[0]
    assert index.count(to, where) == len(items)
    assert index.items(where, to)["item_id"].tolist() == sorted(items["item_id"])


def test_a_facet_counts_the_items_with_each_value(index):
    cups = {"label": ["cup", "lamp"]}
    for modality, where in [(None, None), (None, cups), ("image", cups), ("text", None)]:
        items = PAIRS.items if modality is None else of(modality)
        items = items if where is None else items[items["label"] == "cup"]
        for field in ("label", "width", "price"):  # the engine counts words with an index; others are read
            counts = items[field].dropna().value_counts()
            expected = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
            found = index.facets(field, where, modality)
            assert list(found.itertuples(index=False, name=None)) == expected


def test_a_word_that_no_item_has_is_refused_with_what_is_there(index):
    counts = PAIRS.items["label"].value_counts()
    message = (
        rf"where: no item has label 'shoes' \(did you mean 'shoe'\?\); values: .*shoe \({counts['shoe']}\)"
    )
    for where in ({"label": "shoes"}, {"label": ["cup", "shoes"]}):
        with pytest.raises(ValueError, match=message):
            index.check_filter(where)
    for where in (
        None,
        {},
        {"label": "shoe"},
        {"label": {"not": ["shoes"]}},
        {"price": 10**6},
        {"width": 10**6},
    ):
        index.check_filter(where)
    with pytest.raises(ValueError, match="no filterable field 'lable' .did you mean 'label'"):
        index.facets("lable")


def test_items_come_back_as_they_were(index):
    found = index.fetch(PAIRS.items["item_id"].tolist())
    assert found["item_id"].tolist() == PAIRS.items["item_id"].tolist()
    # a server is sent no paths of images
    for column in (
        "modality",
        "pair_id",
        "text",
        "label",
        "price",
        *(() if index.store.shared else ("image",)),
    ):
        assert found[column].fillna("-").tolist() == PAIRS.items[column].fillna("-").tolist()
    assert found["image"].isna().all() == index.store.shared
    assert index.items()["item_id"].tolist() == sorted(PAIRS.items["item_id"])
    assert index.count() == len(PAIRS.items)
    with pytest.raises(KeyError, match="1 of 1 ids are not in"):
        index.fetch(["00000000-0000-0000-0000-0000000fffff"])


def test_vectors_come_back_from_every_space(index):
    for held in (PAIRS.both, PAIRS.texts):
        got = index.vectors(held.ids[::-1], held.space)
        np.testing.assert_allclose(got.array, held.array[::-1], atol=1e-6)
        assert got.space == held.space
    with pytest.raises(KeyError, match="are not in"):
        index.vectors(of("image")["item_id"], TEXTS)


def test_the_joint_space_leads_and_each_says_what_it_holds(index, layout):
    assert index.spaces == [BOTH, TEXTS]
    assert index.modalities(BOTH) == ("image", "text")
    assert index.modalities(TEXTS) == ("text",)
    assert len(index.collections()) == {"unified": 2, "separate": 3, "named": 1}[layout]
    # Of 72 items 21 are a first caption that shares the point of its image.
    points = 72 - 21 if layout == "named" else 72 + len(PAIRS.texts)
    assert index.collections()["points"].sum() == points


def test_what_was_found_becomes_a_table_once_and_only_when_it_is_read(index, monkeypatch):
    made = []
    monkeypatch.setattr(module, "points_to_rankings", lambda *given: made.append(given) or pd.DataFrame())
    found = index.search(PAIRS.ask_both, "image", 3)
    assert (len(found), repr(found), made) == (6, "Found(6 hits)", [])
    assert found.table is found.table
    assert len(made) == 1


def test_the_best_of_each_pair_stands_for_it(index):
    pair = PAIRS.items.set_index("item_id")["pair_id"]
    hits = index.search(PAIRS.ask_both, "text", 8, group_by_pair=True).table
    ids, _ = nearest(PAIRS.ask_both, PAIRS.both, of("text"), len(of("text")))
    for query, start in (("a", 0), ("b", len(of("text")))):
        ranked = pd.Series(ids[start : start + len(of("text"))])
        best = ranked[~ranked.map(pair).fillna(ranked).duplicated()].head(8)
        assert hits.loc[hits["query_id"] == query, "item_id"].tolist() == best.tolist()
    assert index.search(PAIRS.ask_both, "text", 3, {"price": {"gt": 1e6}}, group_by_pair=True).table.empty
    every = index.search(
        PAIRS.ask_both, "text", 30, group_by_pair=True
    ).table  # there are 26 pairs, one text has none
    assert len(every) == 2 * 27


def test_diversity_chooses_by_maximal_marginal_relevance(index):
    hits = index.search(PAIRS.ask_both, "image", 4, diversity=0.4).table
    rows = PAIRS.both.take(of("image")["item_id"]).array
    for query, asked in zip(("a", "b"), PAIRS.ask_both.array, strict=True):
        chosen = []
        for _ in range(4):
            near = (rows @ rows[chosen].T).max(axis=1) if chosen else 0
            worth = 0.6 * rows @ asked - 0.4 * near
            worth[chosen] = -np.inf
            chosen.append(int(worth.argmax()))
        expected = of("image")["item_id"].to_numpy()[chosen].tolist()
        assert hits.loc[hits["query_id"] == query, "item_id"].tolist() == expected


def test_examples_and_a_boost_score_the_items_of_one_modality(index):
    wanted, unwanted = PAIRS.both.array[0].tolist(), PAIRS.both.array[1].tolist()
    examples = Examples("sum_scores", [wanted], [unwanted])
    hits = index.search(PAIRS.ask_both, "image", 5, examples=examples, boost={"price": 0.01}).table
    held = of("image").set_index("item_id")["price"]
    rows = PAIRS.both.take(held.index).array
    boosted = 0.01 * held.to_numpy()
    for query, asked in zip(("a", "b"), PAIRS.ask_both.array, strict=True):
        scores = pd.Series(rows @ (asked + wanted - np.array(unwanted)) + boosted, held.index).nlargest(5)
        found = hits[hits["query_id"] == query]
        assert found["item_id"].tolist() == scores.index.tolist()
        np.testing.assert_allclose(found["score"], scores, atol=1e-5)


def test_diversity_and_one_hit_per_pair_reach_as_many_pairs_as_asked(store, name):
    """12 pairs of 30 captions: the 100 nearest captions are of four pairs, and six are asked for."""
    captions = pd.DataFrame({"pair": np.repeat(np.arange(12), 30), "at": np.tile(np.arange(30), 12)})
    angle = 0.1 * captions["pair"] + 0.001 * captions["at"]
    rows = np.zeros((len(captions), 8))
    rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
    items = pd.DataFrame({"item_id": [str(UUID(int=i + 1)) for i in range(len(captions))]})
    items = items.assign(modality="text", pair_id="p" + captions["pair"].astype(str), text="a caption")
    vectors = Vectors(items["item_id"], rows, BOTH)
    index = build_index(store, name, items, [vectors], progress=False)
    query = Vectors(["q"], np.eye(8)[:1], BOTH)
    hits = index.search(query, "text", 6, diversity=0.3, group_by_pair=True).table
    pair = items.set_index("item_id")["pair_id"]
    assert hits["item_id"].map(pair).nunique() == len(hits) == 6
    assert hits["item_id"].iloc[0] == items["item_id"].iloc[0]


def texts_at(angles: list[float], pairs: list[str | None]) -> tuple[pd.DataFrame, Vectors]:
    """Texts of these pairs whose vectors lie at these angles to the first axis."""
    items = pd.DataFrame({"item_id": [str(UUID(int=i + 1)) for i in range(len(pairs))], "pair_id": pairs})
    rows = np.zeros((len(angles), 8))
    rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    return items.assign(modality="text", text="a caption"), Vectors(items["item_id"], rows, BOTH)


def test_each_text_without_a_pair_stands_for_itself(store, name):
    items, vectors = texts_at([0.1, 0.2, 0.3, 0.4, 0.5], [None, "p0", None, "p0", None])
    index = build_index(store, name, items, [vectors], progress=False)
    hits = index.search(Vectors(["q"], np.eye(8)[:1], BOTH), "text", 4, group_by_pair=True).table
    assert hits["item_id"].tolist() == items["item_id"].iloc[[0, 1, 2, 4]].tolist()
    assert hits["rank"].tolist() == [1, 2, 3, 4]


def test_a_batch_is_searched_deeper_until_every_query_has_its_pairs(store, name):
    """Near the first axis lie 20 captions of one pair, near the second each caption has its own."""
    items, vectors = texts_at(
        [0.01 * i for i in range(20)] + [1.5, 1.4, 1.3], ["p0"] * 20 + ["p1", "p2", "p3"]
    )
    index = build_index(store, name, items, [vectors], progress=False)
    hits = index.search(Vectors(["many", "own"], np.eye(8)[:2], BOTH), "text", 2, group_by_pair=True).table
    assert hits["query_id"].tolist() == ["many", "many", "own", "own"]
    assert hits["item_id"].tolist() == items["item_id"].iloc[[0, 22, 20, 21]].tolist()


def test_what_cannot_be_answered_says_why_in_a_sentence(index):
    foreign = replace(BOTH, model="mmlab/other")
    with pytest.raises(SpaceMismatch, match="'mmlab/both' and 'mmlab/other'.*Embed with mmlab/both"):
        index.search(Vectors(["a"], np.eye(8)[:1], foreign), "image", 3)
    with pytest.raises(
        ValueError, match=r"has no vectors of modality 'image' in texts-\w+; it has \['text'\]"
    ):
        index.search(PAIRS.ask_texts, "image", 3)
    with pytest.raises(ValueError, match="k = 99 is more than the 32 image items of index"):
        index.search(PAIRS.ask_both, "image", 99)
    with pytest.raises(ValueError, match="k = 99 is more than the 32 image items of index"):
        index.search(PAIRS.ask_both, "image", 99, {"label": "cup"}, group_by_pair=True)
    with pytest.raises(ValueError, match="k = 99 is more than the 40 text items of index"):
        index.search(PAIRS.ask_both, "text", 99, group_by_pair=True, diversity=0.5)
    with pytest.raises(ValueError, match="k: expected a whole number from 1, found 0"):
        index.search(PAIRS.ask_both, "image", 0)
    with pytest.raises(ValueError, match="no filterable field 'colour'; there are"):
        index.search(PAIRS.ask_both, "image", 3, {"colour": "red"})
    with pytest.raises(ValueError, match=r"diversity: expected a number from 0 to 1, found 2"):
        index.search(PAIRS.ask_both, "image", 3, diversity=2)
    with pytest.raises(ValueError, match="has no items of modality 'sound'"):
        index.count("sound")


class Recording(Store):
    """A store that keeps how it was searched."""

    def search(self, *given, **options):
        self.asked = [*getattr(self, "asked", []), (given, options)]
        return super().search(*given, **options)


def test_what_a_search_is_told_reaches_the_store(tmp_path):
    store = Recording(open_store(tmp_path)._engine)
    index = build_index(store, NAME, PAIRS.items, [PAIRS.both], progress=False)
    index.search(PAIRS.ask_both, "image", 3)
    usual = {
        "exact": False,
        "ef": None,
        "quantized": True,
        "rescore": None,
        "oversampling": None,
        "diversity": None,
    }
    ((given, options),) = store.asked
    assert given == (f"{NAME}-unified", PAIRS.ask_both, 3, None, "image")
    assert options == usual
    own = {"ef": 99, "quantized": False, "rescore": False, "oversampling": 3.0, "diversity": 0.5}
    index.search(PAIRS.ask_both, "text", 2, {"price": {"lt": 90}}, True, **own)
    given, options = store.asked[1]
    assert given[2:] == (2, {"price": {"lt": 90}}, "text")
    assert options == {"exact": True, **own}
    store.asked = []
    index.search(PAIRS.ask_both, "text", 5, {"price": {"lt": 90}}, **own, group_by_pair=True)
    assert {(given[3]["price"]["lt"], given[4]) for given, _ in store.asked} == {(90, "text")}
    assert all(options == {"exact": False, **own} for _, options in store.asked)
    depths = [given[2] for given, _ in store.asked]
    assert depths[0] == 20 and depths == sorted(set(depths))
    for diversity in (0, 1):
        assert len(index.search(PAIRS.ask_both, "image", 3, diversity=diversity)) == 6
    with pytest.raises(ValueError, match=r"diversity: expected a number from 0 to 1, found -0.1"):
        index.search(PAIRS.ask_both, "image", 3, diversity=-0.1)


def test_a_search_is_planned_anew_when_it_is_another(index):
    """The last plan is kept: it must not answer a filter that was changed, another number, or what is refused."""
    asked, where = PAIRS.ask_both, {"label": "cup"}
    labels = PAIRS.items.set_index("item_id")["label"]
    assert set(labels[index.search(asked, "image", 2, where).table["item_id"]]) == {"cup"}
    where["label"] = "shoe"
    assert set(labels[index.search(asked, "image", 2, where).table["item_id"]]) == {"shoe"}
    assert len(index.search(asked, "image", 1)) == len(asked) == len(index.search(asked, "text", 1))
    assert len(index.search(asked, "image", 2)) == 2 * len(asked)
    index.search(asked, "image", 1)
    with pytest.raises(ValueError, match="k: expected a whole number from 1, found True"):
        index.search(asked, "image", True)


def test_an_index_says_what_it_is_and_which_other_layouts_there_are(tmp_path):
    store = open_store(tmp_path)
    built = {
        layout: build_index(store, NAME, PAIRS.items, PAIRS.vectors, layout, progress=False)
        for layout in LAYOUTS
    }
    build_index(store, "other", PAIRS.items, [PAIRS.both], "separate", progress=False)
    assert repr(built["separate"]) == f"Index('{NAME}', separate, 3 collections, {store})"
    parts = built["separate"].collections()[["collection", "space", "modality"]]
    assert parts["collection"].tolist() == list(built["separate"].schemas)
    assert parts["space"].tolist() == [BOTH.key, BOTH.key, TEXTS.key]
    assert parts["modality"].tolist() == ["image", "text", "text"]
    others = built["named"].other_layouts()
    assert [one.layout for one in others] == ["separate", "unified"]
    for one in others:
        assert one.schemas == built[one.layout].schemas
        assert (
            one.search(PAIRS.ask_both, "image", 3).table["item_id"].tolist()
            == built["named"].search(PAIRS.ask_both, "image", 3).table["item_id"].tolist()
        )
    assert open_index(store, "other", "separate").other_layouts() == []


def test_vectors_are_sorted_as_the_spaces_of_the_index(index):
    assert [one.space for one in index.in_order([PAIRS.texts, PAIRS.both])] == [BOTH, TEXTS]
    assert index.in_order([]) == []
    with pytest.raises(SpaceMismatch, match="mmlab/other"):
        index.in_order([PAIRS.both, replace(PAIRS.texts, space=replace(TEXTS, model="mmlab/other"))])


def test_ids_may_be_asked_twice_and_in_any_order(index):
    ids = PAIRS.items["item_id"].iloc[[5, 2, 5, 60, 2]].tolist()
    assert index.fetch(ids)["item_id"].tolist() == ids
    once = ids[1:4]
    np.testing.assert_allclose(index.vectors(once, BOTH).array, PAIRS.both.take(once).array, atol=1e-6)
    assert index.fetch([]).columns.tolist() == index.items().columns.tolist()
    gone = [f"00000000-0000-0000-0000-0000000ffff{n}" for n in (2, 1)]
    with pytest.raises(KeyError, match=f"2 of 3 ids are not in index '{NAME}', first {gone[0]}"):
        index.fetch([ids[0], *gone])


def test_an_empty_collection_says_so(engine, tmp_path, name, layout):
    with opened(engine, tmp_path) as store:
        index = build_index(store, name, PAIRS.items, PAIRS.vectors, layout, progress=False)
        for collection, schema in index.schemas.items():
            store.drop(collection)
            store.create(collection, schema)
        with pytest.raises(EmptyIndex, match=f"index '{name}' holds no image items"):
            index.search(PAIRS.ask_both, "image", 3)


def test_an_index_that_is_not_there_is_named(engine, tmp_path):
    with opened(engine, tmp_path) as store, pytest.raises(NoCollection, match="'nope \\(named layout\\)'"):
        open_index(store, "nope", "named")


@pytest.mark.parametrize(("scan_kb", "graph"), [(10, True), (18, False)])
def test_a_graph_is_there_from_the_size_of_the_vectors_on(tmp_path, scan_kb, graph):
    pairs = make_pairs(320)  # 576 items of 8 numbers of 4 bytes: 18 KB
    assert len(pairs.items) == 576
    store = open_store(tmp_path)
    index = build_index(store, NAME, pairs.items, [pairs.both], hnsw=Hnsw(scan_kb=scan_kb), progress=False)
    assert index.has_graph(BOTH, "image") is graph
    assert index.describe_search(BOTH, "image", exact=False).startswith("graph" if graph else "exact")
