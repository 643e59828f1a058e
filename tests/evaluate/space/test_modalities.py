"""Which vectors stand for texts and which for images."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import (
    cosines_between,
    joint_vectors,
    qrels_from_pairs,
    say_spaces,
    share_space,
    vectors_by_modality,
)
from mmlab.items import Space, Vectors

ITEMS = pd.DataFrame(
    {"item_id": ["t1", "i1", "t2", "i2"], "modality": ["text", "image"] * 2, "pair_id": ["a", "a", "b", "b"]}
)


def vectors(model, ids):
    return Vectors(ids, np.eye(4)[: len(ids)], Space(model, "1", "", "", "", 4))


def test_the_main_space_serves_both_modalities():
    texts, clip = vectors("bge", ["t1", "t2"]), vectors("clip", ["i2", "t1", "i1", "t2"])
    sides = vectors_by_modality([texts, clip], ITEMS)
    assert {name: (side.space.model, side.ids.tolist()) for name, side in sides.items()} == {
        "text": ("clip", ["t1", "t2"]),
        "image": ("clip", ["i1", "i2"]),
    }
    assert share_space(sides)
    assert joint_vectors(sides).ids.tolist() == ["t1", "t2", "i1", "i2"]
    assert "one space" in say_spaces(sides)


def test_two_encoders_stand_for_one_modality_each():
    sides = vectors_by_modality([vectors("bge", ["t1", "t2"]), vectors("dino", ["i1", "i2"])], ITEMS)
    assert [side.space.model for side in sides.values()] == ["bge", "dino"]
    assert not share_space(sides)
    assert len(joint_vectors(sides)) == 0
    said = say_spaces(sides)
    assert "space of bge and images in that of dino" in said
    assert "do not compare with those of a joint space" in said
    cosines = cosines_between(sides, qrels_from_pairs(ITEMS, "text", "image"))
    assert list(cosines.columns) == ["query_id", "item_id", "positive", "negative"]
    assert cosines.empty


def test_a_modality_without_vectors_is_named():
    with pytest.raises(ValueError, match="no vectors of modality 'image'"):
        vectors_by_modality([vectors("bge", ["t1", "t2"])], ITEMS)
