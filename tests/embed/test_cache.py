import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from mmlab.embed import VectorCache
from mmlab.items import Space

SPACE = Space("model", "1", "mean", "", "", 4)
WRITER = """
import sys
import numpy as np
from mmlab.embed import VectorCache
from mmlab.items import Space

space, name, batches = Space("model", "1", "mean", "", "", 4), sys.argv[2], int(sys.argv[3])
with VectorCache(sys.argv[1]) as cache:
    for batch in range(batches):
        contents = [f"{name} {batch} {number}" for number in range(8)]
        cache.put(contents, np.full((8, 4), batch), space)
        print(batch, flush=True)
"""


def start_writer(path, name, batches):
    command = [sys.executable, "-c", WRITER, str(path), name, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def stored(path, name, batches):
    contents = [f"{name} {batch} {number}" for batch in range(batches) for number in range(8)]
    with VectorCache(path) as cache:
        found, vectors = cache.get(contents, SPACE)
    return found.reshape(batches, 8), vectors.reshape(batches, 8, 4)


def test_what_was_put_comes_back_bit_for_bit(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(1200, 4)).astype(np.float32)
    names = [str(number) for number in range(1200)]
    with VectorCache(tmp_path / "new" / "vectors.sqlite") as cache:
        cache.put(names, vectors, SPACE)
    with VectorCache(tmp_path / "new" / "vectors.sqlite") as cache:
        found, back = cache.get(["unknown", *names[::-1]], SPACE)
    assert found.tolist() == [False] + [True] * 1200
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, [np.zeros(4), *vectors[::-1]])


def test_spaces_are_kept_apart(tmp_path):
    with VectorCache(tmp_path / "c") as cache:
        cache.put(["a"], np.ones((1, 4)), SPACE)
        found, _ = cache.get(["a"], Space("model", "2", "mean", "", "", 4))
    assert not found.any()


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path):
    with VectorCache(tmp_path / "c") as cache:
        with pytest.raises(ValueError, match=r"shorter"):
            cache.put(["a", "b", "c"], np.ones((2, 4)), SPACE)
        found, _ = cache.get(["a", "b", "c"], SPACE)
    assert not found.any()


def test_two_processes_lose_nothing(tmp_path):
    writers = [start_writer(tmp_path / "c", name, 100) for name in ("left", "right")]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    for name in ("left", "right"):
        found, vectors = stored(tmp_path / "c", name, 100)
        assert found.all()
        assert (vectors == np.arange(100)[:, None, None]).all()


def test_a_kill_loses_no_finished_batch(tmp_path):
    writer = start_writer(tmp_path / "c", "it", 100_000)
    time.sleep(0.5)
    for _ in range(20):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    finished = 20 + len([line for line in writer.communicate()[0].splitlines() if line])
    found, _ = stored(tmp_path / "c", "it", finished + 1)
    assert found[:finished].all()
    assert found[finished].all() or not found[finished].any()


def test_another_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "c").write_text("these are notes, not a cache, and long enough to be taken for one" * 20)
    with pytest.raises(ValueError, match=r"is not a vector cache .*delete it"):
        VectorCache(tmp_path / "c")
    assert (tmp_path / "c").read_text().startswith("these are notes")


@pytest.mark.parametrize("place", [0, 7, 15, 19])
def test_a_row_with_a_flipped_byte_is_unknown_and_made_again(tmp_path, place):
    """Also a byte that leaves the row nearly as long as it was."""
    rows = np.array([[0.6, 0.8, 0, 0], [0, 0, 0.6, 0.8]], dtype=np.float32)
    with VectorCache(tmp_path / "c") as cache:
        cache.put(["a", "b"], rows, SPACE)
    with sqlite3.connect(tmp_path / "c") as raw:
        (stored,) = raw.execute("SELECT vector FROM vectors WHERE content = 'a'").fetchone()
        damaged = bytearray(stored)
        damaged[place] ^= 1
        raw.execute("UPDATE vectors SET vector = ? WHERE content = 'a'", (bytes(damaged),))
    raw.close()
    with VectorCache(tmp_path / "c") as cache:
        found, _ = cache.get(["a", "b"], SPACE)
        assert found.tolist() == [False, True]
        cache.put(["a", "b"], rows, SPACE)
        found, back = cache.get(["a", "b"], SPACE)
    assert found.all()
    np.testing.assert_array_equal(back, rows)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "c"
    with VectorCache(path) as cache:
        cache.put([str(number) for number in range(2000)], np.ones((2000, 4)), SPACE)
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page] ^= 0xFF  # the kind of each page of the tree
    path.write_bytes(content)
    with (
        pytest.raises(ValueError, match=r"c is not a vector cache or damaged \(.*delete it and run again"),
        VectorCache(path) as cache,
    ):
        cache.get(["1"], SPACE)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "c").mkdir()
    with pytest.raises(
        ValueError, match=r"c cannot be used \(unable to open database file\): another process"
    ):
        VectorCache(tmp_path / "c")


def test_token_rows_and_terms_come_back_in_their_shapes(tmp_path):
    late = Space("model", "1", "token vectors", "", "", 2)
    sparse = Space("model", "1", "term weights", "", "", 90)
    tokens = [np.eye(2, dtype=np.float32), np.ones((3, 2), np.float32)]
    terms = [np.array([[7, 89], [0.5, 2]], np.float32), np.zeros((2, 0), np.float32)]  # the second has none
    for space, rows in ((late, tokens), (sparse, terms)):
        with VectorCache(tmp_path / "c") as cache:
            cache.put(["a", "b"], rows, space)
            found, back = cache.get(["b", "x", "a"], space)
        assert found.tolist() == [True, False, True]
        assert back[1] is None
        for mine, own in zip(back[[2, 0]], rows, strict=True):
            np.testing.assert_array_equal(mine, own)


def test_damaged_token_rows_are_embedded_again(tmp_path):
    space = Space("model", "1", "token vectors", "", "", 2)
    with VectorCache(tmp_path / "c") as cache:
        cache.put(["a", "b"], [np.eye(2), np.eye(2)], space)
        cache.write("UPDATE vectors SET vector = substr(vector, 1, 11) WHERE content = ?", [("a",)])
        assert cache.get(["a", "b"], space)[0].tolist() == [False, True]
        cache.put(["a"], [np.ones((1, 2))], space)
        found, back = cache.get(["a"], space)
    assert found.tolist() == [True]
    np.testing.assert_array_equal(back[0], np.ones((1, 2)))
