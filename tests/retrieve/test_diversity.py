"""Maximal marginal relevance."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.items import Space, Vectors
from mmlab.retrieve import diversify
from tests.retrieve.tables import SOME_RANKINGS, order_of, rankings

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 2)
VECTORS = Vectors(["a", "b", "c"], np.array([[1, 0], [0.96, 0.28], [0.6, -0.8]]), SPACE)
TABLE = {"q": {"a": 0.9, "b": 0.85, "c": 0.6}}  # b is nearly a; c is further off


def test_a_near_repeat_waits_until_something_else_was_shown() -> None:
    table = rankings(TABLE)
    chosen = diversify(table, VECTORS, balance=0.5)
    assert chosen["item_id"].tolist() == ["a", "c", "b"]
    assert chosen["rank"].tolist() == [1, 2, 3]
    first, second, third = 0.9 + 1, 0.6 - 0.6, 0.85 - 0.96
    assert chosen["score"].tolist() == pytest.approx([first / 2, second / 2, third / 2], abs=1e-7)
    pd.testing.assert_frame_equal(table, rankings(TABLE))


def test_k_items_of_every_query_are_chosen_queries_in_their_order() -> None:
    table = rankings({"z": TABLE["q"], "a": {"b": 0.5}, "m": {"c": 0.9, "b": 0.8, "a": 0.7}})
    chosen = diversify(table, VECTORS, k=2, balance=0.5)
    assert chosen["query_id"].tolist() == ["z", "z", "a", "m", "m"]
    # in m: b has 0.8 - (0.96 x 0.6 - 0.28 x 0.8 = 0.352) = 0.448, a has 0.7 - 0.6 = 0.1
    assert chosen["item_id"].tolist() == ["a", "c", "b", "c", "b"]


GALLERY = Vectors(
    list("abcdefgh"), np.array([[np.cos(i), np.sin(i)] for i in range(8)]), SPACE
)  # 8 points on the circle


@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS)
def test_a_balance_of_1_keeps_the_order_and_scores_never_rise(table: pd.DataFrame) -> None:
    assert order_of(diversify(table, GALLERY, k=8, balance=1)) == order_of(table)
    mixed = diversify(table, GALLERY, k=8, balance=0.3)
    assert (mixed.groupby("query_id")["score"].diff().dropna() <= 1e-6).all()
    shuffled = diversify(table.sample(frac=1, random_state=1), GALLERY, k=8, balance=0.3)
    assert order_of(shuffled) == order_of(mixed)


def test_empty_rankings_stay_empty_and_what_does_not_fit_is_refused() -> None:
    assert diversify(rankings({}), VECTORS).empty
    with pytest.raises(KeyError, match="1 of 4 ids have no vector, first d"):
        diversify(rankings({"q": {"a": 1.0, "b": 0.5, "c": 0.2, "d": 0.1}}), VECTORS)
    for wrong in ({"k": 0}, {"balance": 1.1}):
        with pytest.raises(ValueError, match=r"expected a balance in \[0, 1\] and k of at least 1"):
            diversify(rankings(TABLE), VECTORS, **wrong)
