"""Scores -> probabilities."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from mmlab.items.rankings import rankings_from_scores
from mmlab.retrieve import CALIBRATIONS
from mmlab.retrieve.scores.calibrate import Isotonic, Logistic, Temperature, _choice
from tests.retrieve.tables import SOME_RANKINGS, qrels, rankings, scores_of

every_calibration = pytest.mark.parametrize("kind", CALIBRATIONS.values(), ids=list(CALIBRATIONS))


@pytest.fixture(scope="module")
def drawn() -> tuple[pd.DataFrame, pd.DataFrame]:
    """400 queries of 20 items, whose right item scores 1 higher on average."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 20))
    scores[:, 0] += 1
    queries, items = [f"q{i:03}" for i in range(400)], [f"i{i:02}" for i in range(20)]
    return rankings_from_scores(scores, queries, items), qrels({query: ["i00"] for query in queries})


def chosen(others: int, outside: float, queries: int = 3000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Queries of `others` items each; one item, or none, is drawn as right by a softmax at T = 1/2 with an option."""
    rng = np.random.default_rng(7)
    scores = rng.standard_normal((queries, others))
    mass = np.exp(np.c_[scores, np.full(queries, outside)] / 0.5)
    drawn = (rng.random((queries, 1)) < np.cumsum(mass / mass.sum(axis=1, keepdims=True), axis=1)).argmax(1)
    names, items = [f"q{n:04}" for n in range(queries)], [f"i{n:02}" for n in range(others)]
    right = {name: [items[n] if n < others else "not ranked"] for name, n in zip(names, drawn, strict=True)}
    return rankings_from_scores(scores, names, items), qrels(right)


def test_the_temperature_of_a_softmax_with_an_option_is_found_again() -> None:
    fitted = Temperature.fit(*chosen(10, 1.5))
    assert fitted.temperature == pytest.approx(0.5, rel=0.1)
    assert fitted.others == pytest.approx(1, abs=0.2)
    assert fitted.outside == pytest.approx(1.5, abs=0.15)
    probabilities = scores_of(fitted.apply(rankings({"q": {"a": 1.0, "b": 0.5}})))["q"]
    t, w, o = fitted.temperature, fitted.others, fitted.outside
    a, b, none = (math.exp(score / t) for score in (1.0, 0.5, o))
    assert probabilities == pytest.approx({"a": a / (a + w * b + none), "b": b / (b + w * a + none)})


@pytest.mark.parametrize("outside", [-3.0, 1.5, 4.0])
def test_the_first_hit_is_as_probable_as_it_is_right(outside: float) -> None:
    """Also where the answer of most queries is not ranked at all."""
    table, judged = chosen(10, outside)
    calibrated = Temperature.fit(table, judged).apply(table)
    right = pd.MultiIndex.from_frame(table[["query_id", "item_id"]]).isin(
        pd.MultiIndex.from_frame(judged[["query_id", "item_id"]])
    )
    first = (table["rank"] == 1).to_numpy()
    assert calibrated["score"].mean() == pytest.approx(right.mean(), abs=0.002)
    assert calibrated["score"][first].mean() == pytest.approx(right[first].mean(), abs=0.02)


def test_several_right_items_do_not_share_one_probability() -> None:
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((800, 12))
    scores[:, :5] += 2
    names, items = [f"q{n:03}" for n in range(800)], [f"i{n:02}" for n in range(12)]
    table, judged = rankings_from_scores(scores, names, items), qrels(dict.fromkeys(names, items[:5]))
    calibrated = Temperature.fit(table, judged).apply(table)
    first = calibrated[calibrated["rank"] == 1]
    assert first["score"].mean() == pytest.approx((first["item_id"] < "i05").mean(), abs=0.03)
    assert first["score"].mean() > 0.9


def test_a_temperature_without_an_option_or_beside_others_is_read_from_its_numbers() -> None:
    table = rankings({"q": {"a": 1.0, "b": 0.0}})
    alone = scores_of(Temperature(1.0, 0.0, 0.0).apply(table))["q"]
    assert alone == pytest.approx({"a": 1 / (1 + math.exp(-1)), "b": 1 / 2})
    softmax = scores_of(Temperature(1.0, 1.0, -1000.0).apply(table))["q"]
    assert softmax == pytest.approx({"a": math.e / (1 + math.e), "b": 1 / (1 + math.e)})


def test_the_logistic_meets_platts_targets_where_two_scores_can_meet_both() -> None:
    table = rankings({"q": {"a": 3.0, "b": 3.0, "c": 1.0, "d": 1.0}})
    fitted = Logistic.fit(table, qrels({"q": ["a", "b"]}))
    high, low = (2 + 1) / (2 + 2), 1 / (2 + 2)
    found = scores_of(fitted.apply(table))["q"]
    assert found == pytest.approx({"a": high, "b": high, "c": low, "d": low})
    assert fitted.slope == pytest.approx((math.log(3) + math.log(3)) / (3 - 1))


@pytest.mark.parametrize("scores", [{"a": 0.0, "b": 1.0, "c": 1.0}, {"a": 2.0, "b": 2.0, "c": 2.0}])
def test_scores_that_say_the_opposite_or_nothing_give_the_mean_target(scores: dict) -> None:
    fitted = Logistic.fit(rankings({"q": scores}), qrels({"q": ["a"]}))
    assert fitted.slope == 0
    assert fitted.apply(rankings({"q": {"z": 5.0}}))["score"].tolist() == pytest.approx(
        [(2 / 3 + 1 / 4 + 1 / 4) / 3]
    )


def test_isotonic_pools_what_falls_and_draws_lines_between() -> None:
    table = rankings({"q": {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}})
    fitted = Isotonic.fit(table, qrels({"q": ["a", "c"]}))  # from below: 0 0 1 0 1, where 1 0 falls
    assert fitted.scores == (1, 2, 3, 4, 5)
    assert fitted.probabilities == pytest.approx((0, 0, 1 / 2, 1 / 2, 1))
    asked = rankings({"q": {"u": 9.0, "v": 4.5, "w": 3.5, "x": 2.5, "y": -9.0}})
    expected = {"u": 1, "v": (1 / 2 + 1) / 2, "w": 1 / 2, "x": 1 / 4, "y": 0}
    assert scores_of(fitted.apply(asked))["q"] == pytest.approx(expected)


def test_isotonic_weighs_equal_scores_by_how_many_there_are() -> None:
    table = rankings({"q": {"a": 2.0, "b": 1.0, "c": 1.0}})
    fitted = Isotonic.fit(
        table, qrels({"q": ["b"]})
    )  # 1 of 2 at the lower score, 0 of 1 at the higher, which falls
    assert fitted.probabilities == pytest.approx((1 / 3, 1 / 3))


def test_isotonic_is_applied_as_scikit_learn_predicts(drawn: tuple) -> None:
    table, judged = drawn
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    theirs.fit(table["score"], (table["item_id"] == "i00").astype(float))
    asked = table.assign(score=table["score"] * 1.5 + 0.01)
    ours = Isotonic.fit(table, judged).apply(asked)
    assert ours["score"].to_numpy() == pytest.approx(theirs.predict(asked["score"]), abs=1e-12)


@every_calibration
def test_a_calibration_predicts_on_average_what_is_observed(kind: type, drawn: tuple) -> None:
    table, judged = drawn
    before = table.copy()
    calibrated = kind.fit(table, judged).apply(table)
    pd.testing.assert_frame_equal(table, before)
    assert calibrated["score"].between(0, 1).all()
    assert calibrated["score"].mean() == pytest.approx(1 / 20, rel=0.01)
    best = calibrated[calibrated["rank"] == 1]
    observed = (best["item_id"] == "i00").mean()
    assert best["score"].mean() == pytest.approx(observed, abs=0.06)


@every_calibration
def test_a_calibration_is_written_as_json(kind: type, drawn: tuple) -> None:
    fitted = kind.fit(*drawn)
    written = json.loads(json.dumps(fitted.to_dict()))
    assert written.pop("kind") == kind.kind
    assert kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in written.items()}) == fitted


FITTED = {
    "temperature": Temperature(0.7, 0.4, 0.2),
    "logistic": Logistic(2.0, -1.0),
    "isotonic": Isotonic((-1.0, 0.0, 2.0), (0.1, 0.1, 0.9)),
}


@every_calibration
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS)
def test_a_calibration_keeps_the_order_and_does_not_look_at_that_of_the_rows(
    kind: type, table: pd.DataFrame
) -> None:
    fitted = FITTED[kind.kind]
    calibrated = fitted.apply(table)
    pd.testing.assert_frame_equal(calibrated.drop(columns="score"), table.drop(columns="score"))
    assert (calibrated.groupby("query_id")["score"].diff().dropna() <= 0).all()
    shuffled = fitted.apply(table.sample(frac=1, random_state=1)).sort_index()
    pd.testing.assert_frame_equal(shuffled, calibrated)


@every_calibration
def test_the_order_of_the_rows_does_not_change_a_fit(kind: type, drawn: tuple) -> None:
    table, judged = drawn
    one, other = (kind.fit(rows, judged).to_dict() for rows in (table, table.sample(frac=1, random_state=1)))
    one.pop("kind"), other.pop("kind")
    for name, value in one.items():
        assert other[name] == pytest.approx(value, rel=1e-6)


@every_calibration
def test_only_judged_queries_are_fitted_on(kind: type, drawn: tuple) -> None:
    table, judged = drawn
    first = table["query_id"] < "q200"
    part = judged[judged["query_id"] < "q200"]
    assert kind.fit(table, part) == kind.fit(table[first], part)


@every_calibration
@pytest.mark.parametrize("right", [["z"], ["a", "b"]])
def test_a_fit_needs_both_right_and_wrong_items(kind: type, right: list) -> None:
    with pytest.raises(
        ValueError, match="expected relevant and irrelevant items among the ranked ones, found"
    ):
        kind.fit(rankings({"q": {"a": 1.0, "b": 0.0}}), qrels({"q": right}))


@pytest.mark.parametrize(
    ("kind", "numbers", "message"),
    [
        (Temperature, {"temperature": 0}, "positive number, found 0"),
        (Temperature, {"temperature": 1, "others": -1}, "others from 0 and a finite"),
        (Temperature, {"temperature": math.inf}, "positive number, found inf"),
        (Temperature, {"temperature": 1, "others": math.inf}, "others from 0 and a finite"),
        (Temperature, {"temperature": 1, "outside": math.inf}, "others from 0 and a finite"),
        (Logistic, {"slope": -1, "intercept": 0}, "a finite slope from 0"),
        (Logistic, {"slope": math.inf, "intercept": 0}, "a finite slope from 0"),
        (Logistic, {"slope": 1, "intercept": math.nan}, "a finite intercept"),
        (Isotonic, {"scores": [], "probabilities": []}, "found 0 and 0"),
        (Isotonic, {"scores": [0, math.inf], "probabilities": [0, 1]}, "expected rising scores"),
        (Isotonic, {"scores": [1, 2], "probabilities": [-0.1, 1]}, r"in \[0, 1\]"),
        (Isotonic, {"scores": [1, 1], "probabilities": [0, 1]}, "expected rising scores"),
        (Isotonic, {"scores": [1], "probabilities": [0, 1]}, "found 1 and 2"),
        (Isotonic, {"scores": [1, 2], "probabilities": [1, 0]}, "that never fall"),
        (Isotonic, {"scores": [1, 2], "probabilities": [0, 2]}, r"in \[0, 1\]"),
    ],
)
def test_numbers_that_make_no_calibration_are_refused(kind: type, numbers: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**numbers)


def test_the_ends_of_every_range_make_a_calibration() -> None:
    table = rankings({"q": {"a": 1.0, "b": 0.0}})
    assert Logistic(0, 0).apply(table)["score"].tolist() == [1 / 2, 1 / 2]
    assert Isotonic([0.5], [1]).apply(table)["score"].tolist() == [1, 1]
    assert Isotonic([0, 1], [0, 0]).apply(table)["score"].tolist() == [0, 0]
    assert Temperature(1.0) == Temperature(1.0, 1.0, 0.0)
    assert Temperature(0.5, 2.0, -1.0).to_dict() == {
        "kind": "temperature", "temperature": 0.5, "others": 2.0, "outside": -1.0,
    }  # fmt: skip
    assert Logistic(2.0, -1.0).to_dict() == {"kind": "logistic", "slope": 2.0, "intercept": -1.0}
    assert Isotonic([0, 1], [0, 0.5]).to_dict() == {
        "kind": "isotonic",
        "scores": [0, 1],
        "probabilities": [0, 0.5],
    }


def draw_uneven(alone: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """200 queries of one to nine items, scored with ties; one is right or none, or each is `alone`."""
    rng = np.random.default_rng(5)
    scores, right = {}, {}
    for n in range(200):
        found = {f"i{item}": float(rng.integers(-8, 9)) / 4 for item in range(1 + n % 9)}
        mass = np.exp(1.5 * np.array([*found.values()]) - 1)
        shares = np.r_[mass, 1] / (1 + mass.sum())
        drawn = rng.random(len(mass)) < mass / (1 + mass) if alone else rng.multinomial(1, shares)[:-1] > 0
        scores[f"q{n}"] = found
        right[f"q{n}"] = [item for item, is_right in zip(found, drawn, strict=True) if is_right] or ["none"]
    return rankings(scores), qrels(right)


@pytest.fixture(scope="module")
def uneven() -> tuple[pd.DataFrame, pd.DataFrame]:
    return draw_uneven(alone=False)


def test_items_that_do_not_rule_each_other_out_weigh_nothing() -> None:
    fitted = Temperature.fit(*draw_uneven(alone=True))
    assert fitted.others == pytest.approx(1e-6)  # the least that is tried
    assert fitted.temperature == pytest.approx(1 / 1.5, rel=0.25)


def mean_log_loss(fitted, table: pd.DataFrame, judged: pd.DataFrame) -> float:
    """Of Platt's targets."""
    right = pd.MultiIndex.from_frame(table[["query_id", "item_id"]]).isin(
        pd.MultiIndex.from_frame(judged[["query_id", "item_id"]])
    )
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    p = fitted.apply(table)["score"].to_numpy()
    return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))


@pytest.mark.parametrize("kind", [Temperature, Logistic])
def test_no_other_numbers_have_a_lower_log_loss(kind: type, uneven: tuple) -> None:
    fitted = kind.fit(*uneven)
    least = mean_log_loss(fitted, *uneven)
    numbers = {name: value for name, value in fitted.to_dict().items() if name != "kind"}
    for name, value in numbers.items():
        for change in (0.98, 1.02):
            other = {**numbers, name: value * change}
            assert mean_log_loss(kind(**other), *uneven) > least
    start = [
        math.log(max(abs(value), 1e-3)) if name != "outside" else value for name, value in numbers.items()
    ]
    sign = np.sign(list(numbers.values()))

    def loss(found: np.ndarray) -> float:
        given = {
            name: one if name == "outside" else float(s * math.exp(one))
            for name, one, s in zip(numbers, found, sign, strict=True)
        }
        return mean_log_loss(kind(**given), *uneven)

    searched = minimize(loss, np.array(start) + 0.3, method="Nelder-Mead", options={"maxfev": 150})
    assert least <= searched.fun + 1e-6


@pytest.mark.parametrize("kind", [Temperature, Logistic])
def test_scores_on_another_scale_have_the_same_probabilities(kind: type, uneven: tuple) -> None:
    table, judged = uneven
    moved = table.assign(score=table["score"] * 20 + 7)
    one, other = (kind.fit(rows, judged) for rows in (table, moved))
    assert other.apply(moved)["score"].tolist() == pytest.approx(one.apply(table)["score"].tolist(), abs=1e-4)
    if kind is Temperature:
        assert other.temperature == pytest.approx(20 * one.temperature, rel=1e-3)
        assert other.outside == pytest.approx(20 * one.outside + 7, rel=1e-3)
        assert other.others == pytest.approx(one.others, rel=1e-3)
    else:
        assert other.slope == pytest.approx(one.slope / 20, rel=1e-4)


def test_equal_scores_everywhere_give_the_share_that_is_right() -> None:
    """The mean of many 0.4 is not quite 0.4: their deviation is 6e-17, and no scale to measure by."""
    table = rankings({f"q{n}": {"a": 0.4, "b": 0.4} for n in range(30)})
    judged = qrels({f"q{n}": ["a"] if n % 3 else ["z"] for n in range(30)})
    targets = (20 * 21 / 22 + 40 * 1 / 42) / 60
    for kind in (Temperature, Logistic):
        assert kind.fit(table, judged).apply(table)["score"].tolist() == pytest.approx(
            [targets] * 60, abs=2e-3
        )


def test_the_slopes_of_the_log_odds_are_those_of_small_steps(uneven: tuple) -> None:
    table, _ = uneven
    query, score = pd.factorize(table["query_id"])[0], table["score"].to_numpy()
    at = np.array([0.8, -0.7, 0.3])

    def log_odds(beta: float, log_others: float, outside: float) -> np.ndarray:
        p = _choice(query, score, beta, log_others, outside).probability
        return np.log(p / (1 - p))

    found = _choice(query, score, *at)
    for number, slopes in enumerate((found.by_beta, found.by_others, found.by_outside)):
        step = np.eye(3)[number] * 1e-5
        assert slopes == pytest.approx((log_odds(*(at + step)) - log_odds(*(at - step))) / 2e-5, abs=1e-5)
