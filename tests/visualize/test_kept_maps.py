"""A map is laid out once for the same vectors, method and settings, whoever asks for it."""

import threading

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.visualize import map_parts, map_umap
from mmlab.visualize.kept_maps import keep_map

SPACE = Space("model", "1", "", "", "", 4)


def vectors(seed=0, names="v", count=12):
    rows = unit_rows(np.random.default_rng(seed).standard_normal((count, 4)))
    return Vectors([f"{names}{n}" for n in range(count)], rows, SPACE)


class Drawer:
    """A method that counts how often it is asked."""

    __name__ = "drawer"

    def __init__(self):
        self.asked = 0

    def __call__(self, vectors, turn=0):
        self.asked += 1
        return np.roll(vectors.array[:, :2], turn, axis=0)


@pytest.fixture
def draw(monkeypatch):
    drawer = Drawer()
    monkeypatch.setattr("mmlab.visualize.kept_maps.getsource", lambda method: method.__name__)
    return drawer


def test_the_same_vectors_are_laid_out_once(tmp_path, draw):
    first = keep_map(tmp_path / "maps", draw, vectors(), turn=1)
    again = keep_map(tmp_path / "maps", draw, vectors(names="other"), turn=1)
    assert draw.asked == 1
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.roll(vectors().array[:, :2], 1, axis=0))


def test_other_vectors_settings_or_methods_have_maps_of_their_own(tmp_path, draw):
    asked = [(vectors(), 0), (vectors(seed=1), 0), (vectors(), 1), (vectors(count=11), 0)]
    maps = [keep_map(tmp_path, draw, which, turn=turn) for which, turn in asked]
    draw.__name__ = "another"
    keep_map(tmp_path, draw, vectors(), turn=0)
    assert draw.asked == 5
    assert len({points.tobytes() for points in maps}) == 4


@pytest.mark.parametrize("damage", [b"", b"no map", b"\x93NUMPY"])
def test_a_damaged_file_is_made_anew(tmp_path, draw, damage):
    first = keep_map(tmp_path, draw, vectors())
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(damage)
    assert np.array_equal(keep_map(tmp_path, draw, vectors()), first)
    assert draw.asked == 2
    assert np.array_equal(np.load(file), first)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 2), dtype=np.float32),
        np.zeros((12, 2)),
        np.full((12, 2), np.nan, dtype=np.float32),
        np.array([{"a": 1}] * 12),
    ],
)
def test_what_is_no_map_of_these_vectors_is_not_shown(tmp_path, draw, wrong):
    keep_map(tmp_path, draw, vectors())
    (file,) = tmp_path.glob("*.npy")
    np.save(file, wrong, allow_pickle=True)
    assert np.array_equal(keep_map(tmp_path, draw, vectors()), vectors().array[:, :2])
    assert draw.asked == 2


def test_several_that_want_the_same_map_wait_for_one(tmp_path, draw):
    begun, go_on = threading.Event(), threading.Event()

    def slow(vectors):
        begun.set()
        go_on.wait(30)
        return draw(vectors)

    slow.__name__ = "slow"
    maps = []
    ask = [
        threading.Thread(target=lambda: maps.append(keep_map(tmp_path, slow, vectors()))) for _ in range(3)
    ]
    for thread in ask:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in ask:
        thread.join(30)
    assert draw.asked == 1
    assert len(maps) == 3
    assert all(np.array_equal(points, maps[0]) for points in maps)


def test_a_method_that_fails_leaves_nothing(tmp_path, draw):
    def broken(vectors):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        keep_map(tmp_path, broken, vectors())
    assert list(tmp_path.glob("*.npy")) == []


def test_a_kept_map_is_the_map(tmp_path):
    parts = [vectors(count=30)]
    plain = map_parts(parts, map_umap, neighbours=5, seed=3)
    for _ in range(2):
        assert np.array_equal(map_parts(parts, map_umap, tmp_path, neighbours=5, seed=3), plain)
    assert len(list(tmp_path.glob("map_umap-*.npy"))) == 1
