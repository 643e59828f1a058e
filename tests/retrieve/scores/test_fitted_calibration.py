"""A calibration is evaluated on other queries than it was fitted on."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, log_loss

from mmlab.evaluate.resampling import mean_intervals
from mmlab.retrieve import CALIBRATIONS, fit_calibration
from mmlab.retrieve.scores.calibrate import Isotonic, Temperature
from mmlab.retrieve.scores.fitted_calibration import (
    FittedCalibration,
    calibration_error,
    reliability_table,
    risk_coverage,
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
    evaluated = HALVES.evaluation_rows(FOUND)
    found = fitted.reliability(evaluated, RIGHT)
    assert found.table["count"].sum() == 6
    assert 0 <= found.error <= 1
    p = fitted.apply(evaluated)["score"].to_numpy()
    right = (evaluated["item_id"] == "x").to_numpy().astype(int)
    assert found.brier == pytest.approx(brier_score_loss(right, p))
    assert found.log_loss == pytest.approx(log_loss(right, p))


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


def test_an_unknown_calibration_is_refused() -> None:
    with pytest.raises(
        ValueError, match="calibration: expected one of temperature, logistic, isotonic, found 'platt'"
    ):
        fit_calibration("platt", FOUND, RIGHT, HALVES)


def test_a_calibration_knows_where_it_holds_and_warns_elsewhere() -> None:
    fitted = fit_calibration("logistic", FOUND, RIGHT, HALVES, gallery=3)
    assert (fitted.depth, fitted.gallery, fitted.split, fitted.filter) == (3, 3, "by hand", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.apply(FOUND, gallery=3)
    with pytest.warns(
        UserWarning, match=r"logistic calibration was fitted with 3 hits of each query \(here 2\)\."
    ):
        fitted.apply(FOUND[FOUND["rank"] <= 2])
    with pytest.warns(
        UserWarning, match=r"3 items to be found \(here 5,000\), no filter \(here colour = red\)"
    ):
        fitted.apply(FOUND, gallery=5000, where="colour = red")


def test_probabilities_are_those_that_apply_gives_without_a_warning() -> None:
    fitted = fit_calibration("logistic", FOUND, RIGHT, HALVES, gallery=3)
    few = FOUND[FOUND["rank"] <= 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probabilities = fitted.probabilities(few)
    with pytest.warns(UserWarning, match="may be off"):
        pd.testing.assert_frame_equal(fitted.apply(few), probabilities)
    assert fitted.differences(FOUND, 3) == ""
    assert fitted.differences(few) == (
        "The probabilities may be off: this logistic calibration was fitted with 3 hits of each query (here 2). Trust "
        "their order, not their size."
    )


def test_calibrations_are_kept_with_what_they_were_fitted_on(tmp_path: Path) -> None:
    fitted = {kind: {"text-to-image": fit_calibration(kind, FOUND, RIGHT, HALVES)} for kind in CALIBRATIONS}
    path = tmp_path / "calibrations.json"
    write_calibrations(fitted, path)
    kept = json.loads(path.read_text())
    assert list(kept) == list(CALIBRATIONS)
    for kind, by_direction in fitted.items():
        one = by_direction["text-to-image"]
        assert kept[kind]["text-to-image"] == {
            "calibration": one.calibration.to_dict(),
            "fitted_on": sorted(one.fitted_on),
            "depth": 3,
            "gallery": 3,
            "split": "by hand",
            "filter": "",
        }
    with pytest.raises(ValueError, match="are those that the calibration was fitted on"):
        fitted["logistic"]["text-to-image"].reliability(FOUND, RIGHT)


TABLE = {"q": {"a": 1.0, "b": 0.75, "c": 0.5, "d": 0.1, "e": 0.0}, "unjudged": {"a": 0.9}}


def test_bins_hold_what_was_predicted_and_observed() -> None:
    table = reliability_table(rankings(TABLE), qrels({"q": ["a", "c"]}), bins=4)
    assert table.columns.tolist() == [
        "low", "high", "predicted", "observed", "observed_low", "observed_high", "count",
    ]  # fmt: skip
    assert table.loc[:, ["observed_low", "observed_high"]].to_numpy().tolist() == [[0, 1]] * 3  # one query
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
    with pytest.raises(ValueError, match="bins: expected a whole number from 1, found 0"):
        reliability_table(rankings(TABLE), qrels({"q": ["a"]}), bins=0)
    with pytest.raises(ValueError, match="no ranked item has a query in the qrels"):
        calibration_error(reliability_table(rankings(TABLE), qrels({"other": ["a"]})))


def test_bins_of_equal_mass_hold_as_many_items() -> None:
    scores = {f"q{n}": {"a": (n + 1) ** 2 / 1000} for n in range(30)}
    table = reliability_table(rankings(scores), qrels({q: ["a"] for q in scores}), bins=3, equal_mass=True)
    assert table["count"].tolist() == [10, 10, 10]
    assert table["predicted"].tolist() == pytest.approx(
        [np.mean([(n + 1) ** 2 / 1000 for n in range(first, first + 10)]) for first in (0, 10, 20)]
    )
    exact = binomtest(10, 10).proportion_ci(method="exact")  # all right, of ten queries
    assert table["observed_low"].tolist() == pytest.approx([exact.low] * 3)


def test_the_surest_queries_are_answered_first() -> None:
    found = rankings({"q": {"a": 0.9, "b": 0.1}, "r": {"a": 0.7}, "s": {"b": 0.7}, "t": {"a": 0.2}})
    judged = qrels({"q": ["a"], "r": ["b"], "s": ["b"], "t": ["a"], "not answered": ["a"]})
    table = risk_coverage(found, judged)
    assert table["threshold"].tolist() == [0.9, 0.7, 0.2]
    assert table["coverage"].tolist() == [1 / 5, 3 / 5, 4 / 5]
    assert table["risk"].tolist() == [0, 1 / 3, 1 / 4]


@pytest.fixture(scope="module")
def many():
    """120 queries of one to six items each, scored with many ties, some without a right item among them."""
    rng = np.random.default_rng(0)
    scores = {f"q{n}": dict(zip("abcdef", rng.choice(20, 1 + n % 6) / 19, strict=False)) for n in range(120)}
    right = {q: [str(rng.choice(list("abcdef")))] for q in scores}
    return rankings(scores), qrels(right)


def marked_rows(table, judged) -> tuple[np.ndarray, np.ndarray]:
    right = set(zip(judged["query_id"], judged["item_id"], strict=True))
    rows = [(row.score, (row.query_id, row.item_id) in right) for row in table.itertuples()]
    score, relevant = np.array(rows).T
    return score, relevant.astype(bool)


@pytest.mark.parametrize(("bins", "given"), [(15, {}), (4, {"bins": 4}), (1, {"bins": 1})])
def test_bins_are_counted_one_by_one(many, bins: int, given: dict) -> None:
    score, relevant = marked_rows(*many)
    table = reliability_table(*many, **given)
    place = np.minimum((score * bins + 1e-9).astype(int), bins - 1)
    assert table["count"].tolist() == [n for n in np.bincount(place) if n]
    for row, number in zip(table.itertuples(), np.unique(place), strict=True):
        assert (row.low, row.high) == pytest.approx((number / bins, (number + 1) / bins))
        assert row.predicted == pytest.approx(score[place == number].mean())
        assert row.observed == pytest.approx(relevant[place == number].mean())
        queries = many[0]["query_id"].to_numpy()[place == number]
        interval = mean_intervals(relevant[place == number, None].astype(float), queries)[0]
        assert (row.observed_low, row.observed_high) == pytest.approx(tuple(interval))


def test_bins_of_equal_mass_with_ties_hold_each_score_once(many) -> None:
    score, relevant = marked_rows(*many)
    table = reliability_table(*many, bins=7, equal_mass=True)
    edges = np.unique(np.quantile(score, np.linspace(0, 1, 8)))
    assert table["low"].tolist() == pytest.approx(edges[:-1].tolist())
    assert table["high"].tolist() == pytest.approx(edges[1:].tolist())
    for row, low, high in zip(table.itertuples(), edges[:-1], edges[1:], strict=True):
        own = (score >= low) & ((score < high) | (high == edges[-1]))
        assert row.count == own.sum()
        assert row.observed == pytest.approx(relevant[own].mean())
    one_score = rankings({"q": {"a": 0.5}, "r": {"a": 0.5}})
    (row,) = reliability_table(one_score, qrels({"q": ["a"], "r": ["b"]}), 3, equal_mass=True).to_dict(
        "records"
    )
    assert (row["low"], row["high"], row["predicted"], row["observed"], row["count"]) == (
        0.5,
        0.5,
        0.5,
        0.5,
        2,
    )


def test_the_figures_are_those_of_ten_bins_on_queries_that_were_not_fitted_on(many) -> None:
    table, judged = many
    names = table["query_id"].unique().tolist()
    split = CalibrationSplit(frozenset(names[::2]), frozenset(names[1::2]), "every other one")
    fitted = fit_calibration("logistic", table, judged, split)
    assert fitted.fitted_on == set(names[::2])
    assert (fitted.depth, fitted.gallery) == (6, 6)
    fitting = split.fitting_rows(table), split.fitting_rows(judged)
    assert fitted.calibration == CALIBRATIONS["logistic"].fit(*fitting)
    others = split.evaluation_rows(table)
    calibrated = fitted.apply(others)
    found = fitted.reliability(others, judged)
    assert found.table.equals(reliability_table(calibrated, judged, bins=10))
    assert found.error == calibration_error(found.table)
    mass = reliability_table(calibrated, judged, bins=10, equal_mass=True)
    assert found.equal_mass_error == calibration_error(mass)
    wider = fitted.reliability(others, judged, bins=3)
    assert wider.table.equals(reliability_table(calibrated, judged, bins=3))
    score, relevant = marked_rows(calibrated, judged)
    assert found.brier == pytest.approx(brier_score_loss(relevant, score))
    assert found.log_loss == pytest.approx(log_loss(relevant, score))


def test_a_certainty_that_was_wrong_costs_much_and_not_all() -> None:
    sure = FittedCalibration(Isotonic((0.0, 1.0), (0.0, 1.0)), frozenset())
    table, judged = rankings({"q": {"a": 1.0, "b": 0.0}}), qrels({"q": ["b"]})
    found = sure.reliability(table, judged)
    low, high = (1 - 1e-6) * 0 + 1e-6 * (1 - 2 / 3), (1 - 1e-6) + 1e-6 * (1 - 1 / 3)
    assert found.log_loss == pytest.approx((-np.log(low) - np.log(1 - high)) / 2)
    assert sure.apply(table)["score"].tolist() == pytest.approx([high, low], abs=1e-12)
    assert found.brier == pytest.approx((high**2 + (1 - low) ** 2) / 2)


def test_where_a_calibration_does_not_say_where_it_holds_it_does_not_warn() -> None:
    unknown = FittedCalibration(Temperature(0.1), frozenset())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unknown.apply(FOUND, gallery=99)
        fit_calibration("logistic", FOUND, RIGHT, HALVES).apply(FOUND.head(0))
    with pytest.warns(UserWarning, match=r"was fitted with colour = red \(here none\)"):
        FittedCalibration(Temperature(0.1), frozenset(), filter="colour = red").apply(FOUND)


def test_risk_and_coverage_are_counted_query_by_query(many) -> None:
    table, judged = many
    judged = judged.assign(relevance=np.arange(len(judged)) % 7 > 0).astype({"relevance": int})
    first = table[table["rank"] == 1]
    right = set(zip(judged["query_id"], judged["item_id"], judged["relevance"], strict=True))
    hits = {row.query_id: (row.score, (row.query_id, row.item_id, 1) in right) for row in first.itertuples()}
    found = risk_coverage(table, judged)
    assert found["threshold"].tolist() == sorted({score for score, _ in hits.values()}, reverse=True)
    queries = (judged["relevance"] > 0).sum()
    for row in found.itertuples():
        answered = [was_right for score, was_right in hits.values() if score >= row.threshold]
        assert row.coverage == pytest.approx(len(answered) / queries)
        assert row.risk == pytest.approx(1 - np.mean(answered))
