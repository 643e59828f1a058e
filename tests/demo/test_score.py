import numpy as np

from mmlab.demo.score import successes, tied_ranks


def test_ranks_count_what_is_better_and_what_is_equal():
    scores = np.array([[0.9, 0.1, 0.3], [0.5, 0.5, 0.1], [0.7, 0.8, 0.2]])
    assert tied_ranks(scores).tolist() == [1, 2, 3]


def test_equal_vectors_earn_nothing():
    assert tied_ranks(np.ones((4, 4))).tolist() == [4, 4, 4, 4]


def test_success_is_a_share_of_the_queries():
    assert successes(np.array([1, 2, 10, 11])) == {"Success@1": 0.25, "Success@10": 0.75}
