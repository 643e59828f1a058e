"""JSON in its many forms: JSON Lines, lists of objects, objects by name, and columns; whatever the suffix says."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mmlab.ingest.sources.cells import Row, is_image_name, malformed_row
from mmlab.ingest.sources.column_names import IMAGE_NAMES, MAX_COLUMNS, normalized
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.text_files import open_text, read_json
from mmlab.items.files import MAX_LINE_CHARS

VIA_FIELDS = ("file_attributes", "regions")
VIA_IMAGES = "_via_img_metadata"  # in a project of the VGG Image Annotator
KEY = "key"  # the column of the names of objects; only what they look like shows whether images have them
LIST_FIELDS = ("annotations", "data", "images", "samples", "items", "rows", "records", "captions", "entries", "train",
               "val", "test", "results", "dataset")  # fmt: skip


def open_json(path: Path) -> Table:
    """Open a JSON file as a table, one record for each object."""
    if _has_lines(path):
        names = _object_names(path, _line_entries(path))
        return Table(names, _records(_line_entries(path), names))
    entries, notes = _entries_of(read_json(path), path)
    names = _object_names(path, iter(entries))
    return Table(names, _records(iter(entries), names), notes=notes)


def _has_lines(path: Path) -> bool:
    """Return whether the first line is an object of its own, or cannot be read while the next one can."""
    with open_text(path) as file:
        lines = (line for line in _lines(file) if line.strip())
        first, second = next(lines, ""), next(lines, "")
    if first.lstrip("\ufeff \t").startswith("{") and _is_object(first):
        return bool(second.strip())
    return second.lstrip().startswith("{") and _is_object(second) and first.strip("\ufeff \t\r\n") != "["


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(file: Any) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARS):
        yield line


def _line_entries(path: Path) -> Iterator[Any]:
    with open_text(path) as file:
        for line in _lines(file):
            if line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield malformed_row(line, f"expected a JSON object, found: {error}")


def _entries_of(whole: Any, path: Path) -> tuple[list[Any], tuple[str, ...]]:
    """Return the entries of a file, objects as far as it can be seen, and what was guessed."""
    if isinstance(whole, dict) and _names_image(whole):
        return [_flat(whole)], ()
    if isinstance(whole, dict):
        whole, notes = _list_inside(whole)
        if isinstance(whole, dict):
            return _entries_by_name(whole), ("its objects lie by name",)
        return whole, notes
    if not isinstance(whole, list):
        raise ValueError(
            f"{path}: expected a list of objects, or objects by name, found {type(whole).__name__}"
        )
    return [_flat(one) for one in whole], ()


def _list_inside(whole: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return the list of entries that an object holds, or the object itself where it holds them by name."""
    if isinstance(whole.get(VIA_IMAGES), dict):
        return whole[VIA_IMAGES], ()
    columns = {name: cells for name, cells in whole.items() if isinstance(cells, list | dict) and cells}
    names = {normalized(name) for name in columns}
    if columns and names & {*IMAGE_NAMES} and len({len(cells) for cells in columns.values()}) == 1:
        return _from_columns(columns), ("it holds columns",)
    if isinstance(whole.get("columns"), list) and isinstance(whole.get("data"), list):
        return [dict(zip(map(str, whole["columns"]), row, strict=False)) if isinstance(row, list) else row
                for row in whole["data"]], ()  # fmt: skip
    lists = [name for name in LIST_FIELDS if _holds_objects(whole.get(name))]
    splits = [name for name in lists if name in ("train", "val", "test")]
    if splits:
        return [
            {"split": name, **one} if isinstance(one, dict) else one for name in splits for one in whole[name]
        ], ()
    if lists:
        return [_flat(one) for one in whole[lists[0]]], (f"its entries are those of {lists[0]}",)
    if isinstance(whole.get("labels"), dict) and "classes" in whole:
        return _labelled(whole), ()
    return whole, ()


def _holds_objects(cells: Any) -> bool:
    return isinstance(cells, list) and any(isinstance(one, dict) for one in cells[:50])


def _from_columns(columns: Mapping[str, Any]) -> list[Any]:
    """Return objects for columns, each a list or, as pandas writes them, an object by number."""
    by_number = {name: cells for name, cells in columns.items() if isinstance(cells, dict)}
    if not by_number:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    numbers = next(iter(by_number.values()))
    return [{name: cells.get(number) for name, cells in by_number.items()} for number in numbers]


def _labelled(whole: dict[str, Any]) -> list[Any]:
    """Return the entries of FiftyOne's labels.json: names without suffix, and the numbers of their classes."""
    classes = whole["classes"] if isinstance(whole["classes"], list) else []
    return [
        {KEY: name, "label": classes[one] if isinstance(one, int) and 0 <= one < len(classes) else one}
        for name, one in whole["labels"].items()
    ]


def _entries_by_name(whole: dict[str, Any]) -> list[Any]:
    """Return an object for each name: a name of an image, or any key of an object that has one itself."""
    return [
        _flat(value)
        if isinstance(value, dict) and _names_image(value)
        else {KEY: name, **value}
        if isinstance(value, dict)
        else {KEY: name, "caption": value}
        for name, value in whole.items()
    ]


def _names_image(value: dict[str, Any]) -> bool:
    """Return whether an object names its image, or several in numbered fields."""
    names = {
        re.sub(r"_\d+$", "", normalized(name)): cell for name, cell in value.items() if isinstance(cell, str)
    }
    return any(name in IMAGE_NAMES and (name != "url" or is_image_name(cell)) for name, cell in names.items())


def _flat(entry: Any) -> Any:
    """Return an entry with the fields of its `data`, and the texts that Label Studio's people wrote for it.

    What people wrote about an image in the VGG Image Annotator are its `file_attributes`.
    """
    written = entry.get("file_attributes") if isinstance(entry, dict) else None
    if isinstance(written, dict):
        return {name: cell for name, cell in entry.items() if name not in VIA_FIELDS} | written
    data = entry.get("data") if isinstance(entry, dict) else None
    if not isinstance(data, dict):
        return entry
    texts = [
        text
        for annotation in entry.get("annotations") or [] if isinstance(annotation, dict)
        for result in annotation.get("result") or [] if isinstance(result, dict)
        for value in [result.get("value")] if isinstance(value, dict)
        for texts in [value.get("text")] if isinstance(texts, list)
        for text in texts if isinstance(text, str)
    ]  # fmt: skip
    return {**data, "caption": texts} if texts else data


def _object_names(path: Path, entries: Iterator[Any]) -> list[str]:
    """Return the names in all objects, in the order of first use; a pass of its own, so that memory is bounded."""
    names: dict[str, None] = {}
    for entry in entries:
        if isinstance(entry, dict):
            names.update(dict.fromkeys(islice(entry, MAX_COLUMNS + 1)))
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{path}: expected at most {MAX_COLUMNS} columns, found more")
    if not names:
        raise ValueError(f"{path}: expected JSON objects, a list of them or one per line, found none")
    return list(names)


def _records(entries: Iterator[Any], names: list[str]) -> Iterator[list[Any] | Row]:
    for entry in entries:
        if isinstance(entry, dict):
            yield [entry.get(name) for name in names]
        elif isinstance(entry, Row):
            yield entry
        else:
            yield malformed_row(entry, f"expected a JSON object, found {type(entry).__name__}")
