"""JSON Lines: one object per line, whose names may differ from line to line."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.decoding import encoding_of
from mmlab.ingest.sources.records import Images, read_records
from mmlab.ingest.sources.records_columns import MOST, find_columns
from mmlab.ingest.sources.rows import Row, gather, malformed


def read_json_lines(path: Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """The rows of a file of JSON objects; a line that is none is a malformed row."""
    encoding = encoding_of(path)
    names = _names(path, encoding)
    found = find_columns(names, columns, path)
    records = (
        entry if isinstance(entry, Row) else [entry.get(name) for name in names]
        for entry in _entries(path, encoding)
    )
    return gather(read_records(records, found, Images(blobs, path.name)), found.own_names)


def _names(path: Path, encoding: str) -> list[str]:
    """The names in all objects, in the order of their first use; a first pass, so that memory is bounded."""
    names: dict[str, None] = {}
    objects = (entry for entry in _entries(path, encoding) if isinstance(entry, dict))
    for entry in objects:
        names.update(dict.fromkeys(islice(entry, MOST + 1)))
        if len(names) > MOST:
            raise ValueError(f"{path}: expected at most {MOST} columns, found more names than that")
    if not names:
        raise ValueError(f"{path}: expected one JSON object per line, found none")
    return list(names)


def _entries(path: Path, encoding: str) -> Iterator[dict[str, Any] | Row]:
    with open(path, encoding=encoding, newline="\n") as file:
        for line in file:
            if line.strip():
                yield _entry(line)


def _entry(line: str) -> dict[str, Any] | Row:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        return malformed(line, f"expected a JSON object, found: {error}")
    if isinstance(entry, dict):
        return entry
    return malformed(line, f"expected a JSON object, found {type(entry).__name__}")
