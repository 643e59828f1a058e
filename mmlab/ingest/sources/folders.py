"""Folders of images: with a text file beside each, or without any text."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.sources.dataset_files import files_below
from mmlab.ingest.sources.decoding import encoding_of
from mmlab.ingest.sources.rows import Row, gather, malformed

SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
LONGEST = 1_000_000  # bytes of a text beside an image; more is no caption


class Tags(NamedTuple):
    """What the folders of an image tell of it."""

    label: str | None
    split: str | None


def read_images(path: Path, root: Path) -> tuple[Path, pd.DataFrame]:
    """One row per image below the folder, without a caption; see `tags_of` for label and split."""
    names = _images(path)
    return root, gather(Row(name, **tags._asdict()) for name, tags in zip(names, tags_of(names), strict=True))


def read_sidecar(path: Path, root: Path) -> tuple[Path, pd.DataFrame]:
    """A row for each line that is not empty in a.txt beside a.jpg; one without a caption where there is none."""
    names = _images(path)
    return root, gather(
        row._replace(**tags._asdict())
        for name, tags in zip(names, tags_of(names), strict=True)
        for row in _captions(path, name)
    )


def has_sidecars(folder: Path) -> bool:
    """Whether an image below the folder has a text file beside it."""
    texts = {_stem(name) for name in files_below(folder, {".txt"})}
    return bool(texts) and any(_stem(name) in texts for name in files_below(folder))


def tags_of(names: list[str]) -> list[Tags]:
    """Label and split of each image: where all lie in subfolders, the first of them is the label.

    Where the first are all named train, val, test or alike, they are the split and the second is the label.
    A single folder that holds everything is no label.
    """
    folders = [name.split("/")[:-1] for name in names]
    splits: list[str | None] = [None] * len(names)
    if all(parts and parts[0].lower() in SPLITS for parts in folders):
        splits = [parts[0] for parts in folders]
        folders = [parts[1:] for parts in folders]
    several = all(folders) and len({parts[0] for parts in folders}) > 1
    labels = [parts[0] if several else None for parts in folders]
    return [Tags(label, split) for label, split in zip(labels, splits, strict=True)]


def _images(folder: Path) -> list[str]:
    names = files_below(folder)
    if not names:
        raise FileNotFoundError(f"dataset {folder}: expected images (.jpg, .png, ...), found none below it")
    return names


def _captions(folder: Path, name: str) -> list[Row]:
    path = (folder / name).with_suffix(".txt")
    if not path.is_file() or not path.stat().st_size:
        return [Row(name)]
    if path.stat().st_size > LONGEST:
        return [malformed("", f"expected at most {LONGEST:,} bytes in {path.name}, found more", name)]
    try:
        lines = path.read_text(encoding=encoding_of(path)).split("\n")
    except ValueError as error:
        return [malformed("", str(error), name)]
    return [Row(name, line) for line in lines if line.strip()] or [Row(name)]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
