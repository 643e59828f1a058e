"""COCO captions: images with id and file_name, annotations with image_id and caption."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.ingest.sources.dataset_files import place_images
from mmlab.ingest.sources.decoding import read_json
from mmlab.ingest.sources.rows import Row, gather, malformed

SPLIT = re.compile(r"(?<![a-z])(train|validation|val|test|dev)(?![a-z])")
ADDRESSES = ("coco_url", "flickr_url")


def read_coco(path: Path, root: Path) -> tuple[Path, pd.DataFrame]:
    """The captions of each image, in the images' order, then the annotations that belong to none.

    The images are looked for beside the file, in the folder above, in one named like the file's suffix
    (captions_val2017.json: val2017/) and in images/. Those not found are at their coco_url or flickr_url.
    """
    images, annotations = _parts(path)
    suffix = path.stem.removeprefix("captions_")
    word = SPLIT.search(suffix.lower())
    known, broken = _known(images)
    captions, unknown = _captions(annotations, known)
    names = [image["file_name"] for image in known.values()]
    root, places = place_images(names, path, root, (suffix, "images"))
    rows = [
        Row(_image(image, places), caption, split=word and word[0])
        for number, image in known.items()
        for caption in captions.get(number, [""])
    ]
    return root, gather(rows + broken + unknown)


def _parts(path: Path) -> tuple[list[Any], list[Any]]:
    whole = read_json(path)
    parts = [whole.get(name) for name in ("images", "annotations")] if isinstance(whole, dict) else [None]
    if not all(isinstance(part, list) for part in parts):
        raise ValueError(f"{path} is not COCO: expected an object with the lists images and annotations")
    images, annotations = parts
    if not images:
        raise ValueError(f"{path} names no images: expected images with id and file_name")
    if annotations and not any(isinstance(one, dict) and "caption" in one for one in annotations):
        raise ValueError(f"{path} has annotations without captions: take the file captions_*.json")
    return images, annotations


def _known(images: list[Any]) -> tuple[dict[int | str, dict[str, Any]], list[Row]]:
    known, broken = {}, []
    for image in images:
        fields = image if isinstance(image, dict) else {}
        number, name = fields.get("id"), fields.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            broken.append(malformed(image, "expected an image with id and file_name"))
        elif number in known:
            broken.append(malformed("", f"expected different ids, found {number!r} twice", name))
        else:
            known[number] = fields
    return known, broken


def _captions(
    annotations: list[Any], known: dict[int | str, dict[str, Any]]
) -> tuple[dict[int | str, list[str]], list[Row]]:
    captions: dict[int | str, list[str]] = {}
    unknown = []
    for annotation in annotations:
        fields = annotation if isinstance(annotation, dict) else {}
        number, caption = fields.get("image_id"), fields.get("caption")
        if not isinstance(number, int | str) or not isinstance(caption, str):
            unknown.append(malformed(annotation, "expected an annotation with image_id and caption"))
        elif number not in known:
            unknown.append(malformed(caption, f"expected the id of an image, found image_id {number!r}"))
        else:
            captions.setdefault(number, []).append(caption)
    return captions, unknown


def _image(image: dict[str, Any], places: dict[str, str]) -> str:
    name = image["file_name"]
    addresses = [image[field] for field in ADDRESSES if isinstance(image.get(field), str) and image[field]]
    return places.get(name) or next(iter(addresses), name)
