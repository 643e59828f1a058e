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
