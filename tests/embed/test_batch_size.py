from mmlab.embed.batch_size import SIZES, fastest, trial_sizes


def test_a_long_trial_warms_each_lane_and_tries_each_size_twice():
    assert trial_sizes(100_000, lanes=3) == [8, 8, 8, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128]


def test_a_trial_takes_no_more_than_half():
    assert trial_sizes(128, lanes=2) == [8, 8, 8, 8, 16, 16]  # 64 of 128
    assert trial_sizes(127, lanes=2) == [8, 8, 8, 8, 16]
    assert trial_sizes(3, lanes=2) == []


def test_the_least_time_per_input_wins():
    assert fastest([8, 8, 16, 16, 32], [9, 8, 17, 15, 32], lanes=0) == 16


def test_the_batches_that_warm_the_lanes_do_not_count():
    assert fastest([8, 8, 16], [0.1, 8, 15], lanes=1) == 16


def test_without_a_trial_the_smallest_serves():
    assert fastest([], [], lanes=2) == SIZES[0]
    assert fastest([8], [1.0], lanes=2) == SIZES[0]
