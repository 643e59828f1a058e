import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import compare_spaces, matched_cosines, say_matched
from mmlab.items import Space, Vectors

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "u1", "i2", "t2", "u2"],
        "modality": ["image", "text", "text"] * 2,
        "pair_id": ["1"] * 3 + ["2"] * 3,
    }
)


def vectors(rows, name):
    return Vectors(list(rows), np.array(list(rows.values()), np.float32), Space(name, "1", "", "", "", 2))


BOTH = vectors({"i1": (1, 0), "t1": (1, 0), "u1": (0.6, 0.8), "i2": (0, 1), "t2": (0, 1), "u2": (0, 1)}, "b")
TEXTS = vectors({"t1": (1, 0), "u1": (0.8, 0.6), "t2": (0, 1), "u2": (0, 1)}, "t")
IMAGES = vectors({"i1": (1, 0), "i2": (0, 1)}, "i")


def test_texts_stand_beside_their_images():
    compared, cosines = matched_cosines(BOTH, ITEMS)
    assert compared == "texts with images"
    found = cosines.set_index("query_id")
    assert found["positive"].to_dict() == pytest.approx({"t1": 1, "u1": 0.6, "t2": 1, "u2": 1})
    assert found["negative"].to_dict() == pytest.approx({"t1": 0, "u1": 0.8, "t2": 0, "u2": 0})


def test_without_images_the_further_texts_stand_beside_the_first_of_their_pair():
    compared, cosines = matched_cosines(TEXTS, ITEMS)
    assert compared == "texts of a pair"
    assert cosines[["query_id", "item_id"]].to_numpy().tolist() == [["u1", "t1"], ["u2", "t2"]]
    np.testing.assert_allclose(cosines[["positive", "negative"]], [[0.8, 0.6], [1, 0]], atol=1e-6)


def test_a_space_of_images_is_not_comparable():
    compared, cosines = matched_cosines(IMAGES, ITEMS)
    assert (compared, len(cosines)) == ("not comparable", 0)


def test_spaces_side_by_side():
    told = compare_spaces([BOTH, TEXTS, IMAGES], ITEMS)
    assert told["pairs"].tolist() == [4, 2, 0]
    # Of 16 comparisons the 0.6 loses one, against 0.8; of 4 there is none to lose.
    np.testing.assert_allclose(told["AUC"], [15 / 16, 1, np.nan])
    # The means are (0.4, 0.7) of the texts and (0.5, 0.5) of the images.
    np.testing.assert_allclose(told["modality gap"], [0.05**0.5, np.nan, np.nan], rtol=1e-6)
    said = say_matched(told)
    assert f"In {BOTH.space.key} a matched pair (texts with images) has the higher cosine in 93.8%" in said
    assert f"{IMAGES.space.key} holds no two of a pair: not comparable." in said
