"""Maps keep neighbours together, are repeatable and bounded by the sample."""

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.visualize import map_tsne, map_umap, mixing


def two_clusters(per_cluster: int) -> Vectors:
    noise = 0.05 * np.random.default_rng(0).standard_normal((2 * per_cluster, 8))
    centres = np.repeat(np.eye(8)[:2], per_cluster, axis=0)
    names = [f"v{n}" for n in range(2 * per_cluster)]
    return Vectors(names, unit_rows(centres + noise), Space("model", "1", "", "", "", 8))


@pytest.mark.parametrize("project", [map_umap, map_tsne])
def test_two_clusters_stay_apart_and_the_seed_repeats_the_map(project: object) -> None:
    vectors = two_clusters(30)
    points = project(vectors, seed=1)
    assert points.shape == (60, 2)
    assert mixing(points, pd.Series(["a"] * 30 + ["b"] * 30)) == 0
    assert np.array_equal(points, project(vectors, seed=1))


@pytest.mark.parametrize("project", [map_umap, map_tsne])
def test_a_handful_of_vectors_still_makes_a_map(project: object) -> None:
    assert np.isfinite(project(two_clusters(3))).all()


def test_mixing_is_the_share_of_the_other_group_among_the_nearest() -> None:
    points = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0]])
    assert mixing(points, pd.Series(["a", "a", "b", "b"]), neighbours=1) == 0
    assert mixing(points, pd.Series(["a", "b", "a", "b"]), neighbours=1) == 1
    assert mixing(points, pd.Series(["a", "b", "a", "b"]), neighbours=3) == pytest.approx(2 / 3)
