"""Several query vectors -> one."""

from dataclasses import replace

import numpy as np
import pytest

from mmlab.items import Space, SpaceMismatch, Vectors
from mmlab.retrieve.scores.vector_arithmetic import mix_vectors, steer

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
    with pytest.raises(ValueError, match=r"different ids \(2 and 2 rows\)"):
        mix_vectors([one_way, other_way])
    for weights in ([1], [1, np.nan]):
        with pytest.raises(ValueError, match="expected 2 finite weights"):
            mix_vectors([one(EAST), one(NORTH)], weights)
    with pytest.raises(ValueError, match="nothing to mix"):
        mix_vectors([])


def test_positives_and_minus_queries_steer_every_query() -> None:
    queries = Vectors(["p", "q"], np.array([EAST, NORTH]), SPACE)
    steered = steer(
        queries, one(NORTH), Vectors(["m", "n"], np.array([EAST, [-0.6, 0.8]]), SPACE), weight=0.5
    )
    raw = np.array([[0.5 - 0.5 * 0.2, 0.5 - 0.5 * 0.4], [0 - 0.5 * 0.2, 1 - 0.5 * 0.4]])
    assert steered.ids.tolist() == ["p", "q"]
    assert steered.array == pytest.approx(raw / np.linalg.norm(raw, axis=1, keepdims=True), abs=1e-6)
    assert steer(queries).array.tolist() == queries.array.tolist()


def test_a_query_that_is_steered_away_from_itself_and_a_wrong_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="cancel each other out, first query"):
        steer(one(EAST), away=one(EAST), weight=1)
    with pytest.raises(ValueError, match="a number from 0, found -1"):
        steer(one(EAST), away=one(EAST), weight=-1)
    with pytest.raises(SpaceMismatch, match="revision"):
        steer(one(EAST), away=one(EAST, space=replace(SPACE, revision="another")))
