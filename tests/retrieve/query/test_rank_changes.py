"""How ranks change between two answers, and from step to step."""

import numpy as np
import pandas as pd
import pytest

from mmlab.retrieve.query.rank_changes import describe_change, rank_changes, ranks_by_step, ranks_of_query
from mmlab.retrieve.scores.calibrate import Logistic
from tests.retrieve.tables import rankings


def hits(*ids):
    """Hits in this order, with the scores 1, 1/2, 1/3, ..."""
    ranks = np.arange(1, len(ids) + 1)
    return pd.DataFrame({"item_id": list(ids), "rank": ranks, "score": 1 / ranks})


def test_moves_say_what_passed_what():
    changes = rank_changes(hits("a", "b", "c", "d"), hits("c", "a", "b", "e")).set_index("item_id")
    assert changes["change"].dropna().to_dict() == {"c": 2, "a": -1, "b": -1}
    assert changes.loc["c", ["before", "after", "passed", "passed_by"]].tolist() == [3, 1, 2, 0]
    assert changes.loc["c", ["score_before", "score_after"]].tolist() == pytest.approx([1 / 3, 1])
    assert changes.loc["a", ["passed", "passed_by"]].tolist() == [0, 1]
    assert changes.loc[["d", "e"], "change"].isna().all()


def test_the_furthest_come_first():
    assert rank_changes(hits("a", "b", "c"), hits("c", "a", "b"))["item_id"].tolist() == ["c", "a", "b"]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_gained_are_those_passed_less_those_passed_by(seed):
    rng = np.random.default_rng(seed)
    changes = rank_changes(hits(*rng.permutation(30)[:20]), hits(*rng.permutation(30)[:20])).dropna()
    assert (changes["change"] == changes["passed"] - changes["passed_by"]).all()


@pytest.mark.parametrize(
    ("move", "says"),
    [
        (
            {"before": 5, "after": 2, "score_before": 0.25, "score_after": 0.5, "passed": 4, "passed_by": 1},
            "score 0.250 → 0.500, passed 4, passed by 1",
        ),
        (
            {"before": 1, "after": 2, "score_before": 0.5, "score_after": 0.5, "passed": 0, "passed_by": 1},
            "score still 0.500, passed by 1",
        ),
        (
            {"before": pd.NA, "after": 2, "score_after": 0.5, "passed": 0, "passed_by": 0},
            "found on the right only, score 0.500",
        ),
        (
            {"before": 2, "after": pd.NA, "score_before": 0.5, "passed": 0, "passed_by": 0},
            "found on the left only, score 0.500",
        ),
    ],
)
def test_the_reason_of_a_move_in_words(move, says):
    assert describe_change(move) == says


def test_ranks_stand_beside_each_other_and_what_is_not_ranked_has_none() -> None:
    steps = {
        "exact": rankings({"q": {"a": 3.0, "b": 2.0}, "r": {"a": 1.0}}),
        "fused": rankings({"q": {"b": 3.0, "c": 2.0}}),
    }
    table = ranks_by_step(steps, "q", ["b", "a", "c"], {"b": "Bee"})
    assert table["item"].tolist() == ["Bee", "a", "c"]
    assert table["exact"].tolist() == [2, 1, pd.NA]
    assert table["fused"].tolist() == [1, pd.NA, 2]
    with pytest.raises(ValueError, match="no step has ranked anything for query s"):
        ranks_by_step(steps, "s", ["a"])


def test_the_ranks_of_one_query_are_those_of_the_run_and_of_what_it_did_not_ask_for() -> None:
    items = pd.DataFrame({"item_id": list("qrabc"), "pair_id": [f"p{name}" for name in "qrabc"]})
    exact = rankings({"q": {"a": 0.9, "b": 0.8, "c": 0.7}, "r": {"a": 1.0}})
    tried = {"none": exact, "csls": rankings({"q": {"b": 1.0, "a": 0.5, "c": 0.1}})}
    again = rankings({"q": {"b": 0.98, "a": 0.97}})
    table = ranks_of_query("q", {"exact": exact}, exact, tried, items, Logistic(2.0, 0.0), again)
    assert table.columns.tolist() == ["item", "exact", "csls", "fused by rank", "calibrated", "reranked"]
    assert table["item"].tolist() == ["pa", "pb", "pc"]
    assert table["calibrated"].tolist() == [1, 2, 3]  # a calibration keeps the order
    assert table["csls"].tolist() == [2, 1, 3]
    assert table["fused by rank"].tolist() == [1, 2, 3]  # a tie goes by id
    assert table["reranked"].tolist() == [2, 1, pd.NA]
    assert "reranked" not in ranks_of_query("q", {"exact": exact}, exact, {}, items, reranked=again.head(0))
