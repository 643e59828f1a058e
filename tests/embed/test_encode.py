import threading

import numpy as np
import pytest
import torch
from PIL import Image

from mmlab.embed import embed_queries
from mmlab.embed.encode import (
    cut_by_length,
    cut_evenly,
    embed_in_halves,
    encode_images,
    encode_texts,
    estimate_tokens,
    is_out_of_memory,
    longest_first,
    run_in_workers,
)
from mmlab.items import open_image
from mmlab.items.files import file_hash


@pytest.fixture
def files(images, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return [str(path) for path in paths], [file_hash(path) for path in paths]


def device(capacity, too_large=()):
    """A device with memory for so many inputs at a time; `calls` has the batches that it was given."""

    def embed(positions):
        calls.append(positions)
        if len(positions) > capacity or set(positions) & set(too_large):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return np.array([[position, 1.0] for position in positions], dtype=np.float32)

    calls = []
    return embed, calls


class SmallMemory:
    """The model, on a device with memory for `capacity` inputs at a time; `sizes` has the batches that it was given."""

    def __init__(self, model, capacity):
        self.model, self.capacity, self.sizes = model, capacity, []

    def __getattr__(self, name):
        method = getattr(self.model, name)
        if name not in ("embed_texts", "embed_queries", "embed_images"):
            return method

        def embed(inputs):
            self.sizes.append(len(inputs))
            if len(inputs) > self.capacity:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            return method(inputs)

        return embed


def test_what_fits_goes_at_once():
    embed, calls = device(capacity=4)
    vectors, splits = embed_in_halves([3, 1, 2], embed)
    assert (sorted(vectors), splits) == ([1, 2, 3], 0)
    assert calls == [[3, 1, 2]]


def test_what_does_not_fit_goes_in_halves():
    embed, calls = device(capacity=2)
    vectors, splits = embed_in_halves([0, 1, 2, 3, 4], embed)
    assert calls == [[0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [2], [3, 4]]
    assert splits == 2
    assert {position: vector[0] for position, vector in vectors.items()} == {n: n for n in range(5)}


def test_only_what_does_not_fit_alone_has_no_vector():
    embed, _ = device(capacity=8, too_large=[2])
    vectors, splits = embed_in_halves([0, 1, 2, 3], embed)
    assert (sorted(vectors), splits) == ([0, 1, 3], 2)


def test_splits_of_a_batch_are_counted(model):
    texts = ["a", "b", "c", "d", "e"]
    assert encode_texts([0, 1], texts, SmallMemory(model, 2)).halved == 0
    # Five are split into 2 + 3, three into 1 + 2.
    assert encode_texts(range(5), texts, SmallMemory(model, 2)).halved == 2


def test_queries_that_do_not_fit_into_memory_go_in_halves(model, images):
    small = SmallMemory(model, 2)
    queries = ["a red shoe", images[0], "dog", "x", images[1], "three 3", images[2]]
    rows = embed_queries(small, queries)
    assert small.sizes == [4, 2, 2, 3, 1, 2]  # four texts, then three images
    assert rows.dtype == np.float32
    texts, pixels = [0, 2, 3, 5], [1, 4, 6]
    np.testing.assert_allclose(rows[texts], model.embed_texts([queries[n] for n in texts]), atol=1e-6)
    np.testing.assert_allclose(rows[pixels], model.embed_images(images[:3]), atol=1e-6)


def test_queries_stand_behind_the_models_query_prompt(models):
    rows = embed_queries(models("bge"), ["dog", "a red shoe"])
    np.testing.assert_array_equal(rows, models("bge").embed_queries(["dog", "a red shoe"]))


def test_many_queries_go_in_batches(model):
    large = SmallMemory(model, 100)
    rows = embed_queries(large, [f"query {number}" for number in range(9)], batch_size=4)
    assert large.sizes == [3, 3, 3]
    np.testing.assert_allclose(rows[8], model.embed_texts(["query 8"])[0], atol=1e-6)


def test_no_queries_give_no_rows(model):
    assert embed_queries(model, []).shape == (0, model.space.dimension)


def test_a_query_that_does_not_fit_alone_is_an_error(model):
    with pytest.raises(
        MemoryError, match=r"3 of 3 queries do not fit into the memory of cpu, not even one at a"
    ):
        embed_queries(SmallMemory(model, 0), ["a", "b", "c"])


def test_another_error_is_raised():
    def embed(positions):
        raise RuntimeError("expected scalar type Float but found Half")

    with pytest.raises(RuntimeError, match="scalar type"):
        embed_in_halves([0, 1], embed)


def test_the_errors_by_which_memory_runs_out_are_known():
    with pytest.raises((RuntimeError, MemoryError)) as real:
        torch.empty(1 << 60, dtype=torch.uint8)  # a million terabytes
    assert is_out_of_memory(real.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes.")
    )
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_images_have_the_vectors_of_the_models_own_call(files, model):
    done = encode_images([4, 1, 3], *files, model)
    assert done.halved == 0
    plain = model.embed_images([open_image(files[0][place]) for place in (4, 1, 3)])
    assert (done.positions, done.failures) == ([4, 1, 3], {})
    np.testing.assert_allclose(done.vectors, plain, atol=1e-6)


def test_images_of_every_family_can_be_stacked(files, models):
    for family in ("siglip2", "blip", "blip2", "align", "vit"):
        done = encode_images(range(5), *files, models(family))
        plain = models(family).embed_images([open_image(path) for path in files[0]])
        np.testing.assert_allclose(done.vectors, plain, atol=1e-5, err_msg=family)


def test_a_failed_image_leaves_the_others(files, model, tmp_path):
    (tmp_path / "1.png").unlink()
    (tmp_path / "3.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(tmp_path / "4.png")
    done = encode_images(range(5), *files, model)
    assert done.positions == [0, 2]
    assert done.vectors.shape == (2, model.space.dimension)
    assert done.failures == {1: "missing file", 3: "empty file", 4: "changed file"}


def test_a_batch_may_fail_as_a_whole(files, model, tmp_path):
    (tmp_path / "1.png").unlink()
    done = encode_images([1], *files, model)
    assert (done.positions, done.vectors.shape) == ([], (0, model.space.dimension))


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
