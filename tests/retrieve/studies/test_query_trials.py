"""Examples of settings that suit a collection, and where the time of an answer goes."""

import time

import pandas as pd
import pytest

from mmlab.retrieve.studies.query_trials import (
    filter_examples,
    time_queries,
)

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
