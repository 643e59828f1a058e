"""Examples of settings that suit a collection, and where the time of an answer goes."""

import time

import numpy as np
import pandas as pd
import pytest
from qdrant_client import QdrantClient

from mmlab.index import Hnsw, Index, build_index, open_store
from mmlab.retrieve.query_trials import (
    boost_example,
    choose_filters,
    filter_examples,
    summarize_filters,
    time_queries,
    try_filters,
)
from tests.index.pairs import make_pairs

IMAGES = pd.DataFrame(
    {
        "item_id": list("abcd"),
        "modality": "image",
        "label": ["cup", "shoe", "shoe", "cap"],
        "width": [10, 20, 30, 30],
    }
)


def test_there_is_a_filter_of_each_kind_that_the_columns_allow() -> None:
    assert filter_examples(IMAGES) == {
        "equal": {"label": "shoe"},
        "any of": {"width": [30, 10]},
        "not": {"width": {"not": [30]}},
        "range": {"width": {"gte": 20.0}},
    }
    assert filter_examples(IMAGES[["item_id", "modality"]]) == {}


def test_filters_suit_what_was_found() -> None:
    assert filter_examples(IMAGES, like=IMAGES.iloc[0]) == {
        "equal": {"label": "cup"},
        "any of": {"width": [10, 30]},
        "not": {"width": {"not": [10]}},
        "range": {"width": {"gte": 10.0}},
    }


def test_every_part_is_timed_cold_and_warm(collection) -> None:
    table = time_queries(collection.retriever, ["a red mug", "a teapot"], k=3, samples=4)
    assert table["state"].tolist() == ["just opened", "just opened", "warm", "warm"]
    assert table["of"].tolist() == ["p50", "p95"] * 2
    assert table["samples"].tolist() == [4, 4, 4, 4]
    assert set(table["vectors"]) == {"in memory"}
    parts = ["embed_ms", "search_ms", "payload_ms"]
    assert table.columns.tolist() == ["vectors", "state", "samples", "of", *parts, "whole_ms"]
    assert (table[parts] > 0).all(axis=None)


def test_opening_is_part_of_the_cold_search(collection) -> None:
    median = time_queries(collection.retriever, ["a red mug"], k=3, samples=5)
    median = median[median["of"] == "p50"].set_index("state")
    assert median.loc["just opened", "search_ms"] > median.loc["warm", "search_ms"]


def test_every_query_is_asked_once_at_least_while_warm(collection) -> None:
    texts = collection.items.loc[collection.items["modality"] == "text", "text"].tolist()[:7]
    table = time_queries(collection.retriever, texts, to="text", k=2, samples=3)
    assert table["samples"].tolist() == [3, 3, 7, 7]


def test_a_store_that_opens_slowly_is_opened_once(collection, monkeypatch) -> None:
    monkeypatch.setattr("mmlab.retrieve.query_trials.MOST_OPENING_MS", 0)
    table = time_queries(collection.retriever, ["a red mug"], k=3, samples=4)
    assert table["samples"].tolist() == [1, 1, 4, 4]


def test_the_parts_add_up_to_the_whole_in_milliseconds(collection) -> None:
    started = time.perf_counter()
    table = time_queries(collection.retriever, ["a red mug"], k=3, samples=1)
    elapsed = 1000 * (time.perf_counter() - started)
    whole = table["whole_ms"]
    assert table[["embed_ms", "search_ms", "payload_ms"]].sum(axis=1).tolist() == pytest.approx(
        whole.tolist()
    )
    counted = whole[table["of"] == "p50"].sum()  # one cold and one warm answer, of the three that were given
    assert 0 < counted < elapsed


def chosen(items: pd.DataFrame, kinds: dict[str, str], least: int = 1) -> list:
    return [(one.where, one.share) for one in choose_filters(items, kinds, least)]


def test_a_common_a_middling_and_a_rare_value_are_chosen() -> None:
    items = pd.DataFrame(
        {
            "split": ["train"] * 120 + ["test"] * 80,
            "colour": [f"c{i % 10}" for i in range(200)],
            "sku": [f"s{i}" for i in range(200)],
            "price": range(200),
        }
    )
    words = {"split": "keyword", "colour": "keyword", "sku": "keyword"}
    # no value is as rare as a hundredth: another colour is nearest
    assert chosen(items, words) == [
        ({"split": "train"}, 0.6),
        ({"colour": "c0"}, 0.1),
        ({"colour": "c1"}, 0.1),
    ]
    # the prices 0 and 1 are a hundredth of the items
    assert chosen(items, words | {"price": "integer"}) == [
        ({"price": {"lte": 99}}, 0.5),
        ({"colour": "c0"}, 0.1),
        ({"price": {"lte": 1}}, 0.01),
    ]


def test_a_filter_that_lets_enough_through_is_preferred() -> None:
    items = pd.DataFrame({"label": ["a"] * 50 + ["b"] * 33 + ["c"] * 10 + ["d"] * 6 + ["e"]})
    rarest = {least: chosen(items, {"label": "keyword"}, least)[-1] for least in (1, 5)}
    # e is a hundredth, d is off by log(6); too few are as bad as log(10)
    assert rarest == {1: ({"label": "e"}, 0.01), 5: ({"label": "d"}, 0.06)}
    assert chosen(items.head(1), {"label": "keyword"}) == []


def test_gaps_and_values_that_all_items_have_divide_nothing() -> None:
    items = pd.DataFrame({"price": [1.5, np.nan, 1.5, np.nan], "kind": "x", "pair_id": ["p", "p", "q", "q"]})
    kinds = {"price": "float", "kind": "keyword", "pair_id": "keyword", "absent": "keyword"}
    assert chosen(items, kinds) == [({"price": {"lte": 1.5}}, 0.5)]


PAIRS = make_pairs(900)  # every third a cup, every third a shoe; 720 images, 900 texts and one without a pair


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index whose graph is too thin to find all."""
    store, thin = open_store(tmp_path_factory.mktemp("coarse")), Hnsw(m=2, ef_construct=4, ef=4, scan_kb=10)
    return build_index(
        store, "demo", PAIRS.items, [PAIRS.both], hnsw=thin, quantization="none", progress=False
    )


def asking(source: str, count: int):
    ids = PAIRS.items.loc[PAIRS.items["modality"] == source, "item_id"].head(count)
    return PAIRS.both.take(ids)


def expected_recalls(index: Index, queries, target: str, where: dict, k: int, ef: int) -> np.ndarray:
    """The share of the k best by a matrix product that the index has found, for each query."""
    passing = PAIRS.items["modality"] == target
    for name, value in where.items():
        passing &= PAIRS.items[name] == value
    rows = PAIRS.both.take(PAIRS.items.loc[passing, "item_id"])
    best = np.argsort(-(queries.array @ rows.array.T), axis=1)[:, :k]
    found = index.search(queries, target, k, where, ef=ef)
    hits = [set(found.loc[found["query_id"] == query, "item_id"]) for query in queries.ids]
    return np.array([len(set(rows.ids[few]) & some) / len(few) for few, some in zip(best, hits, strict=True)])


def test_recall_is_counted_under_each_filter_and_in_each_direction(coarse: Index) -> None:
    asked = {"text-to-image": asking("text", 60), "image-to-text": asking("image", 60)}
    filters = [{"label": "cup"}, {"label": "shoe"}]
    table = try_filters(coarse, asked, PAIRS.items, k=5, ef=5, filters=filters)
    assert table[["direction", "filter", "items", "passing"]].to_numpy().tolist() == [
        ["text-to-image", "none", 720, 1],
        ["text-to-image", "label = cup", 240, 1 / 3],
        ["text-to-image", "label = shoe", 240, 1 / 3],
        ["image-to-text", "none", 901, 1],
        ["image-to-text", "label = shoe", 300, 300 / 901],  # no text is of a cup
    ]
    assert (table["queries"] == 60).all()
    wheres = [{}, *filters, {}, filters[1]]
    recalls = [
        expected_recalls(coarse, asked[direction], direction.rpartition("-")[2], where, 5, 5).mean()
        for direction, where in zip(table["direction"], wheres, strict=True)
    ]
    assert table["recall"].tolist() == pytest.approx(recalls)
    assert table["recall"].min() < 0.95  # the graph is too thin
    assert (table["low"] < table["recall"]).all()
    assert (table["recall"] <= table["high"]).all()
    assert (table["p50_ms"] > 0).all()


def test_an_interval_counts_pairs_and_is_no_point_where_all_is_found(coarse: Index) -> None:
    """Clopper and Pearson: n of n are ruled out below (1 - level) / 2 to the power of 1 / n."""
    asked = {"image-to-text": asking("image", 20)}  # of 20 pairs
    [row] = try_filters(coarse, asked, PAIRS.items, 5, ef=5, filters=[{"price": {"lte": 1}}])[1:].to_dict(
        "records"
    )
    assert (row["filter"], row["items"], row["recall"]) == (
        "price ≤ 1",
        1,
        1,
    )  # of two prices one is of an image
    assert (row["low"], row["high"]) == (pytest.approx(0.025 ** (1 / 20)), 1)


def test_a_filter_that_lets_nothing_through_is_refused(coarse: Index) -> None:
    asked = {"text-to-image": asking("text", 5)}
    with pytest.raises(ValueError, match=r"filters: \{'label': 'hat'\} lets no item through"):
        try_filters(coarse, asked, PAIRS.items, 5, 5, [{"label": "cup"}, {"label": "hat"}])
    with pytest.raises(ValueError, match="no filterable field 'colour'"):
        try_filters(coarse, asked, PAIRS.items, 5, 5, [{"colour": "red"}])


def test_filters_are_taken_from_the_data_of_what_is_found(coarse: Index) -> None:
    table = try_filters(coarse, {"image-to-text": asking("image", 3)}, PAIRS.items, 5, 5)
    assert table["filter"].tolist()[0] == "none"
    assert table["passing"].tolist() == sorted(table["passing"], reverse=True)
    assert len(table) == 4


def test_the_worst_case_is_named_with_what_it_is_worth() -> None:
    rows = [
        ("text-to-image", "none", 1.0, 0.98, 0.95, 0.99, 0.5),
        ("text-to-image", "label = <b>", 0.125, 0.9, 0.85, 0.94, 0.75),
        ("image-to-text", "none", 1.0, 1.0, 0.96, 1.0, 0.5),
    ]
    columns = ["direction", "filter", "passing", "recall", "low", "high", "p50_ms"]
    table = pd.DataFrame(rows, columns=columns).assign(search="HNSW", k=10, queries=100)
    assert summarize_filters(table) == (
        "Of 3 cases, with filters and without, this index (HNSW) does worst for text-to-image where label = &lt;b&gt; "
        "(12.5% of the items): it finds 90.0% of the 10 exact neighbours (95% interval 85.0% to 94.0%, 100 queries) "
        "in 0.75 ms; without a filter 98.0%."
    )
    assert "does worst for text-to-image without a filter: it finds 98.0%" in summarize_filters(
        table.iloc[[0, 2]]
    )
    assert summarize_filters(table.iloc[[2]]) == (
        "This index (HNSW) finds every one of the exact neighbours in 1 case, without a filter: 95% interval 96.0% to "
        "100.0%, 100 queries."
    )


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect", "ignore:Local mode performs exact")
@pytest.mark.parametrize("layout", ["unified", "separate", "named"])
@pytest.mark.parametrize("engine", ["edge", "memory"])
def test_every_layout_and_engine_is_measured_alike(tmp_path, layout: str, engine: str) -> None:
    pairs = make_pairs(40)  # 32 images, of which 11 are shoes; too few for a graph, so that all is found
    store = open_store(tmp_path if engine == "edge" else QdrantClient(":memory:"))
    index = build_index(store, "demo", pairs.items, pairs.vectors, layout, progress=False)
    asked = {"text-to-image": pairs.both.take(pairs.items.loc[pairs.items["modality"] == "text", "item_id"])}
    table = try_filters(index, asked, pairs.items, 3, 20, [{"label": "shoe"}])
    shoes = ((pairs.items["modality"] == "image") & (pairs.items["label"] == "shoe")).sum()
    assert table[["filter", "items", "recall", "high"]].to_numpy().tolist() == [
        ["none", 32, 1, 1],
        ["label = shoe", shoes, 1, 1],
    ]


def test_a_boost_weighs_a_field_of_numbers_as_the_scores_differ() -> None:
    hits = pd.DataFrame(
        {"score": [0.9, 0.5, 0.1], "width": [1, 2, 3], "price": [10.0, None, 30], "label": "mug"}
    )
    items = hits.drop(columns="score")
    spread = 0.4 / np.std([10, 30], ddof=1)
    assert boost_example(items, hits) == {
        "price": pytest.approx(spread, rel=0.05)
    }  # before mmlab's own width
    assert boost_example(items.drop(columns="price"), hits) == {"width": 0.4}
    assert boost_example(items, hits.assign(width=1, price=None)) == {}
    assert boost_example(items, hits.head(0)) == {}
