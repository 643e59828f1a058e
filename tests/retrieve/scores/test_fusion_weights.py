"""Weights of a fusion: learned, or by confidence."""

import numpy as np
import pytest

from mmlab.evaluate import score_queries
from mmlab.items.rankings import rankings_from_scores
from mmlab.retrieve import FUSIONS, fuse, weighted_sum
from mmlab.retrieve.scores.fusion_weights import (
    confidence,
    learn_weights,
    weight_grid,
    weights_by_confidence,
)
from tests.retrieve.tables import qrels, rankings, scores_of


def test_the_weight_that_puts_right_answers_first_is_learned() -> None:
    a = rankings({"q1": {"y": 1.0, "x": 0.0}, "q2": {"x": 0.0, "y": 0.5, "z": 1.0}})
    b = rankings({"q1": {"y": 0.0, "x": 1.0}, "q2": {"x": 0.0, "y": 1.0, "z": 0.0}})
    grid = [(0, 1), (0.25, 0.75), (0.5, 0.5), (0.625, 0.375), (0.75, 0.25), (1, 0)]
    learned = learn_weights([a, b], qrels({"q1": ["y"], "q2": ["y"]}), grid=grid)
    # q1 wants more than half for a: at half x wins by its id. In q2, y has 1 - w / 2 against w for z: w below 2 / 3.
    assert learned.table["weights"].tolist() == grid
    assert learned.table["value"].tolist() == [0.75, 0.75, 0.75, 1, 0.75, 0.75]
    assert learned.weights == (0.625, 0.375)
    only = learn_weights([a, b], qrels({"q1": ["y"]}))
    assert only.weights == (0.55, 0.45)
    assert len(only.table) == 21


def test_where_all_weights_are_as_good_the_even_one_is_taken() -> None:
    table = rankings({"q": {"x": 1.0, "y": 0.0}})
    assert learn_weights([table, table], qrels({"q": ["x"]})).weights == (0.5, 0.5)
    assert learn_weights([table] * 3, qrels({"q": ["x"]})).weights == (1 / 3, 1 / 3, 1 / 3)


def test_of_three_rankings_the_one_that_knows_gets_what_it_needs() -> None:
    right, wrong = ({"q": {"x": 1 - one, "y": one}} for one in (1.0, 0.0))
    learned = learn_weights([rankings(wrong), rankings(right), rankings(wrong)], qrels({"q": ["y"]}))
    assert learned.weights == (0.2, 0.6, 0.2)  # more than half, and as near to a third each as that allows
    fused = fuse("weighted_sum", [rankings(wrong), rankings(right), rankings(wrong)], learned.weights)
    assert fused["item_id"].tolist() == ["y", "x"]


@pytest.mark.parametrize(("n", "ways", "step"), [(1, 1, 1), (2, 21, 0.05), (3, 66, 0.1), (4, 56, 0.2)])
def test_shares_are_all_ways_to_add_up_to_one_in_equal_steps(n: int, ways: int, step: float) -> None:
    shares = list(weight_grid(n))
    assert len(set(shares)) == len(shares) == ways
    assert np.sum(shares, axis=1) == pytest.approx(1)
    assert np.asarray(shares) / step == pytest.approx(np.rint(np.asarray(shares) / step))


def test_a_grid_without_weights_and_queries_without_answers_are_refused() -> None:
    table, judged = rankings({"q": {"x": 1.0}}), qrels({"q": ["x"]})
    with pytest.raises(ValueError, match="grid: expected weights for each ranking"):
        learn_weights([table, table], judged, grid=[])
    with pytest.raises(ValueError, match="no query has a right answer"):
        learn_weights([table, table], judged.head(0))
    with pytest.raises(ValueError, match="fusion: expected one of weighted_sum, rrf, dbsf, found 'sum'"):
        learn_weights([table, table], judged, "sum")


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("n", [2, 3])
def test_what_is_read_from_the_pool_is_the_mean_over_fused_rankings(fusion: str, n: int) -> None:
    rng = np.random.default_rng(0)
    queries, names = [f"q{i}" for i in range(12)], [f"i{i:02}" for i in range(25)]
    tables = [rankings_from_scores(rng.integers(0, 9, (12, 25)) / 8, queries, names, 10) for _ in range(n)]
    judged = qrels(
        {query: rng.choice(names, 3, replace=False).tolist() for query in [*queries[:9], "unasked"]}
    )
    for rrf_k in (60, 1):
        learned = learn_weights(tables, judged, fusion, rrf_k=rrf_k)
        for shares, value in learned.table.itertuples(index=False):
            fused = fuse(fusion, tables, shares, rrf_k)
            expected = score_queries(fused, judged, ["RR"])["RR"].mean()
            assert value == pytest.approx(expected, abs=1e-12), shares


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
    with pytest.raises(ValueError, match="rankings: the rule compares two rankings, found 3"):
        weights_by_confidence([table] * 3)
    with pytest.raises(ValueError, match="share: expected a number from 0.5 to 1, found 0.4"):
        weights_by_confidence([table] * 2, share=0.4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_weight_has_the_reciprocal_rank_of_the_fusion_itself(fusion: str) -> None:
    """Three rankings of unlike depth with many ties, queries that one lacks, several right answers or none ranked."""
    rng = np.random.default_rng(4)
    tables = []
    for depth in (3, 6, 8):
        scores = {
            f"q{n}": {f"i{item}": float(rng.integers(4)) for item in rng.choice(9, depth, replace=False)}
            for n in range(12)
            if (n + depth) % 5
        }
        tables.append(rankings(scores))
    right = {f"q{n}": [f"i{item}" for item in rng.choice(9, n % 3 + 1, replace=False)] for n in range(11)}
    judged = qrels({**right, "q5": ["nowhere"], "not asked": ["i1"]})
    learned = learn_weights(tables, judged, fusion, rrf_k=7)
    assert len(learned.table) == 67  # equal ones, and 66 in steps of a tenth
    assert learned.table["weights"].iloc[0] == pytest.approx((1 / 3,) * 3)
    means = []
    for weights in learned.table["weights"].iloc[::9]:
        fused = fuse(fusion, tables, weights, rrf_k=7)
        scored = score_queries(fused, judged, ["RR"])
        means.append(scored["RR"].mean())
    assert learned.table["value"].iloc[::9].tolist() == pytest.approx(means)
    best = learned.table.loc[learned.table["value"] >= learned.table["value"].max() - 1e-12, "weights"]
    off = [round(sum((one - 1 / 3) ** 2 for one in weights), 9) for weights in best]
    assert learned.weights == min(weights for weights, one in zip(best, off, strict=True) if one == min(off))


def test_the_usual_fusion_is_the_weighted_sum_and_the_usual_constant_60() -> None:
    a, b = rankings({"q": {"x": 0.9, "y": 0.8, "z": 0.1}}), rankings({"q": {"z": 5.0, "y": 4.5, "x": 1.0}})
    judged = qrels({"q": ["y"]})
    plain = learn_weights([a, b], judged)
    assert plain.table.equals(learn_weights([a, b], judged, "weighted_sum").table)
    usual, other = (learn_weights([a, b], judged, "rrf", rrf_k=k).table["value"].tolist() for k in (60, 0.5))
    assert learn_weights([a, b], judged, "rrf").table["value"].tolist() == usual != other


def test_the_weights_of_one_ranking_and_of_very_many() -> None:
    assert list(weight_grid(1)) == [(1.0,)]
    many = list(weight_grid(70))
    assert len(many) == 70  # more than are tried of fewer, but a step is needed
    assert {sum(one) for one in many} == {1}


def test_any_share_from_a_half_to_all_is_a_rule() -> None:
    a, b = rankings({"q": {"x": 1.0, "y": 0.2, "z": 0.0}}), rankings({"q": {"x": 1.0, "y": 0.9, "z": 0.0}})
    for share in (0.5, 1.0):
        first, second = weights_by_confidence([a, b], share)
        assert (first["q"], second["q"]) == (share, 1 - share)
    with pytest.raises(ValueError, match="from 0.5 to 1, found 1.1"):
        weights_by_confidence([a, b], 1.1)
    nearly = rankings({"q": {"x": 1.0, "y": 0.2 + 1e-12, "z": 0.0}})
    assert weights_by_confidence([a, nearly])[0]["q"] == 0.5
