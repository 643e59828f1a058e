"""Weights of a fusion: learned, or by confidence."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import score_queries
from mmlab.retrieve import confidence, learn_weight, reciprocal_ranks, weighted_sum, weights_by_confidence
from tests.retrieve.tables import qrels, rankings, scores_of


def success(judged: pd.DataFrame, found: pd.DataFrame) -> pd.Series:
    return score_queries(found, judged, ["Success@1"])["Success@1"]


def test_the_weight_that_puts_right_answers_first_is_learned() -> None:
    a = rankings({"q1": {"x": 1.0, "y": 0.0}, "q2": {"x": 0.0, "y": 0.4, "z": 1.0}})
    b = rankings({"q1": {"x": 0.0, "y": 1.0}, "q2": {"x": 0.0, "y": 1.0, "z": 0.4}})
    learned = learn_weight(a, b, qrels({"q1": ["x"], "q2": ["y"]}), success, [0, 0.25, 0.5, 0.75, 1])
    # q1 wants more than half for a. In q2, y has 1 - 0.6 w against 0.4 + 0.6 w for z: it wants less than half.
    assert learned.table["weight"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert learned.table["value"].tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert learned.weight == 0.25
    only = learn_weight(a, b, qrels({"q1": ["x"]}), success)
    assert only.weight == 0.55
    assert len(only.table) == 21


def test_where_all_weights_are_as_good_the_even_one_is_taken() -> None:
    table = rankings({"q": {"x": 1.0, "y": 0.0}})
    assert learn_weight(table, table, qrels({"q": ["x"]}), success).weight == 0.5


def test_a_grid_without_weights_or_a_measure_without_numbers_is_refused() -> None:
    table, judged = rankings({"q": {"x": 1.0}}), qrels({"q": ["x"]})
    with pytest.raises(ValueError, match="grid of weights is empty"):
        learn_weight(table, table, judged, success, [])
    with pytest.raises(ValueError, match="expected a finite mean"):
        learn_weight(table, table, judged, lambda *_: [np.nan], [0.5])


def test_confidence_is_the_lead_of_the_first_over_the_range() -> None:
    table = rankings({"q1": {"a": 9.0, "b": 8.0, "c": 5.0}, "q2": {"a": 1.0}, "q3": {"a": 2.0, "b": 2.0}})
    assert confidence(table).to_dict() == {"q1": pytest.approx((9 - 8) / (9 - 5)), "q2": 0, "q3": 0}


def test_the_more_confident_side_gets_sixty_percent_of_each_query() -> None:
    sure, unsure = {"x": 1.0, "y": 0.2, "z": 0.0}, {"z": 1.0, "y": 0.8, "x": 0.0}
    a = rankings({"q1": sure, "q2": unsure, "q3": sure})
    b = rankings({"q1": unsure, "q2": sure, "q3": {item: 10 * score for item, score in sure.items()}})
    weights = weights_by_confidence([a, b])
    assert weights[0].to_dict() == pytest.approx({"q1": 0.6, "q2": 0.4, "q3": 0.5})
    assert weights[1].to_dict() == pytest.approx({"q1": 0.4, "q2": 0.6, "q3": 0.5})
    fused = scores_of(weighted_sum([a, b], weights))
    assert fused["q1"] == pytest.approx({"x": 0.6, "y": 0.6 * 0.2 + 0.4 * 0.8, "z": 0.4})
    assert fused["q2"] == pytest.approx(fused["q1"])


def test_a_query_of_one_side_only_has_no_confidence_on_the_other() -> None:
    a, b = rankings({"q1": {"x": 1.0, "y": 0.5, "z": 0.0}}), rankings({"q2": {"x": 1.0}})
    first, second = weights_by_confidence([a, b], share=0.8)
    assert first.to_dict() == pytest.approx({"q1": 0.8, "q2": 0.5})
    assert second.to_dict() == pytest.approx({"q1": 0.2, "q2": 0.5})


def test_the_rule_is_for_two_rankings_and_a_share_from_a_half() -> None:
    table = rankings({"q": {"x": 1.0}})
    with pytest.raises(ValueError, match="compares two rankings, found 3"):
        weights_by_confidence([table] * 3)
    with pytest.raises(ValueError, match="from 0.5 to 1, found 0.4"):
        weights_by_confidence([table] * 2, share=0.4)


def test_a_query_scores_one_over_the_rank_of_its_first_right_item() -> None:
    found = rankings({"q1": {"x": 3.0, "y": 2.0, "z": 1.0}, "q2": {"x": 1.0}})
    judged = qrels({"q1": ["y", "z"], "q2": ["z"], "q3": ["x"]})
    assert reciprocal_ranks(judged, found).to_dict() == {"q1": 1 / 2, "q2": 0, "q3": 0}
