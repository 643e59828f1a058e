"""A calibration is evaluated on other queries than it was fitted on."""

from pathlib import Path

import pandas as pd
import pytest

from mmlab.retrieve import CALIBRATIONS, fit_calibration
from mmlab.retrieve.scores.fitted_calibration import (
    calibration_error,
    compare_calibrations,
    fit_calibrations,
    read_calibrations,
    reliability_table,
    write_calibrations,
)
from mmlab.retrieve.scores.query_split import CalibrationSplit
from tests.retrieve.tables import qrels, rankings

FOUND = rankings({f"q{i}": {"x": 0.9 - i / 100, "y": 0.5, "z": 0.1} for i in range(4)})
RIGHT = qrels({f"q{i}": ["x"] for i in range(4)})
HALVES = CalibrationSplit(frozenset(["q0", "q1"]), frozenset(["q2", "q3"]), "by hand")


def test_a_calibration_refuses_to_be_evaluated_on_what_it_was_fitted_on() -> None:
    fitted = fit_calibration("logistic", FOUND, RIGHT, HALVES)
    assert fitted.fitted_on == {"q0", "q1"}
    with pytest.raises(
        ValueError, match="2 of these queries are those that the calibration was fitted on, first q0"
    ):
        fitted.reliability(FOUND, RIGHT)
    table, error = fitted.reliability(HALVES.evaluation_rows(FOUND), RIGHT)
    assert table["count"].sum() == 6
    assert 0 <= error <= 1


def test_equal_probabilities_keep_their_order() -> None:
    fitted = fit_calibration("isotonic", FOUND, RIGHT, HALVES)
    calibrated = fitted.apply(FOUND)
    assert calibrated["score"].between(0, 1).all()
    assert (
        calibrated.groupby("query_id")["score"].diff().dropna() < 0
    ).all()  # y and z both have a probability of 0
    assert calibrated["item_id"].tolist() == FOUND["item_id"].tolist()
    assert calibrated.loc[calibrated["item_id"] == "z", "score"].max() < 1e-6


def test_equal_scores_have_equal_probabilities() -> None:
    """Of two items that a system cannot tell apart none is helped by its name."""
    fitted = fit_calibration("isotonic", FOUND, RIGHT, HALVES)
    tied = rankings({"q9": {"x": 0.8, "y": 0.8, "z": 0.2}})
    first, second, third = fitted.apply(tied)["score"]
    assert first == second > third


def test_all_calibrations_are_compared_and_an_unknown_one_refused() -> None:
    table = compare_calibrations(FOUND, RIGHT, HALVES)
    assert table["calibration"].unique().tolist() == ["temperature", "logistic", "isotonic"]
    assert table.groupby("calibration")["count"].sum().tolist() == [6, 6, 6]
    with pytest.raises(
        ValueError, match="calibration: expected one of temperature, logistic, isotonic, found 'platt'"
    ):
        fit_calibration("platt", FOUND, RIGHT, HALVES)


def test_calibrations_are_kept_with_what_they_were_fitted_on(tmp_path: Path) -> None:
    fitted = {kind: {"text-to-image": fit_calibration(kind, FOUND, RIGHT, HALVES)} for kind in CALIBRATIONS}
    path = tmp_path / "calibrations.json"
    write_calibrations(fitted, path)
    kept = read_calibrations(path)
    assert kept == fitted
    with pytest.raises(ValueError, match="are those that the calibration was fitted on"):
        kept["logistic"]["text-to-image"].reliability(FOUND, RIGHT)
    for wrong in ("[]", "{", '{"logistic": {"text-to-image": {"fitted_on": []}}}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="holds no calibrations as write_calibrations writes them"):
            read_calibrations(path)


TABLE = {"q": {"a": 1.0, "b": 0.75, "c": 0.5, "d": 0.1, "e": 0.0}, "unjudged": {"a": 0.9}}


def test_bins_hold_what_was_predicted_and_observed() -> None:
    table = reliability_table(rankings(TABLE), qrels({"q": ["a", "c"]}), bins=4)
    assert table.columns.tolist() == ["low", "high", "predicted", "observed", "count"]
    assert table["low"].tolist() == [0, 0.5, 0.75]
    assert table["high"].tolist() == [0.25, 0.75, 1]
    assert table["predicted"].tolist() == pytest.approx([0.1 / 2, 0.5, (0.75 + 1) / 2])
    assert table["observed"].tolist() == [0, 1, 1 / 2]
    assert table["count"].tolist() == [2, 1, 2]


def test_the_error_is_the_gap_weighted_by_count() -> None:
    table = reliability_table(rankings(TABLE), qrels({"q": ["a", "c"]}), bins=4)
    assert calibration_error(table) == pytest.approx((2 * 0.05 + 1 * 0.5 + 2 * 0.375) / 5)


def test_relevance_0_is_irrelevant() -> None:
    judged = qrels({"q": ["a", "c"]}).assign(relevance=[1, 0])
    assert reliability_table(rankings(TABLE), judged, bins=1)["observed"].tolist() == [1 / 5]


def test_scores_that_are_no_probabilities_no_bins_and_nothing_judged_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found scores from 0 to 1\.5; calibrate"):
        reliability_table(rankings({"q": {"a": 1.5, "b": 0.0}}), qrels({"q": ["a"]}))
    with pytest.raises(ValueError, match="bins: expected at least 1, found 0"):
        reliability_table(rankings(TABLE), qrels({"q": ["a"]}), bins=0)
    with pytest.raises(ValueError, match="no ranked item has a query in the qrels"):
        calibration_error(reliability_table(rankings(TABLE), qrels({"other": ["a"]})))


def test_what_cannot_be_fitted_is_left_out() -> None:
    items = pd.DataFrame({"item_id": [f"q{i}" for i in range(4)], "split": ["val", "val", "test", "test"]})
    items = items.assign(pair_id=items["item_id"])
    fitted = fit_calibrations({"a": FOUND, "b": FOUND}, items, {"a": RIGHT, "b": RIGHT.head(0)})
    assert list(fitted) == list(CALIBRATIONS)
    assert all(list(by_direction) == ["a"] for by_direction in fitted.values())
    assert fitted["logistic"]["a"].fitted_on == {"q0", "q1"}
