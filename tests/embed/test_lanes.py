import threading

import pytest
import torch

from mmlab.embed.lanes import in_lanes


def test_results_come_in_the_order_of_the_batches():
    last = threading.Event()

    def work(number):
        if number == 0:
            assert last.wait(10)  # the first ends after the second
        last.set()
        return number * number

    assert list(in_lanes(work, range(5), lanes=2)) == [0, 1, 4, 9, 16]


def test_no_more_batches_are_held_than_there_are_lanes():
    begun = []

    def batches():
        for number in range(10):
            begun.append(number)
            yield number

    working = in_lanes(lambda number: number, batches(), lanes=2)
    assert next(working) == 0
    assert len(begun) <= 3  # one is with the caller
    working.close()


def test_lanes_share_the_cores_and_give_them_back():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert set(in_lanes(lambda _: torch.get_num_threads(), range(6), lanes=2)) == {2}
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_an_error_comes_in_its_turn():
    def work(number):
        if number == 2:
            raise ValueError("two")
        return number

    working = in_lanes(work, range(100), lanes=2)
    assert [next(working), next(working)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(working)


def test_nothing_is_nothing():
    assert list(in_lanes(print, [], lanes=2)) == []
