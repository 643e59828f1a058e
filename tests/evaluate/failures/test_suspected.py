"""Wrong pairs and poor texts, planted in a small space."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import suspected_poor_texts, suspected_wrong_pairs
from mmlab.items import Space, Vectors, unit_rows

COUNT, KINDS = 60, 6  # pairs, in kinds that stand at right angles


def space() -> tuple[Vectors, pd.DataFrame]:
    """Each text stands close to its image; texts 0 and 1 are swapped, text 2 points where no image is."""
    rng = np.random.default_rng(0)
    centres = np.eye(KINDS + 1)[np.arange(COUNT) % KINDS]
    images = centres + 0.02 * rng.standard_normal(centres.shape)
    texts = images + 0.02 * rng.standard_normal(centres.shape)
    texts[[0, 1]], texts[2] = texts[[1, 0]], np.eye(KINDS + 1)[KINDS]
    pairs = [f"p{n}" for n in range(COUNT)]
    items = pd.DataFrame(
        {"item_id": [f"{kind} {pair}" for kind in "ti" for pair in pairs], "pair_id": pairs * 2}
    )
    items["modality"] = ["text"] * COUNT + ["image"] * COUNT
    array = unit_rows(np.concatenate([texts, images]))
    return Vectors(items["item_id"], array, Space("model", "1", "", "", "", KINDS + 1)), items


def test_swapped_texts_are_suspected_and_named_with_the_image_that_fits() -> None:
    vectors, items = space()
    table = suspected_wrong_pairs(vectors, items).set_index("text_id")
    assert set(table.index) == {"t p0", "t p1"}
    swapped = table.loc["t p0"]
    images = vectors.take([f"i p{n}" for n in range(1, COUNT)])
    fit = images.array @ vectors.take(["t p0"]).array[0]
    assert (swapped["image_id"], swapped["other_id"]) == ("i p0", images.ids[fit.argmax()])
    assert swapped["other_cosine"] == pytest.approx(fit.max())
    assert swapped["cosine"] == pytest.approx(
        vectors.take(["t p0"]).array[0] @ vectors.take(["i p0"]).array[0]
    )
    assert swapped["score"] < -3.5 < swapped["other_score"]
    assert swapped["reason"] == f"fits its image with {swapped['cosine']:.2f} where neighbours have " \
        f"{swapped['expected']:.2f}, another one with {fit.max():.2f}"  # fmt: skip


def test_a_text_that_fits_no_image_is_a_poor_text() -> None:
    assert suspected_poor_texts(*space())["text_id"].tolist() == ["t p2"]


def test_a_stricter_threshold_lists_less() -> None:
    vectors, items = space()
    worst = suspected_wrong_pairs(vectors, items)["score"]
    assert suspected_wrong_pairs(vectors, items, threshold=worst.min() - 1).empty
    assert worst.is_monotonic_increasing
    with pytest.raises(ValueError, match="a robust z below 0, found 3.5"):
        suspected_wrong_pairs(vectors, items, threshold=3.5)


def test_too_few_pairs_to_compare_with_raise_no_suspicion() -> None:
    vectors, items = space()
    few = items[items["pair_id"].isin(["p0", "p1"])]
    assert suspected_wrong_pairs(vectors, few).empty
    assert suspected_wrong_pairs(vectors, items[items["modality"] == "text"]).empty
