import numpy as np
import pytest
import torch
from PIL import Image

from mmlab.embed.encode import embed_images, embed_in_halves, embed_texts, is_full
from mmlab.items import file_hash, open_image


@pytest.fixture
def files(images, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return [str(path) for path in paths], [file_hash(path) for path in paths]


def device(room, too_large=()):
    """A device with room for so many inputs at a time; what it was asked for is in `asked`."""

    def embed(places):
        asked.append(places)
        if len(places) > room or set(places) & set(too_large):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return np.array([[place, 1.0] for place in places], dtype=np.float32)

    asked = []
    return embed, asked


def test_what_fits_goes_at_once():
    embed, asked = device(room=4)
    assert sorted(embed_in_halves([3, 1, 2], embed)) == [1, 2, 3]
    assert asked == [[3, 1, 2]]


def test_what_does_not_fit_goes_in_halves():
    embed, asked = device(room=2)
    vectors = embed_in_halves([0, 1, 2, 3, 4], embed)
    assert asked == [[0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [2], [3, 4]]
    assert {place: vector[0] for place, vector in vectors.items()} == {place: place for place in range(5)}


def test_batches_that_went_in_two_are_counted(model):
    class Small:
        space = model.space

        def embed_texts(self, texts):
            if len(texts) > 2:
                raise MemoryError
            return model.embed_texts(texts)

    texts = ["a", "b", "c", "d", "e"]
    assert embed_texts([0, 1], texts, Small()).halved == 0
    assert embed_texts(range(5), texts, Small()).halved == 2  # five in 2 + 3, three in 1 + 2


def test_only_what_does_not_fit_alone_has_no_vector():
    embed, _ = device(room=8, too_large=[2])
    assert sorted(embed_in_halves([0, 1, 2, 3], embed)) == [0, 1, 3]


def test_another_error_is_raised():
    def embed(places):
        raise RuntimeError("expected scalar type Float but found Half")

    with pytest.raises(RuntimeError, match="scalar type"):
        embed_in_halves([0, 1], embed)


def test_the_ways_in_which_memory_ends():
    with pytest.raises((RuntimeError, MemoryError)) as real:
        torch.empty(1 << 60, dtype=torch.uint8)  # a million terabytes
    assert is_full(real.value)
    assert is_full(MemoryError())
    assert is_full(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes."))
    assert not is_full(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_images_have_the_vectors_of_the_plain_way(files, model):
    done = embed_images([4, 1, 3], *files, model)
    assert done.halved == 0
    plain = model.embed_images([open_image(files[0][place]) for place in (4, 1, 3)])
    assert (done.places, done.failures) == ([4, 1, 3], {})
    np.testing.assert_allclose(done.vectors, plain, atol=1e-6)


def test_images_of_every_family_can_be_stacked(files, models):
    for family in ("siglip2", "blip", "blip2", "align", "vit"):
        done = embed_images(range(5), *files, models(family))
        plain = models(family).embed_images([open_image(path) for path in files[0]])
        np.testing.assert_allclose(done.vectors, plain, atol=1e-5, err_msg=family)


def test_a_failed_image_leaves_the_others(files, model, tmp_path):
    (tmp_path / "1.png").unlink()
    (tmp_path / "3.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(tmp_path / "4.png")
    done = embed_images(range(5), *files, model)
    assert done.places == [0, 2]
    assert done.vectors.shape == (2, model.space.dimension)
    assert done.failures == {1: "missing file", 3: "empty file", 4: "changed file"}


def test_a_batch_may_fail_as_a_whole(files, model, tmp_path):
    (tmp_path / "1.png").unlink()
    done = embed_images([1], *files, model)
    assert (done.places, done.vectors.shape) == ([], (0, model.space.dimension))
