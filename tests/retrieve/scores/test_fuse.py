"""Late fusion, by hand."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.retrieve import FUSIONS, NORMALIZERS, dbsf, fuse, rrf, weighted_sum
from tests.retrieve.tables import SOME_RANKINGS, order_of, random_rankings, rankings, scores_of

A = {"q1": {"a": 5.0, "b": 4.0, "c": 1.0}, "q2": {"a": 1.0, "b": 0.0}}
B = {"q1": {"b": 0.9, "d": 0.5, "a": 0.4}, "q3": {"c": 1.0, "a": 0.5}}


def test_a_weighted_sum_adds_min_max_scores_and_an_item_that_one_side_lacks_adds_nothing() -> None:
    fused = weighted_sum([rankings(A), rankings(B)], [0.75, 0.25])
    assert scores_of(fused) == {
        "q1": {
            "b": pytest.approx(0.75 * 3 / 4 + 0.25),
            "a": 0.75,
            "d": pytest.approx(0.25 * 1 / 5),
            "c": 0,
        },
        "q2": {"a": 0.75, "b": 0},
        "q3": {"c": 0.25, "a": 0},
    }
    assert fused["query_id"].drop_duplicates().tolist() == ["q1", "q2", "q3"]
    assert fused["item_id"].tolist() == ["b", "a", "d", "c", "a", "b", "c", "a"]
    assert fused["rank"].tolist() == [1, 2, 3, 4, 1, 2, 1, 2]


def test_an_item_that_a_ranking_lacks_has_its_lowest_score() -> None:
    a, b = {"q": {"x": 3.0, "y": 1.0}}, {"q": {"x": -5.0, "z": -7.0}}
    fused = scores_of(weighted_sum([rankings(a), rankings(b)], [0.5, 0.5], normalizer=None))
    assert fused == {"q": {"x": (3 - 5) / 2, "y": (1 - 7) / 2, "z": (1 - 7) / 2}}


def test_reciprocal_ranks_add_up() -> None:
    fused = scores_of(rrf([rankings(A), rankings(B)]))
    assert fused["q1"] == pytest.approx(
        {"b": 1 / (60 + 2) + 1 / (60 + 1), "a": 1 / (60 + 1) + 1 / (60 + 3), "d": 1 / 62, "c": 1 / 63}
    )
    assert fused["q2"] == pytest.approx({"a": 1 / 61, "b": 1 / 62})


def test_a_weight_divides_the_rank() -> None:
    fused = scores_of(rrf([rankings(A), rankings(B)], weights=[2, 0], k=1))
    assert fused["q1"] == pytest.approx(
        {"a": 1 / (1 + 1 / 2), "b": 1 / (1 + 2 / 2), "c": 1 / (1 + 3 / 2), "d": 0}
    )


@pytest.mark.parametrize("how", FUSIONS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_equal_shares_are_no_weights(how: str, n: int) -> None:
    tables = [*random_rankings(12), *random_rankings(20)][:n]
    even = fuse(how, tables, [1 / n] * n)
    pd.testing.assert_frame_equal(even, FUSIONS[how](tables))
    pd.testing.assert_frame_equal(fuse(how, tables), even)


def test_a_share_in_reciprocal_ranks_counts_from_one_ranking() -> None:
    fused = scores_of(fuse("rrf", [rankings(A), rankings(B)], [0.75, 0.25]))
    assert fused["q1"]["a"] == pytest.approx(1 / (60 + 1 / 1.5) + 1 / (60 + 3 / 0.5))
    with pytest.raises(ValueError, match="fusion: expected one of weighted_sum, rrf, dbsf, found 'sum'"):
        fuse("sum", [rankings(A)])


def test_distribution_based_scores_add_up() -> None:
    fused = scores_of(dbsf([rankings({"q": {"a": 2.0, "b": 0.0}}), rankings({"q": {"a": 9.0}})]))
    assert fused["q"] == pytest.approx({"a": 0.5 + 1 / (6 * 2**0.5) + 0.5, "b": 0.5 - 1 / (6 * 2**0.5)})


def test_ranks_come_from_the_scores_not_from_an_old_column() -> None:
    stale = rankings(A).assign(rank=1)
    pd.testing.assert_frame_equal(rrf([stale]), rrf([rankings(A)]))


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=list(FUSIONS))
def test_rows_of_interleaved_queries_are_ranked_by_query(fuse: Callable) -> None:
    rows = [("q1", "a", 3.0), ("q2", "b", 2.0), ("q1", "c", 1.0)]
    table = pd.DataFrame(rows, columns=["query_id", "item_id", "score"]).assign(rank=1)
    fused = fuse([table])
    assert fused["query_id"].tolist() == ["q1", "q1", "q2"]
    assert fused["item_id"].tolist() == ["a", "c", "b"]
    assert fused["rank"].tolist() == [1, 2, 1]


def test_weights_may_differ_from_query_to_query() -> None:
    a, b = ({q: {"x": one, "y": 1 - one} for q in ("q1", "q2")} for one in (1.0, 0.0))
    weights = [pd.Series({"q1": 0.7, "q2": 0.2}), pd.Series({"q2": 0.8, "q1": 0.3})]
    fused = scores_of(weighted_sum([rankings(a), rankings(b)], weights))
    assert fused["q1"] == pytest.approx({"x": 0.7, "y": 0.3})
    assert fused["q2"] == pytest.approx({"x": 0.2, "y": 0.8})


every_fusion = pytest.mark.parametrize("fuse", FUSIONS.values(), ids=list(FUSIONS))


@every_fusion
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS, other=SOME_RANKINGS)
def test_a_fusion_is_ranked_pools_everything_and_leaves_its_inputs(
    fuse: Callable, table: pd.DataFrame, other: pd.DataFrame
) -> None:
    before = table.copy(), other.copy()
    fused = fuse([table, other])
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(other, before[1])
    pairs = {(row.query_id, row.item_id) for row in [*table.itertuples(), *other.itertuples()]}
    assert sorted(zip(fused["query_id"], fused["item_id"], strict=True)) == sorted(pairs)
    pd.testing.assert_frame_equal(
        fused, rankings(scores_of(fused)), check_column_type=False
    )  # score, item_id, ranks
    shuffled = [part.sample(frac=1, random_state=1) for part in (table, other)]
    again = fuse(shuffled)
    assert order_of(again) == order_of(fused)
    assert scores_of(again) == scores_of(fused)


@every_fusion
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS)
def test_a_ranking_fused_with_itself_keeps_its_order(fuse: Callable, table: pd.DataFrame) -> None:
    assert order_of(fuse([table, table])) == order_of(table)
    assert order_of(fuse([table])) == order_of(table)


@every_fusion
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS, other=SOME_RANKINGS)
def test_weights_of_one_and_nothing_give_back_one_sides_order(
    fuse: Callable, table: pd.DataFrame, other: pd.DataFrame
) -> None:
    for sides, weights in (([table, other], [1, 0]), ([other, table], [0, 1])):
        order, expected = order_of(fuse(sides, weights)), order_of(table)
        assert {q: [i for i in order[q] if i in expected[q]] for q in expected} == expected


@pytest.mark.parametrize("how", NORMALIZERS)
@settings(max_examples=25, deadline=None)
@given(table=SOME_RANKINGS)
def test_every_normalizer_can_be_fused(how: str, table: pd.DataFrame) -> None:
    scaled = weighted_sum([table, table], normalizer=how)
    assert scaled.groupby("query_id").size().to_dict() == table.groupby("query_id").size().to_dict()


@every_fusion
def test_rankings_without_rows_add_nothing(fuse: Callable) -> None:
    empty = rankings({})
    assert fuse([empty, empty]).empty
    assert order_of(fuse([rankings(A), empty])) == order_of(rankings(A))


@every_fusion
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5], "weights: expected one for each of 2 rankings, found 1"),
        ([1.5, -0.5], "expected numbers from 0, found -0.5 for query q1"),
        ([np.nan, 1], "expected numbers from 0, found nan"),
        ([pd.Series({"q1": 1.0}), 0], "found nan for query q2"),
    ],
)
def test_wrong_weights_are_refused(fuse: Callable, weights: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fuse([rankings(A), rankings(B)], weights)


@every_fusion
def test_nothing_and_an_item_twice_are_refused(fuse: Callable) -> None:
    with pytest.raises(ValueError, match="rankings: a fusion needs at least one, found none"):
        fuse([])
    with pytest.raises(ValueError, match="rankings: 5 items come twice"):
        fuse([rankings(B), pd.concat([rankings(A), rankings(A)])])


def test_a_weighted_sum_wants_weights_that_add_up_and_rrf_a_number_from_0() -> None:
    with pytest.raises(ValueError, match=r"add up to 1, found 1\.2"):
        weighted_sum([rankings(A), rankings(B)], [0.6, 0.6])
    with pytest.raises(ValueError, match="k: expected a number from 0, found -1"):
        rrf([rankings(A)], k=-1)
    with pytest.raises(ValueError, match="k: expected a number from 0, found inf"):
        rrf([rankings(A)], k=np.inf)
    assert scores_of(rrf([rankings(A)], k=0))["q2"] == {"a": 1, "b": 1 / 2}
    nearly = scores_of(weighted_sum([rankings(A), rankings(B)], [0.5, 0.5 + 5e-7]))  # as thirds add up to
    assert nearly["q2"] == {"a": 0.5, "b": 0}
    with pytest.raises(ValueError, match="divide them by their sum"):
        weighted_sum([rankings(A), rankings(B)], [0.5, 0.5 + 5e-6])
    assert fuse("rrf", [rankings(A)], rrf_k=3)["score"].tolist() == rrf([rankings(A)], k=3)["score"].tolist()


def test_equal_scores_share_a_rank_in_rrf_and_none_of_them_wins() -> None:
    one = rankings({"q": {"a": 0.9, "b": 0.9, "c": 0.5}})
    other = rankings({"q": {"c": 0.8, "a": 0.3, "b": 0.3}})
    found = scores_of(rrf([one, other], k=1))["q"]
    both = 1 / (1 + 1.5) + 1 / (1 + 2.5)
    assert found == pytest.approx({"a": both, "b": both, "c": 1 / (1 + 3) + 1 / (1 + 1)})
    assert found["a"] == found["b"]
