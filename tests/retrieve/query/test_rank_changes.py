"""How ranks change between two answers, and from step to step."""

import numpy as np
import pandas as pd
import pytest

from mmlab.retrieve.query.explain import describe_change, rank_changes, ranks_of_query
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


def test_why_an_item_moved_is_said():
    changes = rank_changes(hits("a", "b", "c", "d"), hits("c", "a", "b", "e")).to_dict("records")
    assert {change["item_id"]: describe_change(change) for change in changes} == {
        "c": "score 0.333 → 1.000, passed 2",
        "a": "score 1.000 → 0.500, passed by 1",
        "b": "score 0.500 → 0.333, passed by 1",
        "d": "found on the left only, score 0.250",
        "e": "found on the right only, score 0.250",
    }


def test_the_furthest_come_first():
    assert rank_changes(hits("a", "b", "c"), hits("c", "a", "b"))["item_id"].tolist() == ["c", "a", "b"]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_gained_are_those_passed_less_those_passed_by(seed):
    rng = np.random.default_rng(seed)
    changes = rank_changes(hits(*rng.permutation(30)[:20]), hits(*rng.permutation(30)[:20])).dropna()
    assert (changes["change"] == changes["passed"] - changes["passed_by"]).all()


def test_the_ranks_of_one_query_follow_its_first_answers_which_are_called_by_their_pair() -> None:
    items = pd.DataFrame({"item_id": list("qrabc"), "pair_id": [f"p{name}" for name in "qrabc"]})
    exact = rankings({"q": {"a": 0.9, "b": 0.8, "c": 0.7}, "r": {"a": 1.0}})
    reranked = rankings({"q": {"b": 0.98, "a": 0.97}})
    table = ranks_of_query("q", {"exact": exact, "reranked": reranked}, reranked, items, n=2)
    assert table["item"].tolist() == ["pb", "pa"]
    assert table["exact"].tolist() == [2, 1]
    assert table["reranked"].tolist() == [1, 2]
