"""What a collection can be filtered by, and examples of it."""

import pandas as pd

from mmlab.retrieve import filter_examples, search_examples

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
        "any of": {"label": ["shoe", "cup"]},
        "not": {"label": {"not": ["shoe"]}},
        "range": {"width": {"gte": 20.0}},
    }
    assert filter_examples(IMAGES[["item_id", "modality"]]) == {}


def test_a_word_that_names_a_value_is_taken_back_else_the_longest() -> None:
    assert search_examples(IMAGES, "a wonderful cup, red")["not “cup”"] == {"minus": ["cup"]}
    ways = search_examples(IMAGES, "a wonderful dog")
    assert ways["not “wonderful”"] == {"minus": ["wonderful"]}
    assert ways["diverse: MMR, 0.5"] == {"diversity": 0.5}
