"""The vectors of each modality, and the shape of their space."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import skew

from mmlab.evaluate import modality_gap, vectors_by_modality
from mmlab.evaluate.measures import geometry
from mmlab.evaluate.measures.geometry import (
    anisotropy,
    count_occurrences,
    describe_space,
    effective_dimension,
    hubness,
    joint_vectors,
    nearest_others,
    share_space,
    skewness,
)
from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows

SPACE = Space("model", "1", "", "", "", 2)
CROSS = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])


def vectors(rows: np.ndarray, space: Space = SPACE) -> Vectors:
    return Vectors([f"{space.model} {n}" for n in range(len(rows))], rows, space)


def test_the_gap_is_the_distance_of_the_means() -> None:
    texts, images = vectors([[0.6, 0.8], [0.6, -0.8]]), vectors([[0, 1], [-1, 0]])
    assert modality_gap(texts, images) == pytest.approx(
        np.hypot(0.6 + 0.5, 0.5)
    )  # means (0.6, 0) and (-0.5, 0.5)
    assert modality_gap(texts, texts) == 0


def test_a_gap_needs_both_modalities_in_one_space() -> None:
    with pytest.raises(ValueError, match="no vectors to take the mean of"):
        modality_gap(vectors(CROSS), vectors(np.empty((0, 2))))
    with pytest.raises(SpaceMismatch, match="model"):
        modality_gap(vectors(CROSS), vectors(CROSS, Space("other", "1", "", "", "", 2)))


def test_anisotropy_is_the_mean_cosine_of_all_pairs() -> None:
    assert anisotropy(CROSS) == pytest.approx((2 * -1 + 4 * 0) / 6)
    assert anisotropy(np.array([[1.0, 0], [1, 0], [0, 1]])) == pytest.approx((1 + 0 + 0) / 3)
    assert np.isnan(anisotropy(CROSS[:1]))


def test_the_effective_dimension_counts_directions_in_equal_use() -> None:
    assert effective_dimension(CROSS) == pytest.approx(2)
    line = np.random.default_rng(0).standard_normal((9, 1)) * [[3.0, 4.0]]
    assert effective_dimension(line) == pytest.approx(1, abs=0.01)
    assert np.isnan(effective_dimension(CROSS[[0, 0, 0]]))
    assert np.isnan(effective_dimension(CROSS[:2]))


@pytest.mark.parametrize("shape", [(3, 2), (7, 12), (12, 7), (30, 3)])
def test_the_effective_dimension_is_estimated_from_the_covariance_of_the_rows(shape) -> None:
    """Bai and Saranadasa's sums of the eigenvalues and of their squares, from n = N - 1 degrees of freedom."""
    rows = np.random.default_rng(shape).standard_normal(shape) * np.sqrt(1 / np.arange(1, shape[1] + 1) ** 2)
    own, n = np.linalg.eigvalsh(np.cov(rows.T)), shape[0] - 1
    squares = n**2 / ((n + 2) * (n - 1)) * ((own**2).sum() - own.sum() ** 2 / n)
    estimated = (own.sum() ** 2 - 2 / n * squares) / squares
    expected = shape[1] if squares <= 0 else min(max(estimated, 1), shape[1])
    assert effective_dimension(rows) == pytest.approx(expected)
    assert effective_dimension(rows + 5) == pytest.approx(expected)


def test_the_mean_cosine_is_that_of_all_pairs_of_rows_however_they_lie() -> None:
    rows = np.random.default_rng(0).standard_normal((9, 4)) + 0.5
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    assert anisotropy(rows) == pytest.approx(cosines[~np.eye(9, dtype=bool)].mean())
    assert anisotropy(rows[:2]) == pytest.approx(rows[0] @ rows[1])


def test_each_modality_is_described_by_its_own_vectors() -> None:
    rng = np.random.default_rng(3)
    arrays = {"text": rng.standard_normal((31, 5)) + 0.4, "image": rng.standard_normal((23, 5)) - 0.2}
    space = Space("model", "1", "", "", "", 5)
    both = {
        name: Vectors([f"{name} {n}" for n in range(len(rows))], unit_rows(rows), space)
        for name, rows in arrays.items()
    }
    found = describe_space(both)
    assert found[["measure", "of", "items"]].to_numpy().tolist() == [
        ["anisotropy", "text", 31], ["effective dimension", "text", 31],
        ["anisotropy", "image", 23], ["effective dimension", "image", 23],
        ["modality gap", "text and image", 54], ["hubness", "text", 31], ["hubness", "image", 23],
    ]  # fmt: skip
    text, image = (both[name].array for name in ("text", "image"))
    first = [
        np.bincount(np.argsort(-a @ b.T)[:, :10].ravel(), minlength=len(b))
        for a, b in ((image, text), (text, image))
    ]
    expected = [anisotropy(text), effective_dimension(text), anisotropy(image), effective_dimension(image)]
    expected += [np.linalg.norm(text.mean(0) - image.mean(0)), *map(skew, first)]
    assert found["value"].tolist() == pytest.approx(expected, abs=1e-6)
    assert hubness(both["image"], both["text"]) == pytest.approx(skew(first[0]))
    assert (describe_space(both, k=3)["value"].iloc[5:] != found["value"].iloc[5:]).all()


@pytest.mark.parametrize("count", [40, 400])
def test_the_effective_dimension_does_not_grow_with_the_sample(count: int) -> None:
    """100 directions of variance 1 to 1/100: (sum l)² / sum l² of the true variances, not of the rows' own."""
    variances = 1 / np.arange(1, 101)
    expected = variances.sum() ** 2 / (variances**2).sum()
    rng = np.random.default_rng(1)
    found, plain = [], []
    for _ in range(20):
        rows = rng.standard_normal((count, 100)) * np.sqrt(variances)
        found.append(effective_dimension(rows))
        own = np.linalg.eigvalsh(np.cov(rows.T))
        plain.append(own.sum() ** 2 / (own**2).sum())
    assert np.mean(found) == pytest.approx(expected, rel=0.1)
    assert abs(np.mean(found) - expected) < abs(np.mean(plain) - expected)


def test_hubness_is_the_skewness_of_how_often_items_are_near() -> None:
    queries = Vectors(list("pqrs"), np.array([[1.0, 0], [1, 0], [0.8, 0.6], [0, 1]]), SPACE)
    assert hubness(queries, vectors(CROSS), k=1) == pytest.approx(
        skew([3, 0, 1, 0])
    )  # nearest: 0, 0, 0 and 2
    assert hubness(Vectors(list("pqrs"), CROSS, SPACE), vectors(CROSS), k=1) == 0


def test_occurrences_are_counted_in_the_first_k_and_items_never_found_count_0() -> None:
    rows = [
        ("q1", "a", 1, 3.0),
        ("q1", "b", 2, 2.0),
        ("q1", "c", 3, 1.0),
        ("q2", "a", 1, 2.0),
        ("q2", "c", 2, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    deep = pd.DataFrame({"query_id": "q", "item_id": list("abcdefghijk"), "rank": range(1, 12), "score": 0.5})
    assert count_occurrences(deep, list("abcdefghijk")).tolist() == [1] * 10 + [0]
    assert count_occurrences(table, ["a", "b", "c", "d"], k=2).to_dict() == {"a": 2, "b": 1, "c": 1, "d": 0}
    with pytest.raises(ValueError, match="1 ranked items are not in the gallery, first c"):
        count_occurrences(table, ["a", "b"])


def test_skewness_is_the_third_moment_over_the_deviation_cubed() -> None:
    assert skewness([0, 0, 0, 4]) == pytest.approx(
        ((3 * (-1) ** 3 + 3**3) / 4) / 3**1.5
    )  # mean 1, variance 3
    assert skewness([1, 2, 3]) == pytest.approx(0, abs=1e-12)
    assert skewness([2, 2, 2]) == 0
    with pytest.raises(ValueError, match="no counts"):
        skewness([])


def test_all_are_given_for_both_modalities() -> None:
    both = {"text": Vectors(list("abcd"), CROSS, SPACE), "image": Vectors(list("efgh"), CROSS, SPACE)}
    found = describe_space(both, k=1).set_index(["measure", "of"])["value"]
    assert found["modality gap", "text and image"] == pytest.approx(0)
    assert found["effective dimension"].tolist() == pytest.approx([2, 2])
    assert found["hubness"].tolist() == [0, 0]


def test_a_modality_without_vectors_is_left_out_and_so_is_what_needs_two_rows() -> None:
    texts, none = Vectors(list("abcd"), CROSS, SPACE), Vectors([], CROSS[:0], SPACE)
    found = describe_space({"text": texts, "image": none})
    assert found[["measure", "of"]].to_numpy().tolist() == [
        ["anisotropy", "text"],
        ["effective dimension", "text"],
    ]
    assert describe_space({"text": texts.take(["a"]), "image": none}).empty


def test_two_spaces_have_no_gap_and_no_hubs() -> None:
    other = Vectors(list("efgh"), CROSS, Space("other", "1", "", "", "", 2))
    table = describe_space({"text": Vectors(list("abcd"), CROSS, SPACE), "image": other})
    assert set(table["measure"]) == {"anisotropy", "effective dimension"}
    assert len(table) == 4


ITEMS = pd.DataFrame(
    {"item_id": ["t1", "i1", "t2", "i2"], "modality": ["text", "image"] * 2, "pair_id": ["a", "a", "b", "b"]}
)


def embed(model, ids):
    return Vectors(ids, np.eye(4)[: len(ids)], Space(model, "1", "", "", "", 4))


def test_the_main_space_serves_both_modalities():
    texts, clip = embed("bge", ["t1", "t2"]), embed("clip", ["i2", "t1", "i1", "t2"])
    both = vectors_by_modality([texts, clip], ITEMS)
    assert {name: (vectors.space.model, vectors.ids.tolist()) for name, vectors in both.items()} == {
        "text": ("clip", ["t1", "t2"]),
        "image": ("clip", ["i1", "i2"]),
    }
    assert share_space(both)
    assert joint_vectors(clip, both) is clip


def test_two_encoders_stand_for_one_modality_each():
    main, other = embed("bge", ["t1", "t2"]), embed("dino", ["i1", "i2"])
    both = vectors_by_modality([main, other], ITEMS)
    assert [vectors.space.model for vectors in both.values()] == ["bge", "dino"]
    assert not share_space(both)
    assert len(joint_vectors(main, both)) == 0


def test_a_modality_without_vectors_is_named():
    with pytest.raises(ValueError, match="no vectors of modality 'image'"):
        vectors_by_modality([embed("bge", ["t1", "t2"])], ITEMS)


def test_the_nearest_others_are_of_another_group_and_nearest_first() -> None:
    angles = np.radians([0, 10, 30, 90])
    array = np.column_stack([np.cos(angles), np.sin(angles)])
    rows, cosines = nearest_others(np.array([0, 3]), array, np.array([0, 0, 1, 2]), 2)
    assert rows.tolist() == [[2, 3], [2, 1]]
    assert cosines == pytest.approx(np.cos(np.radians([[30, 90], [60, 80]])), abs=1e-6)
    rows, cosines = nearest_others(np.array([0]), array, np.array([0, 0, 0, 2]), 3)
    assert rows.tolist() == [[3, -1, -1]]
    assert np.isinf(cosines[0, 1:]).all()


def test_neighbours_are_looked_for_among_some_rows() -> None:
    angles = np.radians([0, 10, 30, 90])
    array = np.column_stack([np.cos(angles), np.sin(angles)])
    rows, cosines = nearest_others(np.arange(4), array, np.array([0, 0, 1, 2]), 2, among=np.array([0, 2]))
    assert rows.tolist() == [
        [2, -1],
        [2, -1],
        [0, -1],
        [2, 0],
    ]  # of rows 0 and 2, that of the own group left out
    assert cosines[3] == pytest.approx(np.cos(np.radians([60, 90])), abs=1e-6)


def test_hubs_of_many_items_are_counted_among_some_that_are_drawn(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    both = {
        name: Vectors(
            [f"{name} {n}" for n in range(count)], unit_rows(rng.standard_normal((count, 2))), SPACE
        )
        for name, count in (("text", 60), ("image", 30))
    }
    before = describe_space(both, k=3)
    monkeypatch.setattr(geometry, "MOST_COUNTED", 40)
    table = describe_space(both, k=3)
    pd.testing.assert_frame_equal(table.head(5), before.head(5))
    assert table["items"].tolist()[5:] == [40, 20]  # two thirds of both
    of_text = re.fullmatch(r".*; by 20 queries and 40 items drawn, 95% (.+) to (.+)", table.loc[5, "meaning"])
    assert of_text
    low, high = map(float, of_text.groups())
    assert low < table.loc[5, "value"] < high
    pd.testing.assert_frame_equal(describe_space(both, k=3), table)


def test_a_modality_that_no_item_is_of_has_no_rows():
    both = vectors_by_modality([embed("clip", ["i1", "i2"])], ITEMS[ITEMS["modality"] == "image"])
    assert [len(both[name]) for name in ("text", "image")] == [0, 2]
    assert share_space(both)
