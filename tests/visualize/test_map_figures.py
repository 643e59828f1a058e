"""Maps as figures, and how far a map can be trusted."""

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.visualize import figure, map_panels
from mmlab.visualize.map_figures import (
    group_mixing,
    measure_maps,
    plot_links,
    plot_map,
    summarize_maps,
    trustworthiness,
)


def two_clusters(per_cluster: int) -> Vectors:
    noise = 0.05 * np.random.default_rng(0).standard_normal((2 * per_cluster, 8))
    centres = np.repeat(np.eye(8)[:2], per_cluster, axis=0)
    names = [f"v{n}" for n in range(2 * per_cluster)]
    return Vectors(names, unit_rows(centres + noise), Space("model", "1", "", "", "", 8))


def test_mixing_is_the_share_of_the_other_group_among_the_nearest() -> None:
    points = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0]])
    assert group_mixing(points, pd.Series(["a", "a", "b", "b"]), neighbours=1) == 0
    assert group_mixing(points, pd.Series(["a", "b", "a", "b"]), neighbours=1) == 1
    assert group_mixing(points, pd.Series(["a", "b", "a", "b"]), neighbours=3) == pytest.approx(2 / 3)


def test_a_map_that_keeps_all_neighbours_has_trustworthiness_one() -> None:
    angles = np.sort(np.random.default_rng(0).random(40))
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    vectors = Vectors([f"v{n}" for n in range(40)], rows, Space("model", "1", "", "", "", 2))
    assert trustworthiness([vectors], rows, 5) == pytest.approx(1)
    assert trustworthiness([vectors], np.random.default_rng(1).random((40, 2)), 5) < 0.75
    assert np.isnan(trustworthiness([vectors.take(["v0", "v1"])], rows[:2]))


def test_a_map_is_judged_beside_one_without_order() -> None:
    vectors = two_clusters(20)
    groups = {"modality": pd.Series(["text"] * 20 + ["image"] * 20)}
    (row,) = measure_maps({"flat": vectors.array[:, :2]}, [vectors], groups).to_dict("records")
    assert row["other modality near"] == 0
    assert row["modality by chance"] == pytest.approx(20 / 39)
    assert "0% of the ten nearest are of the other modality (51% if mixed by chance)" in summarize_maps(
        pd.DataFrame([row])
    )
    apart = measure_maps({"flat": np.zeros((40, 2))}, [vectors.take(vectors.ids[:20])] * 2, groups)
    assert "each in a map of their own" in summarize_maps(apart)


def test_pairs_are_joined_by_lines_in_the_first_panel_only() -> None:
    _, (ax,) = figure()
    plot_links(ax, np.array([[0.0, 0], [1, 1], [2, 2], [3, 3]]))
    assert [line.tolist() for line in ax.collections[0].get_segments()] == [
        [[0, 0], [2, 2]],
        [[1, 1], [3, 3]],
    ]
    groups = {"modality": pd.Series(["text", "image"]), "category": pd.Series(["mug", "mug"])}
    fig = map_panels(np.eye(2), groups, "UMAP")
    assert [len(ax.collections) for ax in fig.axes] == [2 + 1, 1]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["UMAP by modality", "UMAP by category"]


def test_a_map_groups_all_past_the_largest_as_other() -> None:
    _, (ax,) = figure()
    groups = pd.Series(["a"] * 3 + ["b"] * 2 + ["c"])
    plot_map(ax, np.zeros((6, 2)), groups, max_groups=2)
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["a", "b", "other"]
