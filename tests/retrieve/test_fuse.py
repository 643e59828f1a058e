"""Late fusion, by hand and beside ranx, qdrant-client and Qdrant Edge."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.retrieve import FUSIONS, NORMALIZERS, dbsf, fuse, rankings_from_scores, rrf, weighted_sum
from tests.retrieve.tables import SOME_RANKINGS, order_of, rankings, scores_of

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
def test_every_normaliser_can_be_fused(how: str, table: pd.DataFrame) -> None:
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
        ([0.5], "a weight for each of 2 rankings, found 1"),
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
    with pytest.raises(ValueError, match="needs at least one ranking"):
        fuse([])
    with pytest.raises(ValueError, match="rankings: 5 items come twice"):
        fuse([rankings(B), pd.concat([rankings(A), rankings(A)])])


def test_a_weighted_sum_wants_weights_that_add_up_and_rrf_a_number_from_0() -> None:
    with pytest.raises(ValueError, match=r"add up to 1, found 1\.2"):
        weighted_sum([rankings(A), rankings(B)], [0.6, 0.6])
    with pytest.raises(ValueError, match="k is 0 or a positive number, found -1"):
        rrf([rankings(A)], k=-1)


def random_rankings(k: int) -> list[pd.DataFrame]:
    """Two systems, 20 queries, the best k of 30 items, no ties."""
    rng = np.random.default_rng(0)
    queries, items = [f"q{i}" for i in range(20)], [f"i{i:02}" for i in range(30)]
    return [rankings_from_scores(rng.standard_normal((20, 30)), queries, items, k) for _ in range(2)]


RANX = """
import json, sys
import ranx
asked = json.load(sys.stdin)
answers = []
for one in asked:
    runs = [ranx.Run(scores) for scores in one.pop("runs")]
    fused = ranx.fuse(runs, **one).to_dict()
    answers.append({query: {item: float(score) for item, score in found.items()} for query, found in fused.items()})
json.dump(answers, sys.stdout)
"""


@pytest.mark.skipif(find_spec("ranx") is None, reason="ranx is not installed: pip install -e '.[dev]'")
def test_fusions_agree_with_ranx() -> None:
    asked, fused = [], []
    # For an item that one side lacks ranx adds 0 with every normaliser, so two of them are asked of whole rankings.
    whole_or_not = [
        ("min-max", "min-max", 12),
        ("sum", "sum", 12),
        ("z-score", "zmuv", 30),
        ("rank", "rank", 30),
    ]
    for ours, norm, k in whole_or_not:
        tables = random_rankings(k)
        fused.append(weighted_sum(tables, [0.3, 0.7], ours))
        asked.append({"runs": tables, "norm": norm, "method": "wsum", "params": {"weights": [0.3, 0.7]}})
    tables = random_rankings(12)
    fused.append(rrf(tables))
    asked.append({"runs": tables, "norm": None, "method": "rrf", "params": {"k": 60}})
    questions = json.dumps([{**one, "runs": [scores_of(table) for table in one["runs"]]} for one in asked])
    done = subprocess.run(
        [sys.executable, "-c", RANX],
        input=questions,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # compiling it would take most of a minute
        capture_output=True,
        text=True,
        check=True,
    )
    for ours, theirs in zip(fused, json.loads(done.stdout), strict=True):
        found = scores_of(ours)
        assert found.keys() == theirs.keys()
        for query, scores in found.items():
            assert scores == pytest.approx(theirs[query], abs=1e-9)


POINTS, DIMENSION, DEPTH = 40, 8, 12


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    """Points, and two queries whose nearest differ."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((POINTS, DIMENSION)), rng.standard_normal((2, DIMENSION))


@pytest.fixture(scope="module")
def client(clouds: tuple) -> object:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    size = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection("fused", vectors_config=size)
    points = [models.PointStruct(id=i, vector=row.tolist()) for i, row in enumerate(clouds[0])]
    client.upsert("fused", points)
    yield client
    client.close()


def by_hand(points: list) -> pd.DataFrame:
    return rankings({"q": {f"{point.id:02}": point.score for point in points}})


def as_scores(points: list) -> dict[str, float]:
    return {f"{point.id:02}": point.score for point in points}


@pytest.mark.parametrize("weights", [None, [3.0, 1.0], [1.0, 0.25]])
def test_reciprocal_rank_fusion_agrees_with_qdrant_client(
    client: object, clouds: tuple, weights: list
) -> None:
    from qdrant_client import models

    asked = [models.Prefetch(query=row.tolist(), limit=DEPTH) for row in clouds[1]]
    found = [client.query_points("fused", query=row.tolist(), limit=DEPTH).points for row in clouds[1]]
    formula = models.RrfQuery(rrf=models.Rrf(k=61, weights=weights))
    theirs = client.query_points("fused", prefetch=asked, query=formula, limit=POINTS).points
    fused = rrf([by_hand(points) for points in found], weights)
    assert scores_of(fused)["q"] == pytest.approx(as_scores(theirs), rel=1e-5)


def test_distribution_based_fusion_agrees_with_qdrant_client(client: object, clouds: tuple) -> None:
    from qdrant_client import models

    asked = [models.Prefetch(query=row.tolist(), limit=DEPTH) for row in clouds[1]]
    found = [client.query_points("fused", query=row.tolist(), limit=DEPTH).points for row in clouds[1]]
    formula = models.FusionQuery(fusion=models.Fusion.DBSF)
    theirs = client.query_points("fused", prefetch=asked, query=formula, limit=POINTS).points
    assert scores_of(dbsf([by_hand(points) for points in found]))["q"] == pytest.approx(
        as_scores(theirs), rel=1e-5
    )


@pytest.mark.parametrize("depth", [1, DEPTH])
def test_fusions_agree_with_qdrant_edge(tmp_path: Path, clouds: tuple, depth: int) -> None:
    import qdrant_edge as edge

    vectors = edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Cosine)
    shard = edge.EdgeShard.create(str(tmp_path), edge.EdgeConfig(vectors=vectors))
    points = [edge.Point(i, row.tolist(), {}) for i, row in enumerate(clouds[0])]
    shard.update(edge.UpdateOperation.upsert_points(points))
    nearest = [edge.Query.Nearest(row.tolist()) for row in clouds[1]]
    found = [by_hand(shard.query(edge.QueryRequest(limit=depth, query=query))) for query in nearest]
    asked = [edge.Prefetch(limit=depth, query=query) for query in nearest]
    for formula, fused in (
        (edge.Fusion.Rrf(k=61), rrf(found)),
        (edge.Fusion.Rrf(k=61, weights=[3.0, 1.0]), rrf(found, [3, 1])),
        (edge.Fusion.Dbsf(), dbsf(found)),
    ):
        theirs = shard.query(edge.QueryRequest(limit=POINTS, query=formula, prefetches=asked))
        assert scores_of(fused)["q"] == pytest.approx(as_scores(theirs), rel=1e-5)
    shard.close()
