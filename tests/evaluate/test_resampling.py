"""Intervals against the textbook and against simulation."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta, binomtest, bootstrap, nct, norm, permutation_test, t, ttest_1samp

from mmlab.evaluate import resampling
from mmlab.evaluate.resampling import (
    bootstrap_intervals,
    detectable_difference,
    difference_intervals,
    holm,
    largest_loss,
    mean_intervals,
    non_inferiority_p,
    permutation_p,
    smallest_difference,
    standard_error,
    standardised_differences,
)
from tests.bench.evaluate import simulate_coverage, simulate_share_coverage


def test_the_interval_of_a_constant_is_that_constant() -> None:
    intervals = bootstrap_intervals(np.full((10, 1), 0.25), np.arange(10))
    assert intervals.tolist() == [[0.25, 0.25]]
    unlike = np.repeat([0, 1, 2], [1, 2, 5])  # the mean is over the queries that were drawn, however many
    assert bootstrap_intervals(np.full((8, 1), 0.25), unlike).tolist() == [[0.25, 0.25]]


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


def test_the_95_percent_intervals_hold_the_truth_as_often_as_they_say_where_photos_are_resampled() -> None:
    held = simulate_coverage(sets=500, photos=200, captions=5, resamples=500)
    assert 0.93 <= held["photos"] <= 0.97
    assert held["captions"] < 0.9


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).random(40) ** 2
    (low, high), *_ = bootstrap_intervals(values[:, None], np.arange(40), resamples=20_000)
    found = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert (low, high) == pytest.approx((found.low, found.high), abs=0.003)


def test_a_seed_and_its_generator_give_the_same_interval() -> None:
    values = np.random.default_rng(4).random((30, 2))
    first, second = (
        bootstrap_intervals(values, np.arange(30), 500, seed=s) for s in (7, np.random.default_rng(7))
    )
    assert first.tolist() == second.tolist()


def test_blocks_change_nothing_about_the_number_of_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).random((50, 1))
    whole = bootstrap_intervals(values, np.arange(50), 1001, seed=0)
    monkeypatch.setattr(resampling, "DRAWS_PER_BLOCK", 50 * 10)
    assert bootstrap_intervals(values, np.arange(50), 1001, seed=0) == pytest.approx(whole)


def test_p_is_the_share_of_sign_flips_as_far_from_zero() -> None:
    differences = np.array([[1.0], [1.0], [1.0]])  # of 8 flips only +++ and --- are as far
    p = permutation_p(differences, np.arange(3), resamples=40_000)
    assert p == pytest.approx([2 / 8], abs=0.01)


def test_flips_that_differ_in_the_last_digits_only_are_as_far() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):  # in a few of these a matrix product adds up to less than a sum does
        p = permutation_p(rng.random((4, 1)), np.arange(4), resamples=2000)
        assert p == pytest.approx([2 / 16], abs=0.03)  # of 16 flips only ++++ and ---- are as far


def test_the_queries_of_a_cluster_are_flipped_together() -> None:
    differences = np.ones((6, 1))
    p = permutation_p(differences, np.repeat(np.arange(3), 2), resamples=40_000)
    assert p == pytest.approx([2 / 8], abs=0.01)


def test_p_is_never_zero_and_one_where_nothing_differs() -> None:
    columns = np.stack([np.ones(100), np.zeros(100)], axis=1)
    assert permutation_p(columns, np.arange(100), resamples=99).tolist() == [1 / 100, 1]


def test_p_is_that_of_scipy() -> None:
    first, second = np.random.default_rng(6).random((2, 25)) + np.array([[0.12], [0.0]])
    found = permutation_test(
        (first, second), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=20_000,
        vectorized=True, rng=1,
    )  # fmt: skip
    p = permutation_p((first - second)[:, None], np.arange(25), resamples=20_000)
    assert p == pytest.approx([found.pvalue], abs=0.01)


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_never_falls() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([2 * 0.03, 3 * 0.01, 2 * 0.03])
    assert holm(np.array([0.9, 0.6])).tolist() == [1, 1]


def test_the_smallest_difference_is_2_8_standard_errors() -> None:
    differences = np.tile([[1.0], [-1.0]], (20, 1))
    error = np.sqrt(40 / 39 * 40) / 40
    z = norm.ppf(0.975) + norm.ppf(0.8)
    assert smallest_difference(differences, np.arange(40)) == pytest.approx([z * error])
    pairs = np.arange(40) // 2  # all clusters sum to 0: nothing varies between them
    assert smallest_difference(differences, pairs) == pytest.approx([0])


def test_the_smallest_difference_of_few_clusters_of_unlike_size() -> None:
    """Student's t below 30 clusters, and nothing below 6, whose p is at least 2 / 32."""
    sizes = [3, 1, 1, 2, 1, 4]
    clusters = np.repeat(np.arange(6), sizes)
    values = np.random.default_rng(0).random((12, 1))
    mean = values.mean()
    residuals = [values[clusters == one].sum() - size * mean for one, size in enumerate(sizes)]
    error = np.sqrt(6 / 5 * np.sum(np.square(residuals))) / 12
    spread = t.ppf(0.975, 5) + t.ppf(0.8, 5)
    assert smallest_difference(values, clusters) == pytest.approx([spread * error])
    five = clusters < 5
    assert np.isnan(smallest_difference(values[five], clusters[five])).all()
    assert permutation_p(np.ones((5, 1)), np.arange(5))[0] == pytest.approx(2 / 32, abs=0.01)


def test_twenty_pairs_all_found_leave_a_doubt() -> None:
    found = binomtest(20, 20).proportion_ci(method="exact")
    assert mean_intervals(np.ones((20, 1)), np.arange(20))[0] == pytest.approx([found.low, 1])
    assert mean_intervals(np.zeros((20, 1)), np.arange(20))[0] == pytest.approx([0, 1 - found.low])
    assert mean_intervals(np.ones((5, 1)), np.zeros(5))[0].tolist() == [0, 1]  # one pair alone


def test_independent_trials_have_the_exact_interval_of_clopper_and_pearson() -> None:
    values = (np.arange(50) < 17).astype(float)[:, None]
    exact = binomtest(17, 50).proportion_ci(method="exact")
    assert mean_intervals(values, np.arange(50))[0] == pytest.approx([exact.low, exact.high], abs=1e-6)
    whole = np.repeat(values, 4, axis=0)  # four captions that share their fate are worth one
    assert mean_intervals(whole, np.repeat(np.arange(50), 4))[0] == pytest.approx(
        [exact.low, exact.high], abs=1e-6
    )


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize("pairs", [10, 50])
def test_intervals_hold_the_truth_also_of_shares_near_one(pairs: int, captions: int) -> None:
    held = simulate_share_coverage(150, pairs, captions, (0.2, 0.95, 0.99), alike=0.6)
    assert min(held.values()) >= 0.93


def test_differences_of_few_clusters_are_as_sure_as_students_t() -> None:
    values = np.random.default_rng(4).normal(0.1, 0.2, (12, 1))
    expected = ttest_1samp(values[:, 0], 0).confidence_interval()
    assert difference_intervals(values, np.arange(12))[0] == pytest.approx([expected.low, expected.high])
    same = difference_intervals(np.zeros((12, 1)), np.arange(12))[0]
    hidden = 1 - 0.025 ** (1 / 12)
    assert same == pytest.approx([-hidden, hidden])
    assert difference_intervals(np.zeros((3, 1)), np.zeros(3))[0].tolist() == [-1, 1]
    many = np.random.default_rng(5).normal(0.1, 0.2, (60, 1))
    drawn = difference_intervals(many, np.arange(60), seed=1)
    assert drawn.tolist() == bootstrap_intervals(many, np.arange(60), seed=1).tolist()


def test_what_no_cluster_shows_may_still_be_hidden() -> None:
    p = non_inferiority_p(np.zeros((1000, 1)), np.arange(1000), 0.005)
    assert p == pytest.approx([0.995**1000])
    assert non_inferiority_p(np.full((50, 1), -0.01), np.arange(50), 0.005).tolist() == [1]
    assert non_inferiority_p(np.zeros((9, 1)), np.zeros(9), 0.005).tolist() == [1]


def test_the_largest_loss_is_the_smallest_margin_that_is_held() -> None:
    clusters = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    values = np.random.default_rng(6).normal(-0.01, 0.05, (len(clusters), 1))
    loss = largest_loss(values, clusters)
    assert non_inferiority_p(values, clusters, loss[0]) == pytest.approx([0.05])
    none = largest_loss(np.zeros((200, 1)), np.arange(200))[0]
    assert non_inferiority_p(np.zeros((200, 1)), np.arange(200), none) == pytest.approx([0.05])
    assert largest_loss(np.full((200, 1), -0.3), np.arange(200)) == pytest.approx([0.3])
    assert largest_loss(np.ones((9, 1)), np.zeros(9)).tolist() == [1]  # one pair alone
    better = np.random.default_rng(7).normal(0.5, 0.1, (50, 1))
    assert largest_loss(better, np.arange(50)).tolist() == [0]


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0])
def test_the_interval_of_a_standardised_difference_is_near_that_of_the_noncentral_t(effect) -> None:
    """Exact for normal values, one of each cluster: the noncentralities whose tails hold d times the root of n."""
    values = np.random.default_rng(9).normal(effect, 1, (80, 1))
    d, low, high = standardised_differences(values, np.arange(80))[0]
    assert d == pytest.approx(values.mean() / values.std(ddof=1))
    found = d * 80**0.5
    exact = [
        brentq(lambda x, tail=tail: nct.cdf(found, 79, x) - tail, found - 5, found + 5)
        for tail in (0.975, 0.025)
    ]
    assert [low, high] == pytest.approx(np.array(exact) / 80**0.5, abs=0.02)


def test_the_interval_of_a_standardised_difference_counts_clusters() -> None:
    """Of 60 clusters of one to four values, whose means have the standardised difference 0.4."""
    rng, held = np.random.default_rng(10), 0
    sizes = np.arange(60) % 4 + 1
    clusters = np.repeat(np.arange(60), sizes)
    for _ in range(400):
        values = rng.normal(0.4, 1, 60)[clusters]  # all values of a cluster are its mean
        _, low, high = standardised_differences(values[:, None], clusters)[0]
        held += low <= 0.4 <= high
    assert held / 400 >= 0.92
    assert np.isnan(standardised_differences(np.ones((9, 1)), np.arange(9))).all()
    assert np.isnan(standardised_differences(np.ones((9, 1)), np.zeros(9))).all()


def test_a_true_difference_of_that_size_is_shown_in_80_percent_of_all_tests() -> None:
    rng, shown = np.random.default_rng(8), 0
    clusters = np.repeat(np.arange(60), 3)
    noise = rng.standard_normal((400, 60)).repeat(3, axis=1) + rng.standard_normal((400, 180))
    least = smallest_difference(noise.T, clusters).mean()
    for values in noise + least:
        (low, high), *_ = bootstrap_intervals(values[:, None], clusters, 400, seed=rng)
        shown += not low <= 0 <= high
    assert 0.74 <= shown / 400 <= 0.86


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="found 2 and 3"):
        bootstrap_intervals(np.zeros((3, 1)), np.arange(2))


def plain_interval(values: np.ndarray, clusters: np.ndarray, level: float) -> tuple[float, float]:
    """The interval of one column, in loops, as the docstring describes it."""
    parts = [values[clusters == one] for one in np.unique(clusters)]
    usual, count = len(values) / len(parts), len(parts)
    sums, sizes = [part.sum() for part in parts] + [0.0, usual], [len(part) for part in parts] + [usual] * 2
    middle = sum(sums) / sum(sizes)
    variance = (
        sum((one - size * middle) ** 2 for one, size in zip(sums, sizes, strict=True)) / sum(sizes) ** 2
    )
    worth = middle * (1 - middle) / variance * len(values) / sum(sizes)
    if set(values) <= {0.0, 1.0}:
        worth = min(worth, len(values))
    tail = (1 - level) / 2
    worth *= (t.isf(tail, max(worth - 1, 1)) / t.isf(tail, count - 1)) ** 2
    right = values.mean() * worth
    low = beta.ppf(tail, right, worth - right + 1) if right else 0
    return low, beta.isf(tail, right + 1, worth - right) if values.mean() < 1 else 1


@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize("sizes", [[4, 1], [1, 5, 2], [1] * 9 + [3, 7], [2, 1, 5] * 12])
def test_the_interval_of_clusters_of_unlike_size_is_that_of_a_plain_loop(sizes: list, level: float) -> None:
    rng = np.random.default_rng(len(sizes))
    clusters = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    alike = rng.random(len(sizes))[clusters]
    columns = [(alike < 0.6), alike * rng.random(len(clusters)), rng.random(len(clusters)) < 0.9]
    columns += [np.zeros(len(clusters)), np.ones(len(clusters)), rng.choice([0, 0.5, 1], len(clusters))]
    values = np.column_stack(columns).astype(float)
    expected = [plain_interval(column, clusters, level) for column in values.T]
    assert mean_intervals(values, clusters, level) == pytest.approx(np.array(expected), abs=1e-9)


def test_the_standard_error_of_one_cluster_is_unknown_and_of_two_is_not() -> None:
    values = np.array([[1.0, 0.0], [0.5, 0.25], [0.0, 1.0]])
    assert np.isnan(standard_error(values, np.zeros(3))).tolist() == [True, True]
    # sums 1.5 and 0, sizes 2 and 1, mean 0.5: residuals 0.5 and -0.5; then sums 0.25 and 1, mean 1.25 / 3
    expected = [np.sqrt(2 * 0.5) / 3, np.sqrt(2 * 2 * (1 - 1.25 / 3) ** 2) / 3]
    assert standard_error(values, np.array([0, 0, 1])) == pytest.approx(expected)


def test_from_thirty_clusters_on_the_bootstrap_is_sure_enough() -> None:
    values = np.random.default_rng(9).normal(0.1, 0.2, (30, 1))
    drawn = bootstrap_intervals(values, np.arange(30)).tolist()
    assert difference_intervals(values, np.arange(30)).tolist() == drawn
    fewer = values[:29]
    half = t.isf(0.025, 28) * fewer.std(ddof=1) / np.sqrt(29)
    bounds = [fewer.mean() - half, fewer.mean() + half]
    assert difference_intervals(fewer, np.arange(29))[0] == pytest.approx(bounds)
    error = np.array([0.01, 0.02])
    z, students = norm.ppf(0.975) + norm.ppf(0.8), t(28).ppf(0.975) + t(28).ppf(0.8)
    assert detectable_difference(error, 30) == pytest.approx(z * error)
    assert detectable_difference(error, 29) == pytest.approx(students * error)


def test_level_power_and_seed_are_those_that_are_given() -> None:
    values = np.random.default_rng(10).normal(0.1, 0.2, (40, 1))
    clusters = np.arange(40)
    many = difference_intervals(values, clusters, level=0.5, seed=3)
    assert many.tolist() == bootstrap_intervals(values, clusters, level=0.5, seed=3).tolist()
    assert np.ptp(many) < 0.6 * np.ptp(difference_intervals(values, clusters, seed=3))
    few = difference_intervals(values[:9], np.arange(9), level=0.5)[0]
    half = t.isf(0.25, 8) * values[:9].std(ddof=1) / 3
    assert few == pytest.approx([values[:9].mean() - half, values[:9].mean() + half])
    hidden = 1 - 0.25 ** (1 / 9)
    same = difference_intervals(np.full((9, 1), 0.5), np.arange(9), level=0.5)[0]
    assert same == pytest.approx([0.5 - hidden * 1.5, 0.5 + hidden * 0.5])
    z = norm.ppf(0.995) + norm.ppf(0.9)
    error = standard_error(values, clusters)
    assert smallest_difference(values, clusters, level=0.01, power=0.9) == pytest.approx(z * error)
    for of in (bootstrap_intervals, difference_intervals, permutation_p):
        assert of(values, clusters).tolist() == of(values, clusters, seed=0).tolist()
        assert of(values, clusters).tolist() != of(values, clusters, seed=1).tolist()


def test_an_interval_of_differences_stays_within_what_differences_can_be() -> None:
    assert difference_intervals(np.array([[1.0], [-0.5]]), np.arange(2))[0].tolist() == [-1, 1]
    nearly = 0.25 + np.array([[1e-12], [0], [-1e-12]])  # as differences of floats are
    hidden = 1 - 0.025 ** (1 / 3)
    bounds = [0.25 - hidden * 1.25, 0.25 + hidden * 0.75]
    assert difference_intervals(nearly, np.arange(3))[0] == pytest.approx(bounds)


def test_ten_thousand_are_drawn_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    assert permutation_p(np.ones((60, 1)), np.arange(60)).tolist() == [1 / 10_001]
    for block in (50 * 10, 10):  # ten draws at a time, and one where not even one fits
        monkeypatch.setattr(resampling, "DRAWS_PER_BLOCK", block)
        columns = np.stack([np.zeros(50), np.ones(50)], axis=1)
        assert permutation_p(columns, np.arange(50), resamples=1001).tolist() == [1, 1 / 1002]


def test_a_loss_as_large_as_the_margin_is_not_ruled_out() -> None:
    clusters = np.arange(8)
    loss = np.full((8, 1), -0.25)
    assert non_inferiority_p(loss, clusters, 0.25).tolist() == [1]
    assert non_inferiority_p(loss + 1e-12 * clusters[:, None], clusters, 0.5) == pytest.approx([0.5**8])
    assert non_inferiority_p(loss, clusters, 1).tolist() == [0]
    for margin in (0, 1.01):
        with pytest.raises(
            ValueError, match=f"margin: expected a number above 0 and up to 1, found {margin}"
        ):
            non_inferiority_p(loss, clusters, margin)


def test_a_loss_counted_by_pairs_of_unlike_size() -> None:
    clusters = np.repeat(np.arange(7), [1, 4, 2, 1, 3, 1, 2])
    values = np.random.default_rng(11).normal(0, 0.1, (14, 2))
    values[:, 1] = 0.1
    statistic = (values[:, 0].mean() + 0.05) / standard_error(values, clusters)[0]
    expected = [t.sf(statistic, 6), 0.95**7]
    assert non_inferiority_p(values, clusters, 0.05) == pytest.approx(expected)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="found 0 and 0"):
        mean_intervals(np.zeros((0, 1)), np.arange(0))
