"""Late fusion, by hand."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.retrieve import FUSIONS, NORMALIZERS, dbsf, fuse, rrf, weighted_sum
from mmlab.retrieve.scores.fuse import compare_normalizers, normalize, softmax
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
