"""Which answers count as right."""

import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "t2", "i2", "t3"],
        "modality": ["image", "text", "text", "image", "text"],
        "pair_id": ["p1", "p1", "p1", "p2", "gone"],
    }
)


def test_texts_are_answered_by_the_image_of_their_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "text", "image")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("t1", "i1"), ("t2", "i1")]
    assert qrels["relevance"].tolist() == [1, 1]


def test_an_image_is_answered_by_all_texts_of_its_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "image", "text")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("i1", "t1"), ("i1", "t2")]


def test_other_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="found 'text' and 'text'"):
        qrels_from_pairs(ITEMS, "text", "text")
