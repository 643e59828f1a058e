import pytest
from PIL import Image

from mmlab.embed.batches import image_batches, text_batches
from mmlab.items import file_hash


@pytest.fixture
def files(tmp_path):
    """Five pictures, each wider than the one before."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.new("RGB", (number + 1, 1)).save(path)
    return [str(path) for path in paths], [file_hash(path) for path in paths]


def test_texts_of_like_length_share_a_batch():
    batches = list(text_batches(["aa", "a", "aaaa", "aaa", "a"], 2))
    assert [batch.places for batch in batches] == [[2, 3], [0, 1], [4]]
    assert [batch.inputs for batch in batches] == [["aaaa", "aaa"], ["aa", "a"], ["a"]]


def test_pictures_come_in_order(files):
    batches = list(image_batches(*files, size=2))
    assert [batch.places for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [[picture.width for picture in batch.inputs] for batch in batches] == [[1, 2], [3, 4], [5]]


def test_a_failed_picture_leaves_the_others(files, tmp_path):
    (tmp_path / "1.png").unlink()
    (tmp_path / "3.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(tmp_path / "4.png")
    (batch,) = image_batches(*files, size=8)
    assert batch.places == [0, 2]
    assert [picture.width for picture in batch.inputs] == [1, 3]
    assert batch.failures == {1: "missing file", 3: "empty file", 4: "changed file"}


def test_nothing_gives_no_batch():
    assert list(text_batches([], 4)) == []
    assert list(image_batches([], [], 4)) == []
