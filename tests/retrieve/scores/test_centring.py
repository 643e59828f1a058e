"""The modality gap, and centring."""

import numpy as np
import pytest
from mmlab.retrieve.scores.centring import Centring

from mmlab.evaluate import modality_gap
from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 2)
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
    with pytest.raises(ValueError, match="1 of 1 vectors are zero"):
        Centring.fit(same, same).apply(same, "text")
    with pytest.raises(ValueError, match="no vectors to take the mean of"):
        Centring.fit(TEXTS, Vectors([], np.empty((0, 2)), SPACE))
    with pytest.raises(ValueError, match="expected 2 finite numbers as the mean image, found 1"):
        Centring((0.0, 0.0), (1.0,), SPACE)
