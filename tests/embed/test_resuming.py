"""Real runs in processes of their own: killed at random moments, or two at once on one cache."""

import hashlib
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from mmlab.embed import embed_items
from mmlab.items import ITEM_COLUMNS, file_hash, item_id, write_items

KILLS, TEXTS, PICTURES = 3, 2000, 40
RUN = """
import sys
import numpy as np
from mmlab.embed import VectorCache, embed_items, load_model
from mmlab.items import read_table

model, items, cache, out = sys.argv[1:]
VectorCache(cache).close()
model = load_model(model, device="cpu")
print("ready", flush=True)
embedded = embed_items(read_table(items), model, cache, batch_size=4, progress=False)
np.save(out, embedded.vectors.array)
print(embedded.counts["embedded"].sum())
"""


@pytest.fixture
def many(tmp_path):
    """Texts and pictures, each once."""
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for number in range(PICTURES):
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
    """Start a run that writes its vectors to a file of this name; it has loaded its model then."""
    write_items(many, tmp_path / "items.parquet")
    running = []

    def run(name):
        files = (clip_folder, tmp_path / "items.parquet", tmp_path / "cache", tmp_path / name)
        command = [sys.executable, "-c", RUN, *map(str, files)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(kept, cache, process):
    """Wait until the cache keeps so many vectors."""
    connection = sqlite3.connect(cache, timeout=60)
    while process.poll() is None and connection.execute("SELECT count(*) FROM vectors").fetchone()[0] < kept:
        time.sleep(0.001)
    connection.close()


def test_a_run_that_was_killed_ends_with_the_same_vectors(many, model, start, tmp_path):
    rng = np.random.default_rng()
    for kept in sorted(rng.integers(1, TEXTS // 2, KILLS)):
        process = start("killed.npy")
        assert process.stdout.readline() == "ready\n"
        wait_for(kept, tmp_path / "cache", process)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        assert process.wait() == -9
    last = start("resumed.npy")
    output, _ = last.communicate(timeout=120)
    assert output.splitlines()[0] == "ready"
    assert 0 < int(output.splitlines()[1]) < len(many)  # something was left, and something was kept
    undisturbed = embed_items(many, model, batch_size=4, progress=False).vectors.array
    np.testing.assert_allclose(np.load(tmp_path / "resumed.npy"), undisturbed, atol=1e-6)


def test_two_runs_at_once_end_with_the_same_vectors(many, model, start, tmp_path):
    both = [start(name) for name in ("left.npy", "right.npy")]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    left, right = (np.load(tmp_path / name) for name in ("left.npy", "right.npy"))
    np.testing.assert_array_equal(left, right)
    undisturbed = embed_items(many, model, batch_size=4, progress=False).vectors.array
    np.testing.assert_allclose(left, undisturbed, atol=1e-6)
