"""05, 06 and 08 on vectors alone: photos without their files, and two encoders that share nothing."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate.measures.qrels import append_labels
from mmlab.items import Space, Vectors, read_table, unit_rows, write_table
from mmlab.runs import find_notebook, find_notebooks, read_manifest, start_step
from tests.cells import run_here
from tests.conftest import find_shared
from tests.made_run import make_run, read_photos, whole_items

pytestmark = pytest.mark.slow

PHOTOS = find_shared("vectors/flickr8k-test.npz")


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run_last_two(run: str, **parameters) -> list[str]:
    """What the cells of 05 show, and those of 06."""
    return [run_here(run, parameters, [notebook])[1] for notebook in find_notebooks()[4:]]


@pytest.mark.skipif(not PHOTOS.exists(), reason="the vectors of the 1,000 photos are not on this machine")
def test_the_vectors_of_a_thousand_photos_give_their_known_figures() -> None:
    items, vectors = read_photos(PHOTOS)
    folder = make_run("photos", items, [vectors])
    top = read_table(folder / "rankings" / "text-to-image.parquet").query("rank == 1").head(20)
    append_labels(folder / "labels.jsonl", top.assign(relevance=1))
    shown, _ = run_last_two("photos", sample=40)
    metrics = json.loads((folder / "metrics.json").read_text())
    found = {(m["direction"], m["measure"]): round(m["value"], 3) for m in metrics["measures"]}
    assert [found["text-to-image", f"Success@{k}"] for k in (1, 5, 10)] == [0.176, 0.427, 0.559]
    assert [entry["gallery"] for entry in metrics["protocol"]] == [1000, 5000]
    lost = {
        row["outcome"]: row["queries"] for row in metrics["losses"] if row["direction"] == "text-to-image"
    }
    assert sum(lost.values()) == 5000
    assert "lost by index" not in lost  # the answer is by exact search; what the index loses stands beside it
    assert re.search(r"Not in the answer: text-to-image index loses \d+", shown)
    assert "20 judgements by hand" in shown
    assert (folder / "map.html").stat().st_size < 100_000


@pytest.mark.skipif(not PHOTOS.exists(), reason="the vectors of the 1,000 photos are not on this machine")
def test_two_runs_over_photos_are_compared() -> None:
    """The vectors of 200 photos as they are, and with a third of their numbers only."""
    items, vectors = read_photos(PHOTOS)
    items = items[items["pair_id"].isin(items["pair_id"].unique()[:200])]
    vectors = vectors.take(items["item_id"])
    few = vectors.space.dimension // 3
    short = Vectors(vectors.ids, unit_rows(vectors.array[:, :few]), replace(vectors.space, dimension=few))
    for name, part in (("whole", vectors), ("short", short)):
        make_run(name, items, [part])
        step = start_step("03_index", name, ef=50)  # no store here, and 08 asks what a query costs
        judged = pd.DataFrame({"search": ["HNSW ef=50"], "recall": [1.0], "p50_ms": [1.0]})
        write_table(judged, step.write("index.parquet"))
        step.finish("")
        run_here(name, {}, find_notebooks()[4:5])
    compare = [find_notebook("08_compare")]
    folder, _ = run_here("both", {"runs": ["whole", "short"]}, compare)
    tests = read_table(folder / "comparison.parquet").set_index(["direction", "measure"])
    assert (tests["queries"].xs("Success@1", level=1) == [1000, 200]).all()
    assert (tests["difference"].xs("Success@1", level=1) < 0).all()


def test_a_text_encoder_beside_an_image_encoder_shows_what_can_be_shown() -> None:
    rng, pairs = np.random.default_rng(0), 40
    items = whole_items(
        [f"p{n}" for n in range(pairs)],
        [f"caption {n}" for n in range(2 * pairs)],
        np.arange(2 * pairs) % pairs,
    )
    ids = items.groupby("modality", sort=False)["item_id"]
    spaces = []
    for modality in ("text", "image"):
        rows = rng.standard_normal((len(ids.get_group(modality)), 8))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        spaces.append(
            Vectors(ids.get_group(modality), rows, Space(f"{modality}-encoder", "1", "", "", "", 8))
        )
    folder = make_run("two", items, spaces)
    evaluated, drawn = run_last_two("two", sample=20)
    assert list(read_manifest("two")["steps"])[-2:] == ["05_evaluate", "06_visualize"]
    assert "a text and an image have no cosine" in evaluated
    assert "each in a map of their own" in drawn
    space = json.loads((folder / "metrics.json").read_text())["space"]
    assert {row["measure"] for row in space} == {"anisotropy", "effective dimension"}
