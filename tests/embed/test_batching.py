from mmlab.embed.batching import cut, cut_alike, cut_evenly, estimate_tokens, longest_first


def ordered(texts):
    return longest_first(estimate_tokens(texts), texts)


def test_texts_of_like_length_come_together():
    assert ordered(["aa", "a", "aaaa", "aaa", "a"]) == [2, 3, 0, 1, 4]


def test_digits_signs_and_letters_of_other_scripts_are_tokens_each():
    assert ordered(["a longish word", "4711!", "鞋狗鞋狗", "\ud800 x"]) == [1, 2, 0, 3]


def test_batches_of_given_sizes_are_consecutive():
    assert cut([5, 4, 3, 2, 1], [1, 3]) == [[5], [4, 3, 2]]


def test_the_last_batch_is_what_remains():
    assert list(cut_evenly(range(5), 2, lanes=1)) == [[0, 1], [2, 3], [4]]


def test_no_place_is_lost_and_no_batch_is_too_large():
    for count in range(1, 60):
        for size, lanes in ((1, 1), (4, 2), (7, 3), (32, 8)):
            batches = list(cut_evenly(range(count), size, lanes))
            assert [place for batch in batches for place in batch] == list(range(count))
            assert max(map(len, batches)) <= size


def test_all_lanes_end_together():
    assert [len(batch) for batch in cut_evenly(range(96), 32, lanes=2)] == [24] * 4  # not 32 + 32 and 32
    assert [len(batch) for batch in cut_evenly(range(5), 32, lanes=2)] == [3, 2]
    assert list(cut_evenly([7], 32, lanes=2)) == [[7]]


def test_nothing_gives_no_batch():
    assert cut([], []) == []
    assert list(cut_evenly([], 4, lanes=2)) == []


def test_a_batch_of_texts_ends_before_it_is_much_padding():
    tokens = [10, 10, 9, 5, 5, 5, 5]
    # 3 x 10 padded tokens for 29 are few enough, 4 x 10 for 34 are not.
    assert list(cut_alike(range(7), tokens, size=7, lanes=1)) == [[0, 1, 2], [3, 4, 5, 6]]


def test_a_quarter_of_the_size_goes_together_in_any_case():
    tokens = [90, 80, 70, 60, 50, 40, 30, 10]
    assert list(cut_alike(range(8), tokens, size=8, lanes=1)) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_texts_of_one_length_are_cut_evenly():
    for count, size, lanes in ((96, 32, 2), (5, 32, 2), (1, 4, 2), (0, 4, 2)):
        alike = cut_alike(range(count), [7] * count, size, lanes)
        assert list(alike) == list(cut_evenly(range(count), size, lanes))
