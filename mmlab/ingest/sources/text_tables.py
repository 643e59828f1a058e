"""Tables in text files: csv, tsv and JSON Lines, read row by row; a row that is broken costs only itself."""

import csv
import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.records import (
    MAX_COLUMNS,
    ColumnMap,
    TableImages,
    broken_record,
    map_columns,
    read_records,
)
from mmlab.ingest.sources.rows import Row, make_table, malformed_row
from mmlab.ingest.sources.text_files import encoding_of

NUMBERS = (  # whole numbers that fit into 64 bits, decimal numbers; "007", "+1" and "1e5" are names
    (r"(?:0|-?[1-9][0-9]{0,17})", int, "Int64"),
    (r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", float, "float64"),
)


def read_delimited(path: Path, columns: Mapping[str, str], blobs: Blobs, delimiters: str) -> pd.DataFrame:
    """Return the rows of a table with a header; a user's column that holds nothing but numbers becomes numeric.

    The delimiter is the one of `delimiters` that occurs most in the first line: Excel writes ";" in half of Europe.
    Rows with too few fields are filled up with empty cells. Rows with too many are malformed, as are those with a
    quote that is never closed.
    """
    with open(path, encoding=encoding_of(path), newline="") as file:
        lines = ReturnableLines(file)
        delimiter = max(delimiters, key=next(file, "").count)
        file.seek(0)
        header = _read_header(lines, delimiter, path)
        mapped = map_columns(header, columns, path)
        records = _delimited_records(lines, delimiter, len(header), mapped)
        rows = make_table(read_records(records, mapped, TableImages(blobs, path.name)), mapped.user_names)
    if rows.empty:
        raise ValueError(f"{path} has a header but no rows: add one row per caption")
    for name in mapped.user_names:
        rows[name] = _as_numbers(rows[name])
    return rows


class ReturnableLines:
    """The lines of a file; lines taken for a row that turns out to be broken can be given back."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.taken: list[str] = []
        self.returned: deque[str] = deque()

    def __iter__(self) -> "ReturnableLines":
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.file)
        self.taken.append(line)
        return line

    def give_back(self) -> str:
        """Give back all taken lines but the first; return the first."""
        self.returned.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]
        return self.taken[0]


def _read_header(lines: ReturnableLines, delimiter: str, path: Path) -> list[str]:
    try:
        return next(filter(None, csv.reader(lines, delimiter=delimiter)))
    except (StopIteration, csv.Error) as error:
        raise ValueError(f"{path}: expected a header with the names of the columns, found none") from error


def _delimited_records(
    lines: ReturnableLines, delimiter: str, width: int, columns: ColumnMap
) -> Iterator[list[str] | Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            cells, detail = next(reader), None
        except StopIteration:
            return
        except csv.Error:
            cells, detail = _split_line(lines.give_back(), delimiter)
        if len(cells) > width:
            detail = f"{len(cells)} fields, the header has {width}"
        if any("\0" in line for line in lines.taken):
            detail = "expected text, found a NUL character"
        if detail:
            yield broken_record(cells, columns, lines.taken[0], detail)
        elif cells:
            yield cells + [""] * (width - len(cells))


def _split_line(line: str, delimiter: str) -> tuple[list[str], str | None]:
    """Return the cells of a single line with quotes in odd places, and the problem if a quote stays open."""
    try:
        cells = next(csv.reader([line.rstrip("\r\n") + "\n"], delimiter=delimiter))
    except csv.Error as error:
        return [], str(error)
    closed = not cells[-1].endswith("\n")
    return [cell.rstrip("\n") for cell in cells], None if closed else "a quote is opened and never closed"


def _as_numbers(column: pd.Series) -> pd.Series:
    """Return the column as numbers if every cell that is not empty is one, written plainly."""
    present = column.dropna()
    for form, number, dtype in NUMBERS:
        if len(present) and present.str.fullmatch(form).all():
            cells = [number(cell) if isinstance(cell, str) else None for cell in column]
            return pd.Series(cells, column.index, dtype=dtype)
    return column


def read_json_lines(path: Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """Return the rows of a file with one JSON object a line, whose names may differ; other lines are malformed."""
    encoding = encoding_of(path)
    names = _object_names(path, encoding)
    mapped = map_columns(names, columns, path)
    records = (
        entry if isinstance(entry, Row) else [entry.get(name) for name in names]
        for entry in _json_entries(path, encoding)
    )
    return make_table(read_records(records, mapped, TableImages(blobs, path.name)), mapped.user_names)


def _object_names(path: Path, encoding: str) -> list[str]:
    """Return the names in all objects, in the order of first use; a pass of its own, so that memory is bounded."""
    names: dict[str, None] = {}
    objects = (entry for entry in _json_entries(path, encoding) if isinstance(entry, dict))
    for entry in objects:
        names.update(dict.fromkeys(islice(entry, MAX_COLUMNS + 1)))
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{path}: expected at most {MAX_COLUMNS} columns, found more names than that")
    if not names:
        raise ValueError(f"{path}: expected one JSON object per line, found none")
    return list(names)


def _json_entries(path: Path, encoding: str) -> Iterator[dict[str, Any] | Row]:
    with open(path, encoding=encoding, newline="\n") as file:
        for line in file:
            if line.strip():
                yield _json_entry(line)


def _json_entry(line: str) -> dict[str, Any] | Row:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        return malformed_row(line, f"expected a JSON object, found: {error}")
    if isinstance(entry, dict):
        return entry
    return malformed_row(line, f"expected a JSON object, found {type(entry).__name__}")
