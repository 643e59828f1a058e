"""What is fitted on is not judged on."""

from pathlib import Path

import pandas as pd
import pytest

from mmlab.retrieve import CALIBRATIONS, fit_calibration
from mmlab.retrieve.scores.fitted_calibration import (
    compare_calibrations,
    read_calibrations,
    write_calibrations,
)
from mmlab.retrieve.scores.query_split import Fold, fold_queries
from tests.retrieve.tables import qrels, rankings


def items(splits, pairs=None):
    names = [f"q{i}" for i in range(len(splits))]
    return pd.DataFrame({"item_id": names, "pair_id": pairs or names, "split": splits})


def test_validation_is_fitted_on_and_test_judged_on() -> None:
    table = items(["train", "Validation", "val", "test", "test"])
    fold = fold_queries(table, table["item_id"])
    assert fold.fitting == {"q1", "q2"}
    assert fold.judging == {"q3", "q4"}
    assert fold.says == "fitted on 2 queries of the validation split, judged on 2 of the test split"


def test_without_a_test_split_all_others_are_judged_but_no_pair_is_on_both_sides() -> None:
    table = items(["dev", "train", "train"], ["p", "p", "r"])
    assert fold_queries(table, table["item_id"]).judging == {"q2"}


@pytest.mark.parametrize("split", [None, "train", "val"])
def test_without_a_validation_split_half_of_the_pairs_are_drawn(split) -> None:
    table = items([split] * 6, ["a", "a", "b", "b", "c", "d"])
    fold = fold_queries(table, table["item_id"], seed=3)
    pairs = {
        name: set(table.loc[table["item_id"].isin(side), "pair_id"])
        for name, side in vars(fold).items()
        if name != "says"
    }
    assert len(pairs["fitting"]) == len(pairs["judging"]) == 2
    assert not pairs["fitting"] & pairs["judging"]
    assert fold.fitting | fold.judging == set(table["item_id"])
    assert fold == fold_queries(table, table["item_id"], seed=3)
    assert "not divided by a validation split" in fold.says
    assert "drawn by seed 3" in fold.says


def test_a_single_pair_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="two pairs or more to divide, found 1"):
        fold_queries(items([None]), ["q0"])


FOUND = rankings({f"q{i}": {"x": 0.9 - i / 100, "y": 0.5, "z": 0.1} for i in range(4)})
RIGHT = qrels({f"q{i}": ["x"] for i in range(4)})
HALVES = Fold(frozenset(["q0", "q1"]), frozenset(["q2", "q3"]), "by hand")


def test_a_calibration_refuses_to_be_judged_on_what_it_was_fitted_on() -> None:
    fitted = fit_calibration("logistic", FOUND, RIGHT, HALVES)
    assert fitted.fitted_on == {"q0", "q1"}
    with pytest.raises(
        ValueError, match="2 of these queries are those that the calibration was fitted on, first q0"
    ):
        fitted.judge(FOUND, RIGHT)
    table, error = fitted.judge(HALVES.judge_on(FOUND), RIGHT)
    assert table["count"].sum() == 6
    assert 0 <= error <= 1


def test_equal_probabilities_keep_their_order() -> None:
    fitted = fit_calibration("isotonic", FOUND, RIGHT, HALVES)
    told = fitted.apply(FOUND)
    assert told["score"].between(0, 1).all()
    assert (
        told.groupby("query_id")["score"].diff().dropna() < 0
    ).all()  # y and z both have a probability of 0
    assert told["item_id"].tolist() == FOUND["item_id"].tolist()
    assert told.loc[told["item_id"] == "z", "score"].max() < 1e-6


def test_all_calibrations_are_compared_and_an_unknown_one_refused() -> None:
    table = compare_calibrations(FOUND, RIGHT, HALVES)
    assert table["calibration"].unique().tolist() == ["temperature", "logistic", "isotonic"]
    assert table.groupby("calibration")["count"].sum().tolist() == [6, 6, 6]
    with pytest.raises(
        ValueError, match="unknown calibration 'platt'; known: temperature, logistic, isotonic"
    ):
        fit_calibration("platt", FOUND, RIGHT, HALVES)


def test_calibrations_are_kept_with_what_they_were_fitted_on(tmp_path: Path) -> None:
    fitted = {kind: {"text-to-image": fit_calibration(kind, FOUND, RIGHT, HALVES)} for kind in CALIBRATIONS}
    path = tmp_path / "calibrations.json"
    write_calibrations(fitted, path)
    kept = read_calibrations(path)
    assert kept == fitted
    with pytest.raises(ValueError, match="are those that the calibration was fitted on"):
        kept["logistic"]["text-to-image"].judge(FOUND, RIGHT)
    for wrong in ("[]", "{", '{"logistic": {"text-to-image": {"fitted_on": []}}}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="holds no calibrations as write_calibrations writes them"):
            read_calibrations(path)
