"""03 to 06 over ready vectors of 512 dimensions: seconds and resident memory of each notebook, and the plan's error.

`make bench ONLY=million` takes 100,000 images, `make bench ONLY=million ROWS=1000000` a million; `QUERIES=2000` are
drawn of each direction, and `FOLDER=/path` keeps the data there. A tenth of the images have a text. Images lie around
one centre for each hundred, so that a query has near neighbours, and a text lies around its image.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from mmlab.index import open_index, open_store
from mmlab.index.cluster_plan import ClusterPlan
from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows, write_items
from mmlab.items.files import file_hash
from mmlab.items.tables import item_id
from mmlab.items.vector_files import VectorWriter
from mmlab.runs import start_step
from tests.bench.figures import Figure
from tests.bench.growth import own_samples, watch
from tests.embed.checkpoints import clip

ROWS, QUERIES, DIMENSION, BLOCK = 100_000, 2000, 512, 10_000
IMAGES_PER_TEXT, IMAGES_PER_CENTRE = 10, 100
FILES, LINKS = 10, 1000  # paths are many, as no dataset names one file a hundred thousand times
ASKING = 200  # vectors that a process searches by before its memory is measured
NOISE, TEXT_NOISE = 0.7, 3.0  # of each number, beside centres and images of standard deviation 1
LIMITS = {
    "seconds": 45 * 60,
    "gigabytes": 10,
}  # of a million on 2 cores: all notebooks together, and each kernel


def million() -> list[Figure]:
    """Make the run, execute 03 to 06; return seconds, seconds of the processor and most resident memory of each."""
    rows, queries = (int(os.environ.get(n, d)) for n, d in (("ROWS", ROWS), ("QUERIES", QUERIES)))
    with _folder() as folder:
        make_run_of_vectors("million", rows, folder)
        command = [sys.executable, "-m", "mmlab", "run", "--name", "million", "--from", "03"]
        samples = watch([*command, "-p", f"max_queries={queries}"], folder)
        copies = sorted((folder / "runs" / "million" / "notebooks").glob("0[3-6]*.ipynb"))
        rows_of = {copy.stem: own_samples(copy, samples) for copy in copies}
        planned = list(compare_with_plan(folder / "runs" / "million"))
    size, is_limited = f"{rows:,} images", rows == 1_000_000
    told = [f"at most {limit}" if is_limited else "" for limit in LIMITS.values()]
    figures = [
        Figure("million, 03 to 06", sum(seconds for seconds, _ in rows_of.values()), "s", size, told[0])
    ]
    for name, (seconds, own) in rows_of.items():
        figures.append(Figure(f"million, {name}", seconds, "s", size))
        figures.append(Figure(f"million, {name}, of the processor", np.ptp(own["cpu"]), "s", size))
        figures.append(Figure(f"million, {name}, resident", own["bytes"].max() / 1e9, "GB", size, told[1]))
    return figures + planned


def compare_with_plan(run: Path) -> Iterator[Figure]:
    """What the run's store takes beside what `mmlab plan` says: disk, and memory of a process that has searched it."""
    store, [file] = open_store(run / "store"), (run / "vectors").glob("*.arrow")
    index, vectors = open_index(store, run.name), Vectors.load(file)
    [collection] = index.schemas
    taken = {
        "disk": float(index.collections()["disk_bytes"].sum()),
        "memory": float(store.resident_bytes(collection, vectors.take(vectors.ids[:ASKING])) or 0),
    }
    plan = ClusterPlan(len(vectors), DIMENSION)
    for what, planned in (("disk", plan.disk_gb), ("memory", plan.memory_gb)):
        compared = f"measured {taken[what] / 1e9:.2f}, planned {planned:.2f} GB"
        yield Figure(f"million, plan, {what}", taken[what] / 1e9 / planned, "times", compared, "0.8 to 1.2")


@contextmanager
def _folder() -> Iterator[Path]:
    if kept := os.environ.get("FOLDER"):
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
    else:
        with TemporaryDirectory() as folder:
            yield Path(folder)


def make_run_of_vectors(name: str, rows: int, folder: Path) -> None:
    """Write the items and vectors of a run as 01 and 02 leave them; the images share a few files."""
    os.environ["MMLAB_DATA"] = str(folder)
    model = folder / "model"
    if not model.is_dir():
        clip(model, DIMENSION)
    items = items_of_run(rows, draw_files(folder / "images"))
    step = start_step("01_ingest", name, dataset=str(folder))
    write_items(items, step.write("items.parquet"))
    step.finish(f"{len(items):,} items.")
    step = start_step("02_embed", name, models=[str(model)])
    step.read("items.parquet")
    space = model_space(model)
    with VectorWriter(step.write(f"vectors/{space.key}.arrow"), space) as writer:
        for ids, vectors in draw_blocks(items["item_id"].to_numpy(dtype=str), rows):
            writer.append(ids, vectors)
    step.finish(f"{len(items):,} vectors.")


def model_space(model: Path) -> Space:
    from mmlab.embed import load_model

    return load_model(str(model)).space


def draw_files(folder: Path) -> list[Path]:
    """Draw small images of one colour each, before 01 begins, after which no file may change; return many paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        Image.new("RGB", (32, 32), (25 * number, 128, 255 - 25 * number)).save(folder / f"{number}.png")
    for link in (folder / f"link {number}" for number in range(LINKS)):
        if not link.is_symlink():
            link.symlink_to(folder, target_is_directory=True)
    return [folder / f"link {link}" / f"{number}.png" for link in range(LINKS) for number in range(FILES)]


def items_of_run(rows: int, paths: list[Path]) -> pd.DataFrame:
    """All images, then the texts of every tenth, with the columns of every items table, a label and a price."""
    rng = np.random.default_rng(1)
    pairs = pd.Series([f"photos/{number}.jpg" for number in range(rows)], dtype="str")
    which = np.arange(rows) % len(paths)
    images = pd.DataFrame(
        {"modality": "image", "pair_id": pairs, "origin": "image", "width": 32, "height": 32}
    )
    images["image"] = pd.Series([str(path) for path in paths], dtype="str").take(which).array
    contents = [file_hash(path) for path in paths[:FILES]] * LINKS
    images["content"] = pd.Series(contents, dtype="str").take(which).array
    images["label"] = (
        pd.Series([f"kind {n}" for n in range(50)], dtype="str").take(rng.integers(0, 50, rows)).array
    )
    images["price"] = rng.random(rows).round(2)
    texts = images.iloc[::IMAGES_PER_TEXT].drop(columns=["image", "width", "height"])
    texts = texts.assign(modality="text", origin="caption", text="a photo of number " + texts["pair_id"])
    texts["content"] = texts["text"]
    items = pd.concat([images, texts], ignore_index=True)
    items["item_id"] = [
        item_id(*row) for row in zip(items["modality"], items["pair_id"], items["content"], strict=True)
    ]
    return items.reindex(columns=[*ITEM_COLUMNS, "price"])


def draw_blocks(ids: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ids and unit rows, of the images and then of the texts, which are drawn from the same seeds again."""
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((max(rows // IMAGES_PER_CENTRE, 1), DIMENSION), dtype=np.float32)
    place, start = rng.integers(len(centres), size=rows), rows
    for first in range(0, rows, BLOCK):
        yield ids[first : min(first + BLOCK, rows)], draw_images(centres, place, first)
    for first in range(0, rows, BLOCK):
        images = draw_images(centres, place, first)[::IMAGES_PER_TEXT]
        rng = np.random.default_rng([4, first])
        noise = rng.standard_normal(images.shape, dtype=np.float32) / np.float32(DIMENSION**0.5)
        yield ids[start : start + len(images)], unit_rows(images + TEXT_NOISE * noise)
        start += len(images)


def draw_images(centres: np.ndarray, place: np.ndarray, first: int) -> np.ndarray:
    """A block of unit rows around their centres, the same whenever it is drawn."""
    own = place[first : first + BLOCK]
    noise = np.random.default_rng([3, first]).standard_normal((len(own), DIMENSION), dtype=np.float32)
    return unit_rows(centres[own] + NOISE * noise)
