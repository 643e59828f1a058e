"""Late fusion beside ranx, qdrant-client and Qdrant Edge: the same scores."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.retrieve import dbsf, rrf, weighted_sum
from tests.retrieve.tables import random_rankings, rankings, scores_of

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
