"""Vectors mixed, steered and centred."""

from dataclasses import replace

import numpy as np
import pytest

from mmlab.evaluate import modality_gap
from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows
from mmlab.items.tables import TooFew
from mmlab.retrieve.scores.fuse import Centring, mix_vectors, rocchio

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 2)
EAST, NORTH = ([1.0, 0.0], [0.0, 1.0])


def one(row: list[float], name: str = "query", space: Space = SPACE) -> Vectors:
    return Vectors([name], np.array([row]), space)


def test_equal_weights_point_half_way_and_the_row_is_a_unit_row() -> None:
    mixed = mix_vectors([one(EAST), one(NORTH)])
    assert mixed.array[0] == pytest.approx([1 / 2**0.5, 1 / 2**0.5])
    assert mixed.space == SPACE
    assert mixed.ids.tolist() == ["query"]


def test_only_the_ratio_of_the_weights_counts_and_a_negative_one_steers_away() -> None:
    assert mix_vectors([one(EAST), one(NORTH)], [3, 4]).array[0] == pytest.approx([0.6, 0.8])
    assert mix_vectors([one(EAST), one(NORTH)], [3e-9, 4e-9]).array[0] == pytest.approx([0.6, 0.8])
    assert mix_vectors([one(EAST), one(NORTH)], [4, -3]).array[0] == pytest.approx([0.8, -0.6])


def test_a_single_row_is_mixed_into_every_other() -> None:
    many = Vectors(["a", "b"], np.array([EAST, NORTH]), SPACE)
    mixed = mix_vectors([one(NORTH), many], [4, 3])
    assert mixed.ids.tolist() == ["a", "b"]
    assert mixed.array == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))
    assert many.array.tolist() == [EAST, NORTH]


def test_vectors_of_two_spaces_are_not_mixed() -> None:
    other = Space("mmlab/toy", "2", "projected", "", "none", 2)
    with pytest.raises(SpaceMismatch, match="revision: '1' and '2'"):
        mix_vectors([one(EAST), one(NORTH, space=other)])


@pytest.mark.parametrize("weights", [[1, -1], [0, 0]])
def test_rows_that_cancel_each_other_out_are_refused(weights: list) -> None:
    with pytest.raises(ValueError, match="cancel each other out, first query: no direction"):
        mix_vectors([one([0.6, 0.8]), one([0.6, 0.8])], weights)


def test_rows_that_are_not_aligned_wrong_weights_and_nothing_are_refused() -> None:
    one_way, other_way = (Vectors(ids, np.array([EAST, NORTH]), SPACE) for ids in (["a", "b"], ["b", "a"]))
    with pytest.raises(ValueError, match="found 2 and 2 rows of different ids"):
        mix_vectors([one_way, other_way])
    for weights in ([1], [1, np.nan]):
        with pytest.raises(ValueError, match="weights: expected 2 finite numbers"):
            mix_vectors([one(EAST), one(NORTH)], weights)
    with pytest.raises(ValueError, match="parts: expected at least one set of vectors to mix"):
        mix_vectors([])


def test_positives_and_minus_queries_steer_every_query() -> None:
    queries = Vectors(["p", "q"], np.array([EAST, NORTH]), SPACE)
    steered = rocchio(
        queries, one(NORTH), Vectors(["m", "n"], np.array([EAST, [-0.6, 0.8]]), SPACE), weight=0.5
    )
    raw = np.array([[0.5 - 0.5 * 0.2, 0.5 - 0.5 * 0.4], [0 - 0.5 * 0.2, 1 - 0.5 * 0.4]])
    assert steered.ids.tolist() == ["p", "q"]
    assert steered.array == pytest.approx(raw / np.linalg.norm(raw, axis=1, keepdims=True), abs=1e-6)
    assert rocchio(queries).array.tolist() == queries.array.tolist()


def test_a_query_that_is_steered_away_from_itself_and_a_wrong_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="cancel each other out, first query"):
        rocchio(one(EAST), minus=one(EAST), weight=1)
    with pytest.raises(ValueError, match="minus_weight: expected a number from 0, found -1"):
        rocchio(one(EAST), minus=one(EAST), weight=-1)
    with pytest.raises(SpaceMismatch, match="revision"):
        rocchio(one(EAST), minus=one(EAST, space=replace(SPACE, revision="another")))


TEXTS = Vectors(["t1", "t2"], np.array([[0.6, 0.8], [0.6, -0.8]]), SPACE)  # mean (0.6, 0)
IMAGES = Vectors(["i1", "i2"], np.array([[0.0, 1.0], [-1.0, 0.0]]), SPACE)  # mean (-0.5, 0.5)


def test_centring_takes_each_modalitys_mean_away_and_makes_unit_rows_again() -> None:
    centring = Centring.fit(TEXTS, IMAGES)
    assert centring.apply(TEXTS, "text").array == pytest.approx(np.array([[0, 1], [0, -1]]), abs=1e-6)
    expected = unit_rows(np.array([[0.5, 0.5], [-0.5, -0.5]]))
    assert centring.apply(IMAGES, "image").array == pytest.approx(expected)
    assert centring.apply(TEXTS, "text").ids.tolist() == ["t1", "t2"]
    assert TEXTS.array[0] == pytest.approx([0.6, 0.8])


def test_centring_closes_the_gap_of_two_clouds() -> None:
    rng = np.random.default_rng(0)
    space = Space("mmlab/toy", "1", "projected", "", "none", 16)
    clouds = []
    for side in (2, -2):
        rows = rng.standard_normal((500, 16))
        rows[:, 0] += side
        clouds.append(Vectors([str(i) for i in range(500)], unit_rows(rows), space))
    centring = Centring.fit(*clouds)
    assert modality_gap(*clouds) > 0.5
    assert modality_gap(centring.apply(clouds[0], "text"), centring.apply(clouds[1], "image")) < 0.05


def test_centred_vectors_are_in_a_space_of_their_own() -> None:
    centring, other = Centring.fit(TEXTS, IMAGES), Centring.fit(IMAGES, TEXTS)
    centred = centring.apply(TEXTS, "text")
    assert centred.space == centring.apply(IMAGES, "image").space == centring.centred_space
    assert centred.space.preprocessing.startswith("none; centred ")
    for space in (SPACE, other.centred_space):
        with pytest.raises(SpaceMismatch, match="preprocessing"):
            centred.space.check_same(space)
    with pytest.raises(SpaceMismatch, match="preprocessing"):
        centring.apply(centred, "text")  # not twice


def test_what_cannot_be_centred_is_refused() -> None:
    centring = Centring.fit(TEXTS, IMAGES)
    with pytest.raises(ValueError, match="'text' or 'image', found 'audio'"):
        centring.apply(TEXTS, "audio")
    same = Vectors(["a"], np.array([[1.0, 0.0]]), SPACE)
    with pytest.raises(TooFew, match="centring needs texts that differ: 1 of 1 are their own mean"):
        Centring.fit(same, same).apply(same, "text")
    with pytest.raises(ValueError, match="no vectors to take the mean of"):
        Centring.fit(TEXTS, Vectors([], np.empty((0, 2)), SPACE))
    with pytest.raises(ValueError, match="expected 2 finite numbers as the mean image, found 1"):
        Centring((0.0, 0.0), (1.0,), SPACE)


def test_a_query_is_steered_away_by_half_unless_told_otherwise() -> None:
    rows = np.array([[0.8, 0.6], [0.6, -0.8]])
    queries, minus = Vectors(["p", "q"], rows, SPACE), Vectors(["m", "n", "o"], np.eye(2)[[0, 1, 1]], SPACE)
    away = np.array([1, 2]) / 3
    for given, weight in (({}, 0.5), ({"weight": 0.25}, 0.25), ({"weight": 0}, 0)):
        expected = unit_rows(rows - weight * away)
        assert rocchio(queries, minus=minus, **given).array == pytest.approx(expected, abs=1e-6)
    nothing = minus.take([])
    assert rocchio(queries, nothing, nothing).array.tolist() == queries.array.tolist()
    with pytest.raises(ValueError, match="minus_weight: expected a number from 0, found inf"):
        rocchio(queries, minus=minus, weight=np.inf)


def test_what_is_almost_cancelled_is_still_a_direction() -> None:
    """A thousandth of a vector is left, which float32 can tell from nothing; of a ten-millionth it cannot."""
    assert mix_vectors([one(EAST), one(EAST)], [1, -0.999]).array[0] == pytest.approx([1, 0])
    with pytest.raises(ValueError, match="the weighted rows of 1 queries cancel each other out"):
        mix_vectors([one(EAST), one(EAST)], [1, -(1 - 1e-7)])


def test_rows_of_a_batch_are_mixed_each_with_its_own() -> None:
    rng = np.random.default_rng(0)
    parts = [Vectors(["a", "b", "c"], unit_rows(rng.standard_normal((3, 2))), SPACE) for _ in range(3)]
    weights = [0.2, 0.5, -0.1]
    expected = sum(weight * part.array for weight, part in zip(weights, parts, strict=True))
    assert mix_vectors(parts, weights).array == pytest.approx(unit_rows(expected), abs=1e-6)
    assert mix_vectors(parts).array == pytest.approx(mix_vectors(parts, [2, 2, 2]).array)
    with pytest.raises(ValueError, match="first b: no direction"):
        mix_vectors([parts[0], Vectors(["a", "b", "c"], -parts[0].array * [[-1], [1], [-1]], SPACE)])


def test_a_row_near_the_mean_is_its_own_direction_and_one_on_it_is_none() -> None:
    centring = Centring((1.0, 0.0), (0.0, 0.0), SPACE)
    near = Vectors(["a", "b"], np.array([[1.0, 1e-4], [0.6, 0.8]]), SPACE)
    assert centring.apply(near, "text").array[0] == pytest.approx([0, 1], abs=1e-3)
    with pytest.raises(TooFew, match="1 of 2 are their own mean"):
        centring.apply(Vectors(["a", "b"], np.array([[1.0, 1e-8], [0.6, 0.8]]), SPACE), "text")
    with pytest.raises(ValueError, match="expected 2 finite numbers as the mean text, found 2"):
        Centring((0.0, np.nan), (1.0, 0.0), SPACE)
    other = Centring((1.0, 0.0), (0.0, 1e-9), SPACE)
    assert other.centred_space != centring.centred_space
