"""Right and wrong pairs apart."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import pair_cosines, separation
from mmlab.items import Space, Vectors

SPACE = Space("model", "1", "", "", "", 2)
VECTORS = Vectors(["t1", "t2", "i1", "i2"], np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 1]]), SPACE)
QRELS = pd.DataFrame({"query_id": ["t1", "t2"], "item_id": ["i1", "i2"], "relevance": 1})


def test_positives_are_the_pairs_and_negatives_the_other_image() -> None:
    cosines = pair_cosines(VECTORS, QRELS)
    assert cosines["positive"].tolist() == pytest.approx([0.6, 1.0])
    assert cosines["negative"].tolist() == pytest.approx([0.0, 0.8])


def test_one_image_alone_has_no_wrong_pairs() -> None:
    with pytest.raises(ValueError, match="at least 2 items to draw from, found 1"):
        pair_cosines(VECTORS, QRELS.head(1))


def test_an_item_that_answers_all_has_no_wrong_pairs() -> None:
    everything = pd.DataFrame({"query_id": ["t1", "t1"], "item_id": ["i1", "i2"], "relevance": 1})
    with pytest.raises(ValueError, match="no wrong item found"):
        pair_cosines(VECTORS, everything)


@pytest.mark.parametrize(
    ("positive", "negative", "auc"),
    [([2, 3], [0, 1], 1), ([0, 1], [2, 3], 0), ([1, 1], [1, 1], 0.5), ([1, 3], [0, 2], 3 / 4)],
)
def test_auc_counts_the_comparisons_won(positive: list[float], negative: list[float], auc: float) -> None:
    assert separation(np.array(positive), np.array(negative)).auc == pytest.approx(auc)


def test_overlap_is_the_share_of_both_histograms_in_common() -> None:
    together, apart = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert separation(together, apart).overlap == pytest.approx(2 / 4)
    assert separation(together, together).overlap == pytest.approx(1)
    assert separation(np.zeros(3), np.ones(2)).overlap == 0


def test_ashmans_d_is_the_distance_of_the_means_in_widths() -> None:
    found = separation(np.array([4.0, 6.0]), np.array([-1.0, 1.0]))  # means 5 and 0, variances 1 and 1
    assert found.ashman_d == pytest.approx(np.sqrt(2) * 5 / np.sqrt(1 + 1))
    assert separation(np.ones(2), np.ones(2)).ashman_d == 0
    assert separation(np.ones(2), np.zeros(2)).ashman_d == np.inf


def test_one_side_alone_cannot_be_apart() -> None:
    with pytest.raises(ValueError, match="expected right and wrong pairs, found 0 and 2"):
        separation(np.array([]), np.ones(2))
