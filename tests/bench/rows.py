"""How seconds and memory of 01_ingest and 02_embed grow with the rows of small images; embedding here and on Ray.

`make bench ONLY=rows` measures 10,000 and 100,000 rows, `make bench ONLY=ray` 2,000 and 10,000 images, and
`make bench ONLY=rows ROWS="2000 20000"` other numbers.
"""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmlab.embed import embed_with_models
from mmlab.ingest import Rules, ingest_items
from tests.bench.figures import Figure
from tests.bench.growth import time_and_memory, watch

ROWS, RAY_ROWS = "10000 100000", "2000 10000"
SIDE = 48  # pixels
NOTEBOOKS = ("01_ingest", "02_embed")
RUN = """
from mmlab.runs.execute.execution import run_notebooks
from mmlab.runs.execute.notebooks import find_notebooks
run_notebooks("rows", {"dataset": %r, "ocr": False}, find_notebooks()[:2])
"""
WORDS = (
    "red",
    "blue",
    "small",
    "round",
    "shoe",
    "lamp",
    "chair",
    "wooden",
    "striped",
    "dotted",
    "cup",
    "coat",
)


def rows() -> list[Figure]:
    """Run 01 and 02 on folders of JPEGs with a caption each: seconds, most memory, and bytes that a row more takes."""
    figures, memory = [], {}
    counts = [int(count) for count in os.environ.get("ROWS", ROWS).split()]
    for count in counts:
        with TemporaryDirectory() as folder:
            dataset = draw_photos(Path(folder, "photos"), count)
            samples = watch([sys.executable, "-c", RUN % str(dataset)], Path(folder, "data"))
            for name in NOTEBOOKS:
                copy = Path(folder, "data", "runs", "rows", "notebooks", f"{name}.ipynb")
                seconds, most = time_and_memory(copy, samples)
                own = time_and_memory(copy, samples, "own_bytes")[1]
                memory[name, count] = own
                figures += [
                    Figure(f"{name}, {count:,} rows", seconds, "s", f"{count / seconds:,.0f} rows/s"),
                    Figure(f"{name}, {count:,} rows", most, "GB", "resident, with mapped files"),
                    Figure(f"{name}, {count:,} rows", own, "GB", "of its own"),
                ]
    for name in NOTEBOOKS:
        taken = (memory[name, counts[-1]] - memory[name, counts[0]]) / (counts[-1] - counts[0])
        figures.append(Figure(f"{name}, a row more", taken * 1e9, "bytes", "memory of its own"))
    return figures


def ray() -> list[Figure]:
    """Ingest and embed images with the demo model here and on Ray, which is started for it: seconds and their ratio."""
    figures = []
    for count in map(int, os.environ.get("ROWS", RAY_ROWS).split()):
        with TemporaryDirectory() as folder:
            photos = draw_photos(Path(folder, "photos"), count)
            read = partial(ingest_items, photos, rules=Rules(ocr=False), progress=False)
            items = read(cache=Path(folder, "known")).items
            images = items[items["modality"] == "image"]
            figures += _compared(
                f"ingest {count:,} images",
                count,
                lambda engine, read=read, folder=folder: read(cache=Path(folder, engine), engine=engine),
            )
            figures += _compared(
                f"embed {count:,} images",
                count,
                lambda engine, images=images: embed_with_models(
                    images, ["demo"], progress=False, engine=engine
                ),
            )
    return figures


def _compared(name: str, count: int, work: Callable[[str], object]) -> list[Figure]:
    seconds = {}
    for engine in ("local", "ray"):
        started = time.perf_counter()
        work(engine)
        seconds[engine] = time.perf_counter() - started
    here, there = seconds.values()
    return [
        Figure(f"{name} here", count / here, "images/s", f"{here:,.1f} s"),
        Figure(f"{name} on Ray", count / there, "images/s", f"{there:,.1f} s with its start"),
        Figure(f"{name} on Ray", there / here, "times the seconds", "here"),
    ]


def draw_photos(folder: Path, count: int) -> Path:
    """Write so many JPEGs of soft colours and a table with a caption for each."""
    folder.mkdir(parents=True)
    with ThreadPoolExecutor() as threads:
        captions = list(threads.map(lambda number: _draw(folder, number), range(count)))
    lines = [f"{number:06}.jpg,{caption}\n" for number, caption in enumerate(captions)]
    (folder / "captions.csv").write_text("image,caption\n" + "".join(lines))
    return folder


def _draw(folder: Path, number: int) -> str:
    from PIL import Image

    rng = np.random.default_rng(number)
    cells = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg", quality=90)
    return f"a {' '.join(rng.choice(WORDS, 6))} number {number}"
