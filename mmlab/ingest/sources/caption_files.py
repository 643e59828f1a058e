"""The caption files of published datasets: COCO and Karpathy's splits (JSON), Flickr8k and Flickr30k (text)."""

import csv
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mmlab.ingest.sources.rows import Row, caption_texts, make_table, malformed_row
from mmlab.ingest.sources.text_files import encoding_of, read_json

COCO_SPLIT = re.compile(r"(?<![a-z])(train|validation|val|test|dev)(?![a-z])")
COCO_ADDRESSES = ("coco_url", "flickr_url")
FLICKR_FOLDERS = (
    "Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images", "flickr30k-images",
)  # fmt: skip
FLICKR_SPLIT_LISTS = {"train": "trainImages", "dev": "devImages", "test": "testImages"}


def read_coco(path: Path) -> pd.DataFrame:
    """Return the captions of each image, in the images' order, then those that belong to no image."""
    images, annotations = _coco_lists(path)
    split = COCO_SPLIT.search(path.stem.lower())
    known, broken = _coco_images(images)
    captions, unknown = _coco_captions(annotations, known)
    rows = [
        Row(image["file_name"], caption, split=split and split[0], address=_coco_address(image))
        for number, image in known.items()
        for caption in captions.get(number, [""])
    ]
    return make_table(rows + broken + unknown)


def _coco_lists(path: Path) -> tuple[list[Any], list[Any]]:
    whole = read_json(path)
    fields = whole if isinstance(whole, dict) else {}
    images, annotations = fields.get("images"), fields.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise ValueError(f"{path} is not COCO: expected an object with the lists images and annotations")
    if not images:
        raise ValueError(f"{path} names no images: expected images with id and file_name")
    if annotations and not any(isinstance(one, dict) and "caption" in one for one in annotations):
        raise ValueError(f"{path} has annotations without captions: take the file captions_*.json")
    return images, annotations


def _coco_images(images: list[Any]) -> tuple[dict[int | str, dict[str, Any]], list[Row]]:
    """Return the images by their ids, and a malformed row for each entry that is none."""
    known: dict[int | str, dict[str, Any]] = {}
    broken = []
    for image in images:
        fields = image if isinstance(image, dict) else {}
        number, name = fields.get("id"), fields.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            broken.append(malformed_row(image, "expected an image with id and file_name"))
        elif number in known:
            broken.append(malformed_row("", f"expected different ids, found {number!r} twice", name))
        else:
            known[number] = fields
    return known, broken


def _coco_captions(
    annotations: list[Any], known: dict[int | str, dict[str, Any]]
) -> tuple[dict[int | str, list[str]], list[Row]]:
    """Return the captions by the ids of their images, and a malformed row for each that belongs to none."""
    captions: dict[int | str, list[str]] = {}
    unknown = []
    for annotation in annotations:
        fields = annotation if isinstance(annotation, dict) else {}
        number, caption = fields.get("image_id"), fields.get("caption")
        if not isinstance(number, int | str) or not isinstance(caption, str):
            unknown.append(malformed_row(annotation, "expected an annotation with image_id and caption"))
        elif number not in known:
            unknown.append(malformed_row(caption, f"expected the id of an image, found image_id {number!r}"))
        else:
            captions.setdefault(number, []).append(caption)
    return captions, unknown


def coco_folders(path: Path) -> tuple[str, ...]:
    """Return the folders where the images of this file usually lie: val2017 for captions_val2017.json."""
    suffix = path.stem.removeprefix("captions_")
    return (suffix, f"images/{suffix}", "images")


def _coco_address(image: dict[str, Any]) -> str | None:
    return next(
        (image[field] for field in COCO_ADDRESSES if isinstance(image.get(field), str) and image[field]), None
    )


def read_karpathy(path: Path) -> pd.DataFrame:
    """Return the sentences of each image with its split, as written ("restval" stays).

    An image is named with the folder that its filepath gives.
    """
    whole = read_json(path)
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError(f"{path} is not Karpathy's: expected an object with a list of images")
    return make_table(row for image in images for row in _karpathy_rows(image))


def _karpathy_name(image: Any) -> str:
    name = image.get("filename") if isinstance(image, dict) else None
    if not isinstance(name, str):
        return ""
    folder = image.get("filepath")
    return f"{folder}/{name}" if isinstance(folder, str) and folder else name


def _karpathy_rows(image: Any) -> Iterator[Row]:
    name = _karpathy_name(image)
    if not name or not isinstance(image.get("sentences"), list):
        yield malformed_row(image, "expected an image with filename and sentences", name)
        return
    split = image.get("split")
    try:
        for text in caption_texts(image["sentences"]):
            yield Row(name, text, split=split if isinstance(split, str) and split else None)
    except ValueError as error:
        yield malformed_row(image["sentences"], str(error), name)


def read_flickr(path: Path) -> pd.DataFrame:
    """Return one row per line: "name.jpg#0<tab>caption", "name.jpg| 0| caption" or "name.jpg,caption".

    The split comes from Flickr_8k.trainImages.txt, devImages and testImages beside the file, if they are there.
    """
    rows = list(_flickr_rows(path))
    if not rows:
        raise ValueError(f"{path} has no captions: expected lines such as name.jpg#0<tab>caption")
    splits = _flickr_splits(path.parent)
    return make_table(row._replace(split=splits.get(row.image)) for row in rows)


def head_of(path: Path) -> str:
    """Return the beginning of the file, which distinguishes the three forms of Flickr's files."""
    with open(path, "rb") as file:
        return file.read(100).decode("utf-8-sig", "replace").lower()


def _flickr_rows(path: Path) -> Iterator[Row]:
    head = head_of(path)
    form = next(
        (form for form in FLICKR_FORMS if form.header and head.startswith(form.header)), FLICKR_FORMS[-1]
    )
    with open(path, encoding=encoding_of(path)) as file:
        lines = (line.rstrip("\n") for line in file if line.strip())
        for line in islice(lines, bool(form.header), None):
            parts = form.split(line)
            yield Row(*parts) if parts else malformed_row(line, f"expected {form.shape}")


def _flickr_splits(folder: Path) -> dict[str, str]:
    """Return the split of each image that a list beside the captions names."""
    splits: dict[str, str] = {}
    for split, word in FLICKR_SPLIT_LISTS.items():
        for path in sorted(folder.glob(f"*{word}.txt")):
            lines = path.read_text(encoding=encoding_of(path)).split("\n") if path.stat().st_size else []
            splits |= dict.fromkeys(filter(None, map(str.strip, lines)), split)
    return splits


def _split_at_tab(line: str) -> tuple[str, str] | None:
    entry, tab, caption = line.partition("\t")
    image, mark, _ = entry.rpartition("#")
    return (image if mark else entry, caption) if tab else None


def _split_at_pipes(line: str) -> tuple[str, str] | None:
    cells = line.split("|", 2)
    return (cells[0], cells[2].removeprefix(" ")) if len(cells) == 3 else None


def _split_at_comma(line: str) -> tuple[str, str] | None:
    try:
        cells = next(csv.reader([line]))
    except csv.Error:
        return None
    return (cells[0], cells[1]) if len(cells) == 2 else None


class FlickrForm(NamedTuple):
    """A form of Flickr's files: how its header begins, what a line looks like, and how a line is split in two."""

    header: str
    shape: str
    split: Callable[[str], tuple[str, str] | None]


FLICKR_FORMS = (
    FlickrForm("image_name|", "name.jpg| 0| caption", _split_at_pipes),
    FlickrForm("image,caption", "name.jpg,caption", _split_at_comma),
    FlickrForm("", "name.jpg#0<tab>caption", _split_at_tab),
)
