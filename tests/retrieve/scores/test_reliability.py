"""Predicted beside observed."""

import pytest
from mmlab.retrieve.scores.reliability import calibration_error, reliability

from tests.retrieve.tables import qrels, rankings

TABLE = {"q": {"a": 1.0, "b": 0.75, "c": 0.5, "d": 0.1, "e": 0.0}, "unjudged": {"a": 0.9}}


def test_bins_hold_what_was_predicted_and_observed() -> None:
    table = reliability(rankings(TABLE), qrels({"q": ["a", "c"]}), bins=4)
    assert table.columns.tolist() == ["low", "high", "predicted", "observed", "count"]
    assert table["low"].tolist() == [0, 0.5, 0.75]
    assert table["high"].tolist() == [0.25, 0.75, 1]
    assert table["predicted"].tolist() == pytest.approx([0.1 / 2, 0.5, (0.75 + 1) / 2])
    assert table["observed"].tolist() == [0, 1, 1 / 2]
    assert table["count"].tolist() == [2, 1, 2]


def test_the_error_is_the_gap_weighted_by_count() -> None:
    table = reliability(rankings(TABLE), qrels({"q": ["a", "c"]}), bins=4)
    assert calibration_error(table) == pytest.approx((2 * 0.05 + 1 * 0.5 + 2 * 0.375) / 5)


def test_relevance_0_is_irrelevant() -> None:
    judged = qrels({"q": ["a", "c"]}).assign(relevance=[1, 0])
    assert reliability(rankings(TABLE), judged, bins=1)["observed"].tolist() == [1 / 5]


def test_scores_that_are_no_probabilities_no_bins_and_nothing_judged_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found scores from 0 to 1\.5; calibrate"):
        reliability(rankings({"q": {"a": 1.5, "b": 0.0}}), qrels({"q": ["a"]}))
    with pytest.raises(ValueError, match="at least 1 bin, found 0"):
        reliability(rankings(TABLE), qrels({"q": ["a"]}), bins=0)
    with pytest.raises(ValueError, match="no ranked item was judged"):
        calibration_error(reliability(rankings(TABLE), qrels({"other": ["a"]})))
