"""The caption files of published datasets with fixed fields: COCO, Karpathy's splits, and lists in parallel lines."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mmlab.ingest.dataset_files import list_given
from mmlab.ingest.sources.cells import (
    Part,
    Row,
    is_image_name,
    malformed_row,
    row_blocks,
    texts_of,
    usual_split,
)
from mmlab.ingest.sources.column_names import LANGUAGES, TEXT_WORDS
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.text_files import read_json, read_text
from mmlab.items.files import MAX_LIST_BYTES

COCO_ADDRESSES = ("coco_url", "flickr_url", "vizwiz_url")
FLICKR_FOLDERS = (
    "Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images", "flickr30k-images",
)  # fmt: skip
FLICKR_SPLIT_LISTS = {"train": "trainImages", "dev": "devImages", "test": "testImages"}
# the end of the name of such a list
LIST_WORDS = re.compile(r"[ ._-]*(images?|imgs?|urls?|names?|files?|list|ids?)$", re.IGNORECASE)
LINES_LOOKED_AT = 50
MAX_FOLDERS, MAX_FILES = 20, 1000  # in which lists of texts are looked for


def read_coco(path: Path) -> Part:
    """Return the captions of each image, in the images' order, then those that belong to no image.

    A file of detections gives images, each with the name of its category where it has one only.
    """
    whole = read_json(path)
    images, annotations = _coco_lists(whole, path)
    known, broken = _coco_images(images)
    captions, unknown = _coco_captions(annotations, known) if _has_captions(annotations) else ({}, [])
    labels = {} if captions else _coco_labels(whole)
    rows = [
        row
        for number, image in known.items()
        for row in _coco_rows(image, captions.get(number) or [""], labels.get(number))
    ]
    return Part(row_blocks([*rows, *broken, *unknown]))


def _coco_rows(image: dict[str, Any], captions: list[str], label: str | None) -> list[Row]:
    name, address = image["file_name"], _coco_address(image)
    return [Row(name, caption, label=label, address=address) for caption in captions]


def _has_captions(annotations: list[Any]) -> bool:
    """Return whether any annotation has a caption, or there is none that could have another field."""
    fields = [one for one in annotations if isinstance(one, dict)]
    return any("caption" in one for one in fields) or not any("category_id" in one for one in fields)


def _coco_labels(whole: dict[str, Any]) -> dict[str, str]:
    """Return the name of the category of each image that has one only, by the id of the image."""
    categories = whole.get("categories")
    names = {
        str(one.get("id")): str(one.get("name"))
        for one in (categories if isinstance(categories, list) else [])
        if isinstance(one, dict)
    }
    seen: dict[str, set[str]] = {}
    for one in whole["annotations"]:
        if isinstance(one, dict) and str(one.get("category_id")) in names:
            seen.setdefault(str(one.get("image_id")), set()).add(names[str(one["category_id"])])
    return {number: next(iter(found)) for number, found in seen.items() if len(found) == 1}


def _coco_lists(whole: Any, path: Path) -> tuple[list[Any], list[Any]]:
    fields = whole if isinstance(whole, dict) else {}
    images, annotations = fields.get("images"), fields.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise ValueError(f"{path} is not COCO: expected an object with the lists images and annotations")
    if not images:
        raise ValueError(f"{path} names no images: expected images with id and file_name")
    return images, annotations


def _coco_images(images: list[Any]) -> tuple[dict[str, dict[str, Any]], list[Row]]:
    """Return the images by their ids, and a malformed row for each entry that is none."""
    known: dict[str, dict[str, Any]] = {}
    broken = []
    for image in images:
        fields = image if isinstance(image, dict) else {}
        number, name = fields.get("id"), fields.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            broken.append(malformed_row(image, "expected an image with id and file_name"))
        elif str(number) in known:
            broken.append(malformed_row("", f"expected different ids, found {number!r} twice", name))
        else:
            known[str(number)] = fields
    return known, broken


def _coco_captions(
    annotations: list[Any], known: dict[str, dict[str, Any]]
) -> tuple[dict[str, list[str]], list[Row]]:
    """Return the captions by the ids of their images, and a malformed row for each that belongs to none."""
    captions: dict[str, list[str]] = {number: [] for number in known}
    unknown = []
    for annotation in annotations:
        try:
            number, caption = annotation["image_id"], annotation["caption"]
            usable = isinstance(number, int | str) and isinstance(caption, str)
        except (TypeError, KeyError):
            usable = False
        if not usable:
            unknown.append(malformed_row(annotation, "expected an annotation with image_id and caption"))
        elif (own := captions.get(str(number))) is not None:
            own.append(caption)
        else:
            unknown.append(malformed_row(caption, f"expected the id of an image, found image_id {number!r}"))
    return captions, unknown


def _coco_address(image: dict[str, Any]) -> str | None:
    return next(
        (image[field] for field in COCO_ADDRESSES if isinstance(image.get(field), str) and image[field]), None
    )


def read_karpathy(path: Path) -> Part:
    """Return the sentences of each image with its split, as written ("restval" stays).

    An image is named with the folder that its filepath gives.
    """
    whole = read_json(path)
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError(f"{path} is not Karpathy's: expected an object with a list of images")
    return Part(row_blocks(row for image in images for row in _karpathy_rows(image)))


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
        for text in texts_of(image["sentences"]):
            yield Row(name, text, split=usual_split(split) if isinstance(split, str) else None)
    except ValueError as error:
        yield malformed_row(image["sentences"], str(error), name)


def flickr_splits(folder: Path) -> dict[str, str]:
    """Return the split of each image that one of Flickr8k's lists in the folder names."""
    splits: dict[str, str] = {}
    files = list_given(folder, (".txt",))
    for split, word in FLICKR_SPLIT_LISTS.items():
        for path in files:
            is_list = path.name.endswith(f"{word}.txt") and path.stat().st_size
            lines = read_text(path, MAX_LIST_BYTES).split("\n") if is_list else []
            splits |= dict.fromkeys(filter(None, map(str.strip, lines)), split)
    return splits


def open_lists(path: Path) -> Table:
    """Open a list of images with the lists of their texts, line by line: Multi30k's train.txt, train.en and train.de.

    The lists of texts lie in the folder of the list of images or in one beside it, their names begin as its name does,
    and they have as many lines. Raise ValueError where there are none.
    """
    images = _lines_of(path)
    texts: dict[str, list[str]] = {}
    for other, name in _lists_beside(path):
        lines = _lines_of(other)
        if name not in texts and len(lines) == len(images):
            texts[name] = lines
    if not texts or not all(is_image_name(image) for image in images[:LINES_LOOKED_AT]):
        raise ValueError(f"{path}: it has one column, and no list of as many texts lies beside it")
    return Table(["image", *texts], zip(images, *texts.values(), strict=True))


def _lists_beside(path: Path) -> list[tuple[Path, str]]:
    """Return the files that may be lists of texts for a list of images, the shorter names first; with their columns."""
    base = LIST_WORDS.sub("", path.name.partition(".")[0])
    folders = [
        path.parent,
        *(one for one in list_given(path.parent.parent) if one.is_dir() and one != path.parent),
    ]
    found = []
    for folder in folders[:MAX_FOLDERS]:
        for other in islice(sorted(list_given(folder), key=lambda one: (len(one.name), one.name)), MAX_FILES):
            rest = re.sub(r"\.(txt|gz|bz2|zst|lst)\b", "", other.name.removeprefix(base))
            words = re.findall(r"[^\W_]+", rest)
            name = words[-1].lower() if words else ""
            is_list = name in LANGUAGES or name in TEXT_WORDS
            if other != path and other.is_file() and other.name.startswith(base) and is_list:
                found.append((other, name))
    return found


def _lines_of(path: Path) -> list[str]:
    return read_text(path, MAX_LIST_BYTES).replace("\r\n", "\n").rstrip("\n").split("\n")
