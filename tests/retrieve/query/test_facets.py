"""What a collection can be filtered by, and examples of it."""

import pandas as pd
from mmlab.retrieve.query.facets import filter_examples, search_examples

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
    ways = search_examples(IMAGES, "a cup", IMAGES.iloc[0], "a mug")
    assert ways["any of: width 10 or 30"] == {"where": {"width": [10, 30]}}
    assert ways["range: width from 10"] == {"where": {"width": {"gte": 10.0}}}
    assert ways["and also like “a mug”"] == {"plus": ["a mug"]}


def test_a_word_that_names_a_value_is_taken_back_else_the_longest() -> None:
    assert search_examples(IMAGES, "a wonderful cup, red")["not “cup”"] == {"minus": ["cup"]}
    ways = search_examples(IMAGES, "a wonderful dog")
    assert ways["not “wonderful”"] == {"minus": ["wonderful"]}
    assert ways["diverse: MMR, 0.5"] == {"diversity": 0.5}
