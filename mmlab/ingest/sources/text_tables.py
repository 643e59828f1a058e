"""Comma- or tab-separated tables, row by row: a row that is broken costs itself only."""

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.decoding import encoding_of
from mmlab.ingest.sources.records import Images, broken_row, read_records
from mmlab.ingest.sources.records_columns import Columns, find_columns
from mmlab.ingest.sources.rows import Row, gather

NUMBERS = (  # whole numbers that fit into 64 bits, decimal numbers; "007", "+1" and "1e5" are names
    (r"(?:0|-?[1-9][0-9]{0,17})", int, "Int64"),
    (r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", float, "float64"),
)


def read_delimited(path: Path, columns: Mapping[str, str], blobs: Blobs, delimiters: str) -> pd.DataFrame:
    """The rows of a table with a header. A column of the user's that holds nothing but numbers is a number's.

    Of `delimiters` the one counts that the first line has most of: Excel writes ";" in half of Europe. Rows
    with too few fields are filled up with empty cells; rows with too many are malformed, as are those with a
    quote that is never closed.
    """
    with open(path, encoding=encoding_of(path), newline="") as file:
        lines = Lines(file)
        delimiter = max(delimiters, key=next(file, "").count)
        file.seek(0)
        header = _header(lines, delimiter, path)
        found = find_columns(header, columns, path)
        records = _records(lines, delimiter, len(header), found)
        rows = gather(read_records(records, found, Images(blobs, path.name)), found.own_names)
    if rows.empty:
        raise ValueError(f"{path} has a header but no rows: add one row per caption")
    for name in found.own_names:
        rows[name] = _numbers(rows[name])
    return rows


class Lines:
    """The lines of a file; those taken for a row that turns out to be broken can be given back."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.taken: list[str] = []
        self.returned: deque[str] = deque()

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.file)
        self.taken.append(line)
        return line

    def give_back(self) -> str:
        """Give back all taken lines but the first, which is returned."""
        self.returned.extendleft(reversed(self.taken[1:]))
        return self.taken[0]


def _header(lines: Lines, delimiter: str, path: Path) -> list[str]:
    try:
        return next(filter(None, csv.reader(lines, delimiter=delimiter)))
    except (StopIteration, csv.Error) as error:
        raise ValueError(f"{path}: expected a header with the names of the columns, found none") from error


def _records(lines: Lines, delimiter: str, width: int, columns: Columns) -> Iterator[list[str] | Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            cells, detail = next(reader), None
        except StopIteration:
            return
        except csv.Error:
            cells, detail = _alone(lines.give_back(), delimiter)
            del lines.taken[1:]
        if len(cells) > width:
            detail = f"{len(cells)} fields, the header has {width}"
        if any("\0" in line for line in lines.taken):
            detail = "expected text, found a NUL character"
        if detail:
            yield broken_row(cells, columns, lines.taken[0], detail)
        elif cells:
            yield cells + [""] * (width - len(cells))


def _alone(line: str, delimiter: str) -> tuple[list[str], str | None]:
    """The cells of a line that has quotes in odd places, and what is wrong if they do not end with it."""
    try:
        cells = next(csv.reader([line.rstrip("\r\n") + "\n"], delimiter=delimiter))
    except csv.Error as error:
        return [], str(error)
    closed = not cells[-1].endswith("\n")
    return [cell.rstrip("\n") for cell in cells], None if closed else "a quote is opened and never closed"


def _numbers(column: pd.Series) -> pd.Series:
    """The column as numbers where each cell that is not empty is one, written plainly."""
    present = column.dropna()
    for form, number, dtype in NUMBERS:
        if len(present) and present.str.fullmatch(form).all():
            cells = [number(cell) if isinstance(cell, str) else None for cell in column]
            return pd.Series(cells, column.index, dtype=dtype)
    return column
