"""The card that says how it was measured."""

import numpy as np
import pandas as pd

from mmlab.evaluate import protocol_card, qrels_from_pairs, show_card, split_hash
from mmlab.items import Space, Vectors

ITEMS = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "t3", "t4", "i1", "i2"],
        "modality": ["text"] * 4 + ["image"] * 2,
        "pair_id": ["a", "a", "b", "gone", "a", "b"],
        "split": "test",
    }
)


def card():
    space = Space("some/model", "1", "", "a photo of {}", "", 6)
    texts, images = ITEMS["item_id"][:4], ITEMS["item_id"][4:]
    sides = {"text": Vectors(texts, np.eye(6)[:4], space), "image": Vectors(images, np.eye(6)[4:], space)}
    qrels = {
        "text-to-image": qrels_from_pairs(ITEMS, "text", "image"),
        "image-to-text": qrels_from_pairs(ITEMS, "image", "text"),
    }
    rankings = {name: pd.DataFrame({"rank": [1, 2]}) for name in qrels}
    return protocol_card(sides, ITEMS, qrels, rankings)


def test_the_card_counts_queries_gallery_and_captions():
    texts, images = card().to_dict("records")
    assert (texts["queries"], texts["not judged"], texts["gallery"]) == (3, 1, 2)
    assert (images["queries"], images["not judged"], images["gallery"]) == (2, 0, 4)
    assert texts["captions per image"] == images["captions per image"] == 3 / 2
    assert (texts["right answers per query"], images["right answers per query"]) == (3 / 3, 3 / 2)
    assert (texts["ranks kept"], texts["model"], texts["prompt"]) == (2, "some/model", "a photo of {}")
    assert "against the system" in texts["tie rule"]
    assert texts["splits"] == "test"


def test_it_can_be_read_with_a_column_per_direction():
    shown = show_card(card())
    assert list(shown.columns) == ["rule", "text-to-image", "image-to-text"]
    assert shown.set_index("rule").loc["captions per image"].tolist() == ["1.50", "1.50"]


def test_the_hash_tells_the_items_not_their_order():
    assert split_hash(ITEMS) == split_hash(ITEMS[::-1]) == card()["split hash"].iloc[0]
    assert split_hash(ITEMS) != split_hash(ITEMS[1:])
    assert len(split_hash(ITEMS)) == 12
