import threading

import pytest
import torch

from mmlab.embed.batching import cut_by_length, cut_evenly, estimate_tokens, longest_first, run_in_workers


def ordered(texts):
    return longest_first(estimate_tokens(texts), texts)


def test_texts_of_like_length_come_together():
    assert ordered(["aa", "a", "aaaa", "aaa", "a"]) == [2, 3, 0, 1, 4]


def test_digits_signs_and_letters_of_other_scripts_are_tokens_each():
    assert ordered(["a longish word", "4711!", "鞋狗鞋狗", "\ud800 x"]) == [1, 2, 0, 3]


def test_the_last_batch_is_what_remains():
    assert list(cut_evenly(range(5), 2, workers=1)) == [[0, 1], [2, 3], [4]]


def test_no_position_is_lost_and_no_batch_is_too_large():
    for count in range(1, 60):
        for size, workers in ((1, 1), (4, 2), (7, 3), (32, 8)):
            batches = list(cut_evenly(range(count), size, workers))
            assert [position for batch in batches for position in batch] == list(range(count))
            assert max(map(len, batches)) <= size


def test_all_workers_end_together():
    assert [len(batch) for batch in cut_evenly(range(96), 32, workers=2)] == [24] * 4  # not 32 + 32 and 32
    assert [len(batch) for batch in cut_evenly(range(5), 32, workers=2)] == [3, 2]
    assert list(cut_evenly([7], 32, workers=2)) == [[7]]


def test_no_positions_give_no_batch():
    assert list(cut_evenly([], 4, workers=2)) == []


def test_a_batch_of_texts_ends_before_it_is_much_padding():
    tokens = [10, 10, 9, 5, 5, 5, 5]
    # 3 x 10 padded tokens for 29 are few enough, 4 x 10 for 34 are not.
    assert list(cut_by_length(range(7), tokens, size=7, workers=1)) == [[0, 1, 2], [3, 4, 5, 6]]


def test_a_quarter_of_the_size_goes_together_in_any_case():
    tokens = [90, 80, 70, 60, 50, 40, 30, 10]
    assert list(cut_by_length(range(8), tokens, size=8, workers=1)) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_texts_of_one_length_are_cut_evenly():
    for count, size, workers in ((96, 32, 2), (5, 32, 2), (1, 4, 2), (0, 4, 2)):
        alike = cut_by_length(range(count), [7] * count, size, workers)
        assert list(alike) == list(cut_evenly(range(count), size, workers))


def test_results_come_in_the_order_of_the_batches():
    last = threading.Event()

    def work(number):
        if number == 0:
            assert last.wait(10)  # the first ends after the second
        last.set()
        return number * number

    assert list(run_in_workers(work, range(5), workers=2)) == [0, 1, 4, 9, 16]


def test_no_more_batches_are_held_than_there_are_workers():
    begun = []

    def batches():
        for number in range(10):
            begun.append(number)
            yield number

    running = run_in_workers(lambda number: number, batches(), workers=2)
    assert next(running) == 0
    assert len(begun) <= 3  # one is with the caller
    running.close()


def test_workers_share_the_cores_and_give_them_back():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert set(run_in_workers(lambda _: torch.get_num_threads(), range(6), workers=2)) == {2}
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_an_error_is_raised_when_its_batch_is_due():
    def work(number):
        if number == 2:
            raise ValueError("two")
        return number

    running = run_in_workers(work, range(100), workers=2)
    assert [next(running), next(running)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(running)


def test_no_batches_give_no_results():
    assert list(run_in_workers(print, [], workers=2)) == []
