"""Scores of a query onto a common scale."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.retrieve import NORMALIZERS
from mmlab.retrieve.scores.normalize import compare_normalizers, normalize, softmax
from tests.retrieve.tables import SOME_RANKINGS, rankings, scores_of

TABLE = {"q1": {"a": 5.0, "b": 2.0, "c": -1.0}, "q2": {"b": 7.0, "d": 3.0}}
DEVIATION = math.sqrt((3**2 + 0 + 3**2) / 3)
EXPECTED = {
    "min-max": {"q1": {"a": 1, "b": (2 + 1) / (5 + 1), "c": 0}, "q2": {"b": 1, "d": 0}},
    "z-score": {"q1": {"a": 3 / DEVIATION, "b": 0, "c": -3 / DEVIATION}, "q2": {"b": 1, "d": -1}},
    "rank": {"q1": {"a": 1, "b": 2 / 3, "c": 1 / 3}, "q2": {"b": 1, "d": 1 / 2}},
    "sum": {"q1": {"a": 6 / (6 + 3), "b": 3 / (6 + 3), "c": 0}, "q2": {"b": 1, "d": 0}},
    "softmax": {
        "q1": {"a": 1, "b": math.exp(-3 / 0.05), "c": math.exp(-6 / 0.05)},
        "q2": {"b": 1, "d": math.exp(-4 / 0.05)},
    },
    "three-sigma": {
        "q1": {"a": (5 - (2 - 9)) / 18, "b": 1 / 2, "c": (-1 - (2 - 9)) / 18},  # mean 2, sigma sqrt(18 / 2)
        "q2": {"b": 0.5 + 2 / (6 * math.sqrt(8)), "d": 0.5 - 2 / (6 * math.sqrt(8))},
    },
}
LEVEL = {"min-max": 0, "z-score": 0, "rank": 2 / 3, "sum": 0, "softmax": 1 / 3, "three-sigma": 1 / 2}


@pytest.mark.parametrize("how", NORMALIZERS)
def test_scores_are_what_the_formula_says(how: str) -> None:
    table = rankings(TABLE)
    scaled = scores_of(normalize(table, how))
    assert scaled.keys() == EXPECTED[how].keys()
    for query, expected in EXPECTED[how].items():
        assert scaled[query] == pytest.approx(expected, abs=1e-12)
    pd.testing.assert_frame_equal(table, rankings(TABLE))


@pytest.mark.parametrize("how", NORMALIZERS)
@pytest.mark.parametrize("value", [0.1, -1e6])
def test_equal_scores_stay_equal_and_finite(how: str, value: float) -> None:
    level = normalize(rankings({"q": dict.fromkeys("abc", value)}), how)["score"]  # 3 x 0.1 / 3 is not 0.1
    assert level.tolist() == pytest.approx([LEVEL[how]] * 3, abs=1e-15)
    assert level.nunique() == 1


@pytest.mark.parametrize("how", NORMALIZERS)
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS)
def test_no_normalizer_turns_two_items_round_or_looks_at_the_order_of_the_rows(
    how: str, table: pd.DataFrame
) -> None:
    scaled = normalize(table, how)
    pd.testing.assert_frame_equal(scaled.drop(columns="score"), table.drop(columns="score"))
    assert np.isfinite(scaled["score"]).all()
    assert (scaled.groupby("query_id")["score"].diff().dropna() <= 0).all()
    shuffled = normalize(table.sample(frac=1, random_state=1), how).sort_index()
    pd.testing.assert_frame_equal(shuffled, scaled)


@pytest.mark.parametrize("how", NORMALIZERS)
def test_empty_rankings_stay_empty_and_labels_of_rows_do_not_matter(how: str) -> None:
    table = rankings(TABLE)
    assert normalize(table.head(0), how).empty
    twice = table.set_index(pd.Index([0] * len(table)))
    assert normalize(twice, how)["score"].tolist() == normalize(table, how)["score"].tolist()


def test_equal_scores_share_their_mean_rank() -> None:
    scaled = normalize(rankings({"q": {"a": 2, "b": 1, "c": 1, "d": 0}}), "rank")
    assert scores_of(scaled)["q"] == {"a": 1, "b": 1 - 1.5 / 4, "c": 1 - 1.5 / 4, "d": 1 / 4}


def test_a_temperature_of_one_is_the_plain_softmax() -> None:
    found = scores_of(softmax(rankings({"q": {"a": math.log(3), "b": 0.0}}), temperature=1))
    assert found["q"] == pytest.approx({"a": 3 / 4, "b": 1 / 4})
    for temperature in (0, np.inf):
        with pytest.raises(ValueError, match=f"temperature: expected a number above 0, found {temperature}"):
            softmax(rankings(TABLE), temperature=temperature)


@pytest.mark.parametrize("how", NORMALIZERS)
def test_a_single_score_is_like_equal_ones(how: str) -> None:
    alone = normalize(rankings({"q": {"a": 0.3}, "r": {"a": 1.0, "b": 0.5}}), how)
    expected = {"min-max": 0, "z-score": 0, "rank": 1, "sum": 0, "softmax": 1, "three-sigma": 1 / 2}
    assert alone["score"].iloc[0] == pytest.approx(expected[how])


def test_scales_stand_beside_each_other() -> None:
    table = rankings({"q": {"a": 4.0, "b": 1.0, "c": 0.0}})
    beside = compare_normalizers(table)
    pd.testing.assert_frame_equal(beside[table.columns], table)
    assert beside["by min-max"].tolist() == [1, 1 / 4, 0]
    assert beside["by rank"].tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    deviation = ((7 / 3) ** 2 + (2 / 3) ** 2 + (5 / 3) ** 2) ** 0.5 / 3**0.5
    assert beside["by z-score"].tolist() == pytest.approx(
        [one / deviation for one in (7 / 3, -2 / 3, -5 / 3)]
    )


def test_an_unknown_normalizer_and_a_missing_column_are_named() -> None:
    with pytest.raises(ValueError, match="normalizer: expected one of min-max, z-score, .* found 'minmax'"):
        normalize(rankings(TABLE), "minmax")
    with pytest.raises(ValueError, match=r"columns \['score'\] are missing"):
        normalize(rankings(TABLE).drop(columns="score"), "min-max")
