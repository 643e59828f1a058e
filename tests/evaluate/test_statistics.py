"""Intervals against the textbook and against simulation."""

import numpy as np
import pytest

from mmlab.evaluate import bootstrap_intervals


def test_the_interval_of_a_constant_is_that_constant() -> None:
    intervals = bootstrap_intervals(np.full((10, 1), 0.25), np.arange(10))
    assert intervals.tolist() == [[0.25, 0.25]]


def test_it_agrees_with_the_normal_interval_of_independent_values() -> None:
    values = np.random.default_rng(0).random((2000, 1))
    (low, high), *_ = bootstrap_intervals(values, np.arange(2000), resamples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 10)


def test_copies_of_a_value_within_a_cluster_add_no_certainty() -> None:
    values = np.random.default_rng(1).random(300)
    alone = bootstrap_intervals(values[:, None], np.arange(300), seed=3)
    copied = bootstrap_intervals(np.repeat(values, 5)[:, None], np.repeat(np.arange(300), 5), seed=3)
    assert copied == pytest.approx(alone)


def test_each_column_gets_its_own_interval() -> None:
    values = np.stack([np.zeros(20), np.ones(20)], axis=1)
    assert bootstrap_intervals(values, np.arange(20)).tolist() == [[0, 0], [1, 1]]


def test_the_95_percent_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for trial in range(200):
        photos = rng.random(80)  # each photo has its own chance of success, its five captions share it
        outcomes = (rng.random((80, 5)) < photos[:, None]).astype(float).reshape(-1, 1)
        (low, high), *_ = bootstrap_intervals(
            outcomes, np.repeat(np.arange(80), 5), resamples=500, seed=trial
        )
        held += low <= 0.5 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="found 2 and 3"):
        bootstrap_intervals(np.zeros((3, 1)), np.arange(2))
