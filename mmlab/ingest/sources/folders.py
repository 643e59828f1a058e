"""Folders of images: with a text file beside each image, or without any text."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.sources.dataset_files import files_below
from mmlab.ingest.sources.rows import Row, make_table, malformed_row
from mmlab.ingest.sources.text_files import encoding_of

SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
MAX_SIDECAR_BYTES = 1_000_000  # of a text beside an image; more is no caption


class FolderTags(NamedTuple):
    """What the names of the folders say about an image."""

    label: str | None
    split: str | None


def read_images(path: Path) -> pd.DataFrame:
    """Return one row per image below the folder, without captions, tagged by `folder_tags`."""
    names = _image_names(path)
    rows = (Row(name, **tags._asdict()) for name, tags in zip(names, folder_tags(names), strict=True))
    return make_table(rows)


def read_sidecar(path: Path) -> pd.DataFrame:
    """Return one row per line of a.txt beside a.jpg; an image without lines has an empty caption."""
    names = _image_names(path)
    return make_table(
        row._replace(**tags._asdict())
        for name, tags in zip(names, folder_tags(names), strict=True)
        for row in _sidecar_rows(path, name)
    )


def has_sidecars(folder: Path) -> bool:
    """Return whether an image below the folder has a text file beside it."""
    texts = {_stem(name) for name in files_below(folder, {".txt"})}
    return bool(texts) and any(_stem(name) in texts for name in files_below(folder))


def folder_tags(names: list[str]) -> list[FolderTags]:
    """Return label and split of each image: where all images lie in subfolders, the first of these is the label.

    Where the first subfolders are all named train, val, test or alike, they are the split and the second is the
    label. A single folder that holds everything is no label.

    >>> folder_tags(["train/cats/1.jpg", "test/dogs/2.jpg"])
    [FolderTags(label='cats', split='train'), FolderTags(label='dogs', split='test')]
    """
    folders = [name.split("/")[:-1] for name in names]
    splits: list[str | None] = [None] * len(names)
    if all(parts and parts[0].lower() in SPLIT_FOLDERS for parts in folders):
        splits = [parts[0] for parts in folders]
        folders = [parts[1:] for parts in folders]
    several = all(folders) and len({parts[0] for parts in folders}) > 1
    labels = [parts[0] if several else None for parts in folders]
    return [FolderTags(label, split) for label, split in zip(labels, splits, strict=True)]


def _image_names(folder: Path) -> list[str]:
    names = files_below(folder)
    if not names:
        raise FileNotFoundError(f"dataset {folder}: expected images (.jpg, .png, ...), found none below it")
    return names


def _sidecar_rows(folder: Path, name: str) -> list[Row]:
    path = (folder / name).with_suffix(".txt")
    if not path.is_file() or not path.stat().st_size:
        return [Row(name)]
    if path.stat().st_size > MAX_SIDECAR_BYTES:
        detail = f"expected at most {MAX_SIDECAR_BYTES:,} bytes in {path.name}, found more"
        return [malformed_row("", detail, name)]
    try:
        lines = path.read_text(encoding=encoding_of(path)).split("\n")
    except ValueError as error:
        return [malformed_row("", str(error), name)]
    return [Row(name, line) for line in lines if line.strip()] or [Row(name)]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
