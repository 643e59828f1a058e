"""Karpathy's splits of Flickr8k, Flickr30k and COCO: dataset_*.json with images[].sentences[].raw."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.ingest.sources.cells import texts_of
from mmlab.ingest.sources.dataset_files import place_images
from mmlab.ingest.sources.decoding import read_json
from mmlab.ingest.sources.flickr import FOLDERS
from mmlab.ingest.sources.rows import Row, gather, malformed


def read_karpathy(path: Path, root: Path) -> tuple[Path, pd.DataFrame]:
    """The sentences of each image with its split, as written ("restval" stays).

    The images are looked for where those of Flickr are, and in the folder that an image's filepath names.
    """
    whole = read_json(path)
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError(f"{path} is not Karpathy's: expected an object with a list of images")
    names = [name for image in images for name in _names(image)]
    root, places = place_images(names, path, root, FOLDERS)
    return root, gather(row for image in images for row in _rows(image, places))


def _names(image: Any) -> list[str]:
    """The names that the image may have, the fullest first; none where the entry is broken."""
    name = image.get("filename") if isinstance(image, dict) else None
    if not isinstance(name, str):
        return []
    folder = image.get("filepath")
    return [f"{folder}/{name}", name] if isinstance(folder, str) and folder else [name]


def _rows(image: Any, places: dict[str, str]) -> Iterator[Row]:
    names = _names(image)
    if not names or not isinstance(image.get("sentences"), list):
        yield malformed(image, "expected an image with filename and sentences", *names[:1])
        return
    name = next((places[name] for name in names if name in places), names[0])
    split = image.get("split")
    try:
        for text in texts_of(image["sentences"]):
            yield Row(name, text, split=split if isinstance(split, str) and split else None)
    except ValueError as error:
        yield malformed(image["sentences"], str(error), name)
