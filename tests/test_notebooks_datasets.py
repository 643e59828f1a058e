"""What people bring, whole: small datasets through 01 to 06, each odd both in its form and in its content.

They go through the cells of the notebooks in this process, which takes half the time; photos alone and one text for all
do so in tests/workbench/test_small_sets.py, with the studies.
"""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from PIL import Image, ImageDraw

from mmlab.ingest import inspect_dataset
from mmlab.items import read_items
from mmlab.runs import read_manifest, write_report
from tests.cells import run_here
from tests.conftest import data_in

pytestmark = pytest.mark.slow

COLOURS = ("red", "green", "blue", "orange", "purple")
SHAPES = ("circle", "square", "bar")
TITLES = ("Red dress", "Trail running shoes", "Sofa", "Blue denim jacket for men")
CHINESE = "\u7b2c{}\u5f20\u56fe\u7247\u91cc\u6709\u4e00\u4e2a\u7ea2\u8272\u7684\u5706\u5f62"


def draw(number: int) -> Image.Image:
    """A shape of its own for each number, on a ground that is not blank."""
    image = Image.linear_gradient("L").resize((72, 56)).convert("RGB")
    pen, box = ImageDraw.Draw(image), (6 + 3 * number, 8, 34 + 3 * number, 44)
    shape = SHAPES[number % 3]
    if shape == "circle":
        pen.ellipse(box, COLOURS[number % 5])
    else:
        pen.rectangle(
            box if shape == "square" else (4, 8 + 2 * number, 68, 20 + 2 * number), COLOURS[number % 5]
        )
    return image


def caption(number: int, form: int = 0) -> str:
    """One of two texts of an image."""
    thing = f"{COLOURS[number % 5]} {SHAPES[number % 3]}"
    return (
        f"A drawing of a {thing} on a grey ground {number}",
        f"Somebody painted the {thing} number {number}",
    )[form]


def draw_all(folder: Path, count: int) -> list[str]:
    """Write so many images; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}.png" for number in range(count)]
    for number, name in enumerate(names):
        draw(number).save(folder / name)
    return names


def write_table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def photos_alone(folder: Path) -> None:
    draw_all(folder, 4)


def bare_names_of_titles(folder: Path) -> None:
    names = draw_all(folder / "images", len(TITLES))
    rows = [[name, title] for name, title in zip(names, TITLES, strict=True)]
    write_table(folder / "captions.csv", ["image", "caption"], rows)


def flickr_comments_in_chinese(folder: Path) -> None:
    names = draw_all(folder / "flickr30k_images", 4)
    rows = [
        [name, form, f" {CHINESE.format(2 * n + form)} ."] for n, name in enumerate(names) for form in (0, 1)
    ]
    write_table(folder / "captions.txt", ["image_name", "comment_number", "comment"], rows)


def lists_in_cells(folder: Path) -> None:
    names = draw_all(folder / "images", 4)
    rows = [[f"images/{name}", repr([caption(n), caption(n, 1)])] for n, name in enumerate(names)]
    write_table(folder / "captions.csv", ["image", "captions"], rows)


def shards_of_three_images(folder: Path) -> None:
    folder.mkdir()
    for shard, numbers in enumerate([(0, 1), (2,)]):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as archive:
            for number in numbers:
                image = io.BytesIO()
                draw(number).save(image, "PNG")
                files = {"png": image.getvalue(), "txt": caption(number).encode(), "json": b'{"width": 72}'}
                for suffix, content in files.items():
                    entry = tarfile.TarInfo(f"{number:09}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


def one_text(folder: Path) -> None:
    names = draw_all(folder / "images", 6)
    rows = [[f"images/{name}", "A photo of some nice product"] for name in names]
    write_table(folder / "captions.csv", ["image", "caption"], rows)


def karpathy_splits(folder: Path) -> None:
    names = draw_all(folder / "flickr30k-images", 10)
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    images = [
        {
            "filename": name,
            "imgid": n,
            "split": split,
            "sentences": [{"raw": caption(n)}, {"raw": caption(n, 1)}],
        }
        for n, (name, split) in enumerate(zip(names, splits, strict=True))
    ]
    (folder / "dataset_flickr30k.json").write_text(json.dumps({"images": images, "dataset": "flickr30k"}))


class Dataset(NamedTuple):
    """How a dataset is made, and what a run of it holds: images, texts and splits."""

    make: Callable[[Path], None]
    images: int
    texts: int
    splits: tuple[str, ...] = ()


DATASETS = {
    "photos-alone": Dataset(photos_alone, 4, 0),
    "bare-names-of-titles": Dataset(bare_names_of_titles, 4, 4),
    "flickr-comments-in-chinese": Dataset(flickr_comments_in_chinese, 4, 8),
    "lists-in-cells": Dataset(lists_in_cells, 4, 8),
    "shards-of-three-images": Dataset(shards_of_three_images, 3, 3),
    "karpathy-splits": Dataset(karpathy_splits, 10, 20, ("test", "train", "val")),
    "one-text": Dataset(one_text, 6, 6),
}


ELSEWHERE = ("photos-alone", "one-text")
GIVEN = {"sample": 5, "ocr": False}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the datasets, and the data folder of all their runs."""
    base = tmp_path_factory.mktemp("datasets")
    for name, dataset in DATASETS.items():
        dataset.make(base / name)
    with data_in(base / "data"):
        yield base


def check_run(folder: Path, expected: Dataset) -> None:
    """The run holds what the dataset does, has all its steps and a report, and refused nothing."""
    items = read_items(folder / "items.parquet")
    counts = items["modality"].value_counts()
    assert (counts.get("image", 0), counts.get("text", 0)) == (expected.images, expected.texts)
    assert tuple(sorted(items["split"].dropna().unique())) == expected.splits
    assert len(read_manifest(folder.name)["steps"]) == 6
    assert (folder / "index.html").is_file()
    assert pd.read_parquet(folder / "skipped.parquet").empty


@pytest.mark.parametrize("name", DATASETS)
def test_a_look_tells_what_a_run_will_hold(base: Path, name: str) -> None:
    looked = inspect_dataset(base / name, looks_only=True)
    expected = DATASETS[name]
    assert (looked.images, looked.texts, tuple(sorted(looked.splits))) == expected[1:]
    assert looked.advice == ""


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ELSEWHERE])
def test_a_run_ends_well_and_holds_everything(base: Path, name: str) -> None:
    folder, _ = run_here(name, {"dataset": str(base / name), **GIVEN})
    write_report(name)
    check_run(folder, DATASETS[name])
