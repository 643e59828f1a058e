"""05 with 2,000 queries of one's own, 40,000 products and 200,000 judgements: seconds and resident memory.

`make bench ONLY=own-queries`. Each product has an image and a text; captions ask by a drawn sample of 2,000 pairs. A
query lies near a product, and the 100 products of its neighbourhood are judged, one in ten relevant.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows, write_items, write_table
from mmlab.items.tables import item_id
from mmlab.runs import start_step
from mmlab.runs.record import run_files
from mmlab.workbench.run_data import own_query_file
from tests.bench.figures import Figure
from tests.bench.growth import time_and_memory, watch
from tests.bench.million import DIMENSION, draw_images, model_space
from tests.embed.checkpoints import clip

PRODUCTS, QUERIES, JUDGED, NEIGHBOURS = 40_000, 2000, 100, 100
NAME = "own"
MOST_SECONDS = 60


def own_queries() -> list[Figure]:
    """Make the run, execute 03 to 05, and return seconds and most resident memory of 04 and 05."""
    with TemporaryDirectory() as folder:
        _make_run(Path(folder))
        command = [sys.executable, "-m", "mmlab", "run", "--name", NAME, "--from", "03"]
        samples = watch([*command, "-p", "max_queries=2000", "-p", "unit=product_id"], Path(folder))
        copies = Path(folder) / "runs" / NAME / "notebooks"
        retrieved, evaluated = (
            time_and_memory(copies / f"{one}.ipynb", samples) for one in ("04_retrieve", "05_evaluate")
        )
    size = f"{QUERIES:,} queries, {PRODUCTS:,} products, {QUERIES * JUDGED:,} judgements"
    return [
        Figure("own queries, 04", retrieved[0], "s", size),
        Figure("own queries, 05", evaluated[0], "s", size, f"at most {MOST_SECONDS}"),
        Figure("own queries, 05, resident", evaluated[1], "GB", size),
    ]


def _make_run(folder: Path) -> None:
    """Write items, queries, judgements and vectors as 01 and 02 leave them."""
    os.environ["MMLAB_DATA"] = str(folder)
    clip(folder / "model", DIMENSION)
    space, items = model_space(folder / "model"), _items(folder)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((PRODUCTS // NEIGHBOURS, DIMENSION), dtype=np.float32)
    place = np.repeat(np.arange(len(centres)), NEIGHBOURS)
    images = np.concatenate([draw_images(centres, place, first) for first in range(0, PRODUCTS, 10_000)])
    asked = rng.integers(PRODUCTS, size=QUERIES)
    step = start_step("01_ingest", NAME, dataset=str(folder))
    write_items(items, step.write(run_files.ITEMS))
    write_table(_queries(asked, rng), step.write(run_files.QUERIES))
    write_table(_judgements(asked, items["item_id"].to_numpy()[:PRODUCTS]), step.write(run_files.QRELS))
    step.finish(f"{len(items):,} items.")
    step = start_step("02_embed", NAME, models=[str(folder / "model")])
    step.read(run_files.ITEMS)
    rows = np.concatenate([images, _near(images, rng)])
    Vectors(items["item_id"], rows, space).save(step.write(f"vectors/{space.key}.arrow"))
    _asking(images[asked], space, rng).save(step.write(own_query_file(space)))
    step.finish(f"{len(items):,} vectors.")


def _items(folder: Path) -> pd.DataFrame:
    """An image and a text of each product; the images have no files."""
    number = pd.Series(np.arange(PRODUCTS), dtype="str")
    known = {"pair_id": "photos/" + number + ".jpg", "product_id": "P" + number, "content": "named:" + number}
    images = pd.DataFrame(
        {**known, "modality": "image", "origin": "image", "image": f"{folder}/photos/" + number + ".jpg"}
    )
    texts = pd.DataFrame(
        {**known, "modality": "text", "origin": "caption", "text": "a photo of number " + number}
    )
    items = pd.concat([images, texts], ignore_index=True)
    rows = zip(items["modality"], items["pair_id"], items["content"], strict=True)
    return items.assign(item_id=[item_id(*row) for row in rows]).reindex(
        columns=[*ITEM_COLUMNS, "product_id"]
    )


def _queries(asked: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    numbers = pd.Series(asked, dtype="str")
    kinds = rng.choice(["short", "long", "typo", "negation"], len(asked))
    ids = [f"q{number}" for number in range(len(asked))]
    return pd.DataFrame({"query_id": ids, "text": "number " + numbers, "image": "", "kind": kinds})


def _judgements(asked: np.ndarray, images: np.ndarray) -> pd.DataFrame:
    """The products of each query's neighbourhood; its own is relevant in the second degree, one in ten in the first."""
    place = (asked // NEIGHBOURS * NEIGHBOURS)[:, None] + np.arange(JUDGED)
    relevance = np.where(place == asked[:, None], 2, (place % 10 == 0).astype(int))
    ids = np.repeat([f"q{number}" for number in range(len(asked))], JUDGED)
    found = {"query_id": ids, "item_id": images[place.ravel()], "relevance": relevance.ravel()}
    return pd.DataFrame(found).assign(named="product_id")


def _near(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(rows.shape, dtype=np.float32) / np.float32(DIMENSION**0.5)
    return unit_rows(rows + noise)


def _asking(rows: np.ndarray, space: Space, rng: np.random.Generator) -> Vectors:
    return Vectors([f"q{number}" for number in range(len(rows))], _near(rows, rng), space)
