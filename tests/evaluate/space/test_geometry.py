"""The shape of a space."""

import numpy as np
import pytest
from scipy.stats import skew

from mmlab.evaluate import anisotropy, describe_space, effective_dimension, hubness, modality_gap
from mmlab.items import Space, Vectors

CROSS = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])


def test_the_gap_is_the_distance_of_the_means() -> None:
    assert modality_gap(np.array([[1.0, 0], [0, 1]]), np.array([[-1.0, 0]])) == pytest.approx(
        np.hypot(0.5 + 1, 0.5)
    )


def test_anisotropy_is_the_mean_cosine_of_all_pairs() -> None:
    assert anisotropy(CROSS) == pytest.approx((2 * -1 + 4 * 0) / 6)
    assert anisotropy(np.array([[1.0, 0], [1, 0], [0, 1]])) == pytest.approx((1 + 0 + 0) / 3)
    assert np.isnan(anisotropy(CROSS[:1]))


def test_the_effective_dimension_counts_directions_in_equal_use() -> None:
    assert effective_dimension(CROSS) == pytest.approx(2)
    assert effective_dimension(CROSS[:2]) == pytest.approx(1)
    assert np.isnan(effective_dimension(CROSS[[0, 0]]))


def test_hubness_is_the_skewness_of_how_often_items_are_near() -> None:
    queries = np.array(
        [[1.0, 0], [1, 0], [0.8, 0.6], [0, 1]]
    )  # nearest: the first item 3 times, the third once
    assert hubness(queries, CROSS, k=1) == pytest.approx(skew([3, 0, 1, 0]))
    assert hubness(CROSS, CROSS, k=1) == 0


SPACE = Space("model", "1", "", "", "", 2)


def test_all_are_told_for_both_modalities() -> None:
    sides = {"text": Vectors(list("abcd"), CROSS, SPACE), "image": Vectors(list("efgh"), CROSS, SPACE)}
    found = describe_space(sides, k=1).set_index(["measure", "of"])["value"]
    assert found["modality gap", "text and image"] == pytest.approx(0)
    assert found["effective dimension"].tolist() == pytest.approx([2, 2])
    assert found["hubness"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="found none of image"):
        describe_space({"text": sides["text"]})


def test_two_spaces_have_no_gap_and_no_hubs() -> None:
    other = Vectors(list("efgh"), CROSS, Space("other", "1", "", "", "", 2))
    table = describe_space({"text": Vectors(list("abcd"), CROSS, SPACE), "image": other})
    assert set(table["measure"]) == {"anisotropy", "effective dimension"}
    assert len(table) == 4
