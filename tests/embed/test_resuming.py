"""Real runs in processes of their own: killed at random moments, or two at once on one cache."""

import hashlib
import sqlite3
import time

import numpy as np
import pandas as pd
import pytest

from mmlab.embed import VectorCache, embed_items, load_model
from mmlab.items import ITEM_COLUMNS, read_table, write_items
from mmlab.items.files import file_hash
from mmlab.items.tables import item_id
from tests.forked_kernels import PROCESSES

KILLS, TEXTS, IMAGES = 3, 1200, 40


def run(model, items, cache, out):
    """Embed the items of a file and write their vectors, and how many were embedded, to another."""
    embedded = embed_items(
        read_table(items), load_model(model, device="cpu"), cache, batch_size=4, progress=False
    )
    np.savez(out, array=embedded.vectors.array, embedded=embedded.counts["embedded"].sum())


@pytest.fixture
def many(tmp_path):
    """Texts and images, each once."""
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for number in range(IMAGES):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
        rows.append({"modality": "image", "image": str(path), "content": file_hash(path)})
    for number in range(TEXTS):
        text = f"{number} " + "red shoe "[: number % 9]
        rows.append({"modality": "text", "text": text, "content": hashlib.sha256(text.encode()).hexdigest()})
    for number, row in enumerate(rows):
        row |= {"pair_id": str(number), "item_id": item_id(row["modality"], str(number), row["content"])}
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS))


@pytest.fixture
def start(many, clip_folder, tmp_path):
    """Start a run that writes to a file of this name."""
    write_items(many, tmp_path / "items.parquet")
    VectorCache(tmp_path / "cache").close()
    running = []

    def begin(name):
        files = [
            str(path) for path in (clip_folder, *(tmp_path / n for n in ("items.parquet", "cache", name)))
        ]
        running.append(PROCESSES.Process(target=run, args=files))
        running[-1].start()
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.join()


def wait_for(kept, cache, process):
    """Wait until the cache keeps so many vectors."""
    connection = sqlite3.connect(cache, timeout=60)
    while process.is_alive() and connection.execute("SELECT count(*) FROM vectors").fetchone()[0] < kept:
        time.sleep(0.001)
    connection.close()


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_vectors(many, model, start, tmp_path):
    rng = np.random.default_rng()
    for kept in sorted(rng.integers(1, TEXTS // 2, KILLS)):
        process = start("killed.npz")
        wait_for(kept, tmp_path / "cache", process)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -9
    last = start("resumed.npz")
    last.join(120)
    resumed = np.load(tmp_path / "resumed.npz")
    assert 0 < resumed["embedded"] < len(many)  # something was left, and something was kept
    undisturbed = embed_items(many, model, batch_size=4, progress=False).vectors.array
    np.testing.assert_allclose(resumed["array"], undisturbed, atol=1e-6)


@pytest.mark.slow
def test_two_runs_at_once_end_with_the_same_vectors(many, model, start, tmp_path):
    both = [start(name) for name in ("left.npz", "right.npz")]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    left, right = (np.load(tmp_path / name) for name in ("left.npz", "right.npz"))
    np.testing.assert_array_equal(left["array"], right["array"])
    assert max(left["embedded"], right["embedded"]) > 0
    undisturbed = embed_items(many, model, batch_size=4, progress=False).vectors.array
    np.testing.assert_allclose(left["array"], undisturbed, atol=1e-6)
