"""Hits above the right answer that say the same."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, suspected_false_negatives
from mmlab.items import Space, Vectors

SPACE = Space("model", "1", "", "", "", 2)
ITEMS = pd.DataFrame(
    [
        ("t a", "text", "a", "a red mug"), ("t b", "text", "b", "one red mug"), ("t c", "text", "c", "a hat"),
        ("t b2", "text", "b", "drinkware"), ("i a", "image", "a", None), ("i b", "image", "b", None),
        ("i c", "image", "c", None), ("i d", "image", "d", None),
    ],
    columns=["item_id", "modality", "pair_id", "text"],
)  # fmt: skip
NEAR = (0.8 + 0.6 * 1j) ** 0.25  # a quarter of the angle between (1, 0) and (0.8, 0.6)
ANGLES = {"t a": 1, "t b": NEAR, "t c": 1j, "t b2": 0.8 + 0.6j, "i a": 1, "i b": 1, "i c": 1, "i d": 1}
VECTORS = Vectors(list(ANGLES), np.array([[z.real, z.imag] for z in map(complex, ANGLES.values())]), SPACE)


def rankings(query: str, *found: str) -> pd.DataFrame:
    rows = [(query, item, n + 1, 1 - n / 10) for n, item in enumerate(found)]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def listed(ranked: pd.DataFrame, queries: str, gallery: str, **how: float) -> pd.DataFrame:
    return suspected_false_negatives(VECTORS, ITEMS, ranked, qrels_from_pairs(ITEMS, queries, gallery), **how)


def test_an_image_above_the_truth_whose_caption_is_nearly_the_same_is_listed() -> None:
    (row,) = listed(rankings("t a", "i c", "i b", "i d", "i a"), "text", "image").to_dict("records")
    assert (row["query_id"], row["item_id"], row["rank"]) == ("t a", "i b", 2)
    assert row["score"] == pytest.approx(NEAR.real)  # of its captions the one that is more alike
    assert (row["query_text"], row["item_text"]) == ("a red mug", "one red mug")
    assert row["reason"] == f"at rank 2, above the right answer; captions alike with {NEAR.real:.2f}"


def test_what_stands_under_the_truth_or_too_deep_is_not_listed() -> None:
    assert listed(rankings("t a", "i a", "i b"), "text", "image").empty
    assert listed(rankings("t a", "i c", "i b", "i a"), "text", "image", first=1).empty
    assert listed(rankings("t a", "i b", "i a"), "text", "image", threshold=0.999).empty


def test_it_is_listed_too_where_the_truth_was_not_ranked_at_all() -> None:
    assert listed(rankings("t a", "i b"), "text", "image")["item_id"].tolist() == ["i b"]


def test_for_an_image_its_captions_speak() -> None:
    assert listed(rankings("i a", "t c", "t b", "t a"), "image", "text")["item_id"].tolist() == ["t b"]


def test_the_vectors_of_the_texts_are_enough() -> None:
    ranked, qrels = rankings("t a", "i c", "i b", "i a"), qrels_from_pairs(ITEMS, "text", "image")
    texts = VECTORS.take([name for name in ANGLES if name.startswith("t")])
    alone = suspected_false_negatives(texts, ITEMS, ranked, qrels)
    assert alone["item_id"].tolist() == ["i b"]
    pd.testing.assert_frame_equal(alone, suspected_false_negatives(VECTORS, ITEMS, ranked, qrels))
