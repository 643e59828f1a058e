"""The caption files of Flickr8k and Flickr30k: token files, and the tables that Kaggle has of them."""

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.sources.dataset_files import place_images
from mmlab.ingest.sources.decoding import encoding_of
from mmlab.ingest.sources.rows import Row, gather, malformed

FOLDERS = (
    "Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images", "flickr30k-images",
)  # fmt: skip
LISTS = {"train": "trainImages", "dev": "devImages", "test": "testImages"}


def read_flickr(path: Path, root: Path) -> tuple[Path, pd.DataFrame]:
    """One row per line: "name.jpg#0<tab>caption", "name.jpg| 0| caption" or "name.jpg,caption".

    The images are looked for beside the file, in the folder above, and in the folders of the originals.
    The split is told by Flickr_8k.trainImages.txt, devImages and testImages beside the file, if there.
    """
    rows = list(_rows(path))
    if not rows:
        raise ValueError(f"{path} has no captions: expected lines such as name.jpg#0<tab>caption")
    splits = _splits(path.parent)
    root, places = place_images((row.image for row in rows), path, root, FOLDERS)
    return root, gather(
        row._replace(image=places.get(row.image, row.image), split=splits.get(row.image)) for row in rows
    )


def head_of(path: Path) -> str:
    """How the file begins, by which the three forms are told apart."""
    with open(path, "rb") as file:
        return file.read(100).decode("utf-8-sig", "replace").lower()


def _rows(path: Path) -> Iterator[Row]:
    head = head_of(path)
    form = next((form for form in FORMS if form.header and head.startswith(form.header)), FORMS[-1])
    with open(path, encoding=encoding_of(path)) as file:
        lines = (line.rstrip("\n") for line in file if line.strip())
        for line in islice(lines, bool(form.header), None):
            parts = form.parts(line)
            yield Row(*parts) if parts else malformed(line, f"expected {form.shape}")


def _splits(folder: Path) -> dict[str, str]:
    """The split of each image that a list beside the captions names."""
    splits = {}
    for split, word in LISTS.items():
        for path in sorted(folder.glob(f"*{word}.txt")):
            lines = path.read_text(encoding=encoding_of(path)).split("\n") if path.stat().st_size else []
            splits |= dict.fromkeys(filter(None, map(str.strip, lines)), split)
    return splits


def _token(line: str) -> tuple[str, str] | None:
    entry, tab, caption = line.partition("\t")
    image, mark, _ = entry.rpartition("#")
    return (image if mark else entry, caption) if tab else None


def _pipes(line: str) -> tuple[str, str] | None:
    cells = line.split("|", 2)
    return (cells[0], cells[2].removeprefix(" ")) if len(cells) == 3 else None


def _commas(line: str) -> tuple[str, str] | None:
    try:
        cells = next(csv.reader([line]))
    except csv.Error:
        return None
    return (cells[0], cells[1]) if len(cells) == 2 else None


class Form(NamedTuple):
    """One form of caption files: what its header begins with, what a line looks like, how it is taken apart."""

    header: str
    shape: str
    parts: Callable[[str], tuple[str, str] | None]


FORMS = (
    Form("image_name|", "name.jpg| 0| caption", _pipes),
    Form("image,caption", "name.jpg,caption", _commas),
    Form("", "name.jpg#0<tab>caption", _token),
)
