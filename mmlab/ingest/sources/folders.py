"""Folders of images: with a text file for each image, beside it or in a folder of texts, or without any text."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mmlab.ingest.dataset_files import KIND_FOLDERS
from mmlab.ingest.sources.column_names import map_columns
from mmlab.ingest.sources.records import NoBlobs, Table, read_records
from mmlab.ingest.sources.rows import Part, Row, malformed_row, split_in
from mmlab.ingest.sources.text_files import read_text
from mmlab.items.limits import MAX_SIDECAR_BYTES

# of a file beside an image, the preferred first
TEXT_SUFFIXES = (".caption", ".txt", ".text", ".cap", ".json")
WRAPPED_CHARS = range(50, 131)  # of the longest line of a text whose lines an editor broke
SHARD = re.compile(r"\d{5}")  # as img2dataset numbers them, no label
NUMBERS_ONLY = re.compile(r"[\d\s.,;:eE+-]*")  # boxes and classes, no text


class FolderTags(NamedTuple):
    """What the names of the folders say about an image."""

    label: str | None
    split: str | None


def read_images(names: Sequence[str]) -> Part:
    """Return one row per image, without captions, tagged by `folder_tags`."""
    return Part([Row(name, **tags._asdict()) for name, tags in zip(names, folder_tags(names), strict=True)])


def read_sidecars(names: Sequence[str], texts: Mapping[str, Path]) -> Part:
    """Return the rows of each image, by the texts of the file that belongs to it, if any.

    The paragraphs and lines of a text file are texts (`texts_in`); of a JSON file, those that a table would give.
    """
    rows = [
        row._replace(label=row.label or tags.label, split=row.split or tags.split)
        for name, tags in zip(names, folder_tags(names), strict=True)
        for row in (_rows_of(name, texts[name]) if name in texts else [Row(name)])
    ]
    return Part(rows)


def match_texts(names: Sequence[str], others: Iterable[str]) -> dict[str, str]:
    """Return the text file of each image that has one: beside it, in a folder of texts, or anywhere by its name.

    >>> match_texts(["a/1.jpg", "images/2.png"], ["a/1.txt", "captions/2.TXT", "readme.txt"])
    {'a/1.jpg': 'a/1.txt', 'images/2.png': 'captions/2.TXT'}
    """
    beside: dict[str, str] = {}
    apart: dict[str, str] = {}
    rank = {suffix: number for number, suffix in enumerate(TEXT_SUFFIXES)}
    files = [name for name in others if _suffix(name) in rank]
    for name in sorted(files, key=lambda name: rank[_suffix(name)], reverse=True):
        stem = os.path.splitext(name)[0]
        beside[stem] = name
        apart[_without_kind(stem)] = name
    found = {}
    for name in names:
        stem = os.path.splitext(name)[0]
        text = (
            beside.get(name)
            or beside.get(stem)
            or apart.get(_without_kind(name))
            or apart.get(_without_kind(stem))
        )
        if text:
            found[name] = text
    return found or _match_by_stem(list(names), files)


def _match_by_stem(names: list[str], files: list[str]) -> dict[str, str]:
    """Return the text file of each image by its name without folders, where most of several have one of their own."""
    images, texts = (
        {os.path.splitext(os.path.basename(name))[0]: name for name in some} for some in (names, files)
    )
    found = {images[stem]: texts[stem] for stem in images.keys() & texts.keys()}
    unique = len(images) == len(names) and len(texts) == len(files)
    return found if unique and len(found) > 1 and len(found) * 2 > len(names) else {}


def are_texts(paths: Iterable[Path]) -> bool:
    """Return whether any of these files holds more than numbers."""
    return any(not NUMBERS_ONLY.fullmatch(_content(path)) for path in paths)


def texts_in(content: str) -> list[str]:
    r"""Return the texts in a file that belongs to one image.

    Each line is a text of its own, but lines that an editor broke are one: where each is filled, so that the first
    word of the next has no room in it, and goes on in the next, which begins with a small letter, or does not end
    there, in scripts without them. A paragraph never goes on after an empty line.

    >>> texts_in("A dog runs.\nA brown dog on grass.\n")
    ['A dog runs.', 'A brown dog on grass.']
    """
    paragraphs = re.split(r"\n[ \t\r]*\n", content.replace("\r\n", "\n").replace("\r", "\n"))
    texts: list[str] = []
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
        texts += [" ".join(lines)] if _is_wrapped(lines) else lines
    return texts


def _is_wrapped(lines: list[str]) -> bool:
    pairs = list(pairwise(lines))
    width = max(map(len, lines), default=0)
    if not pairs or width not in WRAPPED_CHARS:
        return False
    filled = all(len(line) + 1 + len(after.split()[0]) > width for line, after in pairs)
    return filled and any(after[0].islower() and line[-1] not in ".!?" for line, after in pairs)


def folder_tags(names: Sequence[str]) -> list[FolderTags]:
    """Return label and split of each image: where all images lie in subfolders, the first of these is the label.

    Where the first subfolders are all named train, val, test or alike, they are the split and the second is the
    label. Folders that hold everything, and those named images or alike, are no label.

    >>> folder_tags(["train/cats/1.jpg", "test/dogs/2.jpg"])
    [FolderTags(label='cats', split='train'), FolderTags(label='dogs', split='test')]
    """
    above = _folders_of_all(names)
    folders = [name.split("/")[above:-1] for name in names]
    folders = [[part for part in parts if part.lower() not in KIND_FOLDERS] for parts in folders]
    splits: list[str | None] = [None] * len(names)
    if folders and all(parts and split_in(parts[0]) for parts in folders):
        splits = [split_in(parts[0]) for parts in folders]
        folders = [parts[1:] for parts in folders]
    several = all(folders) and len({parts[0] for parts in folders}) > 1
    labels = [parts[0] if several and not SHARD.fullmatch(parts[0]) else None for parts in folders]
    return [FolderTags(label, split) for label, split in zip(labels, splits, strict=True)]


def _folders_of_all(names: Sequence[str]) -> int:
    """Return how many folders hold everything, one inside the other, without the last if they name a split."""
    common = os.path.commonpath([os.path.dirname(name) for name in (min(names), max(names))]) if names else ""
    above = common.split("/") if common else []
    while above and split_in(above[-1]):
        above.pop()
    return len(above)


def _rows_of(name: str, path: Path) -> list[Row]:
    if not path.is_file() or not path.stat().st_size:
        return [Row(name)]
    try:
        content = read_text(path, MAX_SIDECAR_BYTES)
        if path.suffix.lower() == ".json":
            return _rows_of_json(name, json.loads(content))
        return [Row(name, one) for one in texts_in(content)] or [Row(name)]
    except (ValueError, RecursionError) as error:
        return [malformed_row("", str(error), name)]


def _rows_of_json(name: str, entry: Any) -> list[Row]:
    """Return the rows of a JSON file beside an image: an object, a list of texts, or one text."""
    fields = (
        {
            "image": name,
            **entry,
        }
        if isinstance(entry, dict)
        else {"image": name, "caption": entry}
    )
    fields["image"] = name
    columns = map_columns(list(fields), {"image": ["image"]}, name, [list(fields.values())])
    table = Table(columns.names, iter(()))
    rows = read_records([list(fields.values())], columns, NoBlobs(), table)
    return [row._replace(user_values=()) for row in rows]


def _content(path: Path) -> str:
    try:
        return read_text(path, MAX_SIDECAR_BYTES)
    except (ValueError, OSError):
        return ""


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _without_kind(stem: str) -> str:
    return "/".join(part for part in stem.split("/") if part.lower() not in KIND_FOLDERS)
