"""Tables in text files and of spreadsheets: in any dialect, read row by row; a row that is broken costs only itself."""

import csv
import os
import re
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple, TextIO
from xml.parsers import expat

from mmlab.ingest.dataset_files import open_given
from mmlab.ingest.sources.cells import NUMBERED_CAPTION, Row, is_encoded_image, is_image_name, malformed_row
from mmlab.ingest.sources.column_names import IMAGE_NAMES, normalized
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.text_files import open_text, plain_suffix
from mmlab.items.files import ALWAYS_READ_CELLS, CELLS_PER_CELL, MAX_LINE_CHARS, most_unpacked

DELIMITERS = (",", ";", "\t", "|")  # in the order in which they are taken where several fit as well
MAX_ROW_CHARS = csv.field_size_limit()  # of a row; more is no row of captions
MAX_RECORD_LINES = 1000  # of a quoted text; a quote that is open for longer was never closed
LINES_LOOKED_AT = 50
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's
MIN_ID_CHARS = 4  # of an id in the first row that shows that it is no header
# Types of the records of .xlsb; cells come after FIRST_RECORD.
ROW_RECORD, CELL_RECORDS, FIRST_RECORD = 0, range(1, 12), 145
NUMBERED = re.compile(r"(?=[^\d]{0,100}\d)[\w.-]{1,200}")  # an id


class Dialect(NamedTuple):
    """The form of a table: what divides its cells, its names or None without a header, and how a row begins.

    place: of the image in a row, from the left or, if negative, from the right; None where it is not seen.
    """

    delimiter: str
    names: list[str]
    headed: bool
    place: int | None

    def begins_row(self, line: str) -> bool:
        """Return whether a line looks like a row of its own, so that it cannot belong to the row before."""
        cells = line.strip().split(self.delimiter)
        if self.place is None:
            return len(cells) == len(self.names) > 1 and NUMBERED.fullmatch(cells[0]) is not None
        if not -len(cells) <= self.place < len(cells) or len(cells) == 1:
            return False
        whole = self.place == 0 or line.count('"') % 2 == 0
        return whole and is_image_name(cells[self.place].strip('" '))


def open_delimited(path: Path) -> Table:
    """Open a table whose cells are divided by commas, semicolons, tabs or bars, with or without a header.

    Rows with too few cells are filled up. A quote that is never closed is a letter like others: no row takes in
    another.
    """
    with open_text(path) as file:
        head = list(islice(_bounded_lines(file), LINES_LOOKED_AT))
    dialect, begin = _dialect_of(head, path)
    notes = () if dialect.headed else ("it has no header",)
    records = _delimited_records(path, dialect, begin)
    return Table(
        dialect.names, records, dialect.delimiter, dialect.delimiter == "|" or not dialect.headed, notes
    )


def _dialect_of(head: list[str], path: Path) -> tuple[Dialect, int]:
    """Return the dialect, and how many lines go before the first row."""
    begin = 0
    while begin < len(head) and (not head[begin].strip() or _is_comment(head[begin])):
        begin += 1
    separator = SEPARATOR_LINE.fullmatch(head[begin].strip("\ufeff")) if begin < len(head) else None
    begin += bool(separator)
    lines = [line for line in head[begin:] if line.strip()]
    if not lines or len(lines[0]) > MAX_ROW_CHARS:
        raise ValueError(f"{path}: expected a header with the names of the columns, found none")
    is_token = ".token" in path.suffixes
    delimiter = separator[1] if separator else "\t" if is_token else _delimiter_of(lines, path)
    rows = [split_line(line, delimiter)[0] for line in lines]
    named = any(is_image_name(cell) or is_encoded_image(cell) for cell in rows[0])
    headed = not (is_token or named or _continues(rows))
    width = len(rows[0]) if headed else min((len(row) for row in rows if len(row) > 1), default=1)
    names = rows[0] if headed else [f"column_{number}" for number in range(1, width + 1)]
    names[0] = names[0].removeprefix("#")
    return Dialect(delimiter, names, headed, _image_place(rows[headed:])), begin + headed


def _continues(rows: list[list[str]]) -> bool:
    """Return whether the first row is like all others, so that it is no header: ids that differ in their numbers."""
    shapes = [[re.sub(r"\d+", "#", cell.strip()) for cell in row] for row in rows]
    return len(rows) > 1 and any(
        len(rows[0][place]) >= MIN_ID_CHARS and "#" in shape and " " not in shape
        and all(len(row) > place and row[place] == shape for row in shapes)
        for place, shape in enumerate(shapes[0])
    )  # fmt: skip


def _is_comment(line: str) -> bool:
    """Return whether a line is a comment; a header may begin with # too."""
    if line[:1] not in ("#", "\ufeff") or not line.lstrip("\ufeff").startswith("#"):
        return False
    words = re.split(r"[,;\t|]", line.lstrip("\ufeff# "))
    return not {normalized(word) for word in words} & {*IMAGE_NAMES}


def _delimiter_of(lines: list[str], path: Path) -> str:
    """Return the delimiter that divides most lines into as many cells, then the one that sets images apart."""
    order = ("\t", *DELIMITERS) if plain_suffix(path) in (".tsv", ".tab") else DELIMITERS

    def fit(delimiter: str) -> tuple[int, int]:
        rows = [split_line(line, delimiter)[0] for line in lines[:LINES_LOOKED_AT]]
        rows = [row for row in rows if len(row) > 1]
        most = max(Counter(map(len, rows)).values(), default=0)
        return most, sum(any(map(is_image_name, row)) for row in rows)

    best = max(order, key=fit)
    named = [line.partition(" ")[0] for line in lines]
    return " " if fit(best)[0] == 0 and all(map(is_image_of_line, named)) else best


def is_image_of_line(word: str) -> bool:
    """Return whether the first word of a line names an image: a.jpg, a.jpg#0, or an id as 1000092795#zhb#0."""
    return is_image_name(word) or NUMBERED_CAPTION.fullmatch(word) is not None


def _image_place(rows: list[list[str]]) -> int | None:
    """Return where most rows have the name of an image: 0 or another place from the left, -1 at the end."""
    rows = [row for row in rows if len(row) > 1]
    for place in (0, -1, 1, 2, 3):
        seen = sum(len(row) > max(place, 0) and is_image_name(row[place]) for row in rows)
        if rows and seen > len(rows) / 2:
            return place
    return None


def _bounded_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file; one that is too long is cut after one character too many, its rest skipped."""
    while line := file.readline(MAX_ROW_CHARS + 1):
        if len(line) > MAX_ROW_CHARS and _holds_image(line):
            line += file.readline(MAX_LINE_CHARS)
            yield line
            continue
        rest = line
        while len(rest) > MAX_ROW_CHARS and not rest.endswith("\n"):
            rest = file.readline(MAX_ROW_CHARS + 1)
        yield line


def _holds_image(line: str) -> bool:
    return any(map(is_encoded_image, re.split(r"[,;\t|]", line)))


class _Lines:
    """The lines of a file; those taken for a row that turns out to be broken can be given back."""

    def __init__(self, lines: Iterator[str], begins_row: Callable[[str], bool]) -> None:
        self.lines, self.begins_row = lines, begins_row
        self.returned: deque[str] = deque()
        self.known = 0  # how many of the returned lines were looked through for the end of a quote, in vain

    def next(self) -> str | None:
        self.known = max(self.known - 1, 0)
        return self.returned.popleft() if self.returned else next(self.lines, None)

    def quoted_record(self, first: str, delimiter: str) -> list[str] | None:
        """Return the cells of a record of several lines; None, and the lines given back, where no quote ends it."""
        taken: list[str] = []

        def feed() -> Iterator[str]:
            yield first
            while len(taken) < MAX_RECORD_LINES and (line := self.next()) is not None:
                taken.append(line)
                if self.begins_row(line):
                    return
                yield line

        if self.known:
            return None
        try:
            return next(csv.reader(feed(), delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            self.known = len(taken) if len(taken) == MAX_RECORD_LINES else 0
            self.returned.extendleft(reversed(taken))
            return None


def _delimited_records(path: Path, dialect: Dialect, begin: int) -> Iterator[list[str] | Row]:
    with open_text(path) as file:
        lines = _Lines(islice(_bounded_lines(file), begin, None), dialect.begins_row)
        while (line := lines.next()) is not None:
            if len(line) > MAX_ROW_CHARS and not _holds_image(line):
                yield malformed_row(
                    line, f"expected at most {MAX_ROW_CHARS:,} characters in a row, found more"
                )
            elif "\0" in line:
                yield _with_nul(line, dialect)
            elif line.strip() and not _is_comment(line):
                cells = _cells_of(line, lines, dialect)
                if not (
                    dialect.headed and cells == dialect.names
                ):  # the header again, of a table that was joined
                    yield cells


def _with_nul(line: str, dialect: Dialect) -> Row:
    cells = line.strip("\r\n").split(dialect.delimiter)
    image = cells[dialect.place or 0] if len(cells) > (dialect.place or 0) else ""
    return malformed_row(line, "expected text, found a NUL character", image)


def _cells_of(line: str, lines: _Lines, dialect: Dialect) -> list[str]:
    if '"' not in line:
        return line.rstrip("\r\n").split(dialect.delimiter)
    cells, is_open = split_line(line, dialect.delimiter)
    if not is_open:
        return cells
    return lines.quoted_record(line, dialect.delimiter) or [
        *cells[:-1], *cells[-1].split(dialect.delimiter)
    ]  # fmt: skip


def split_line(line: str, delimiter: str) -> tuple[list[str], bool]:
    """Return the cells of a line, quotes in odd places read as spreadsheets do, and whether a quote stays open."""
    line = line.rstrip("\r\n")
    if '"' not in line:
        return line.split(delimiter), False
    try:
        cells = next(csv.reader([line + "\n"], delimiter=delimiter))
    except csv.Error:  # a carriage return outside of quotes, or a cell that is too long
        return line.split(delimiter), False
    return [cell.rstrip("\n") for cell in cells], cells[-1].endswith("\n")


def open_excel(path: Path) -> Table:
    """Open the first sheet of a workbook that has any rows; a first row with names is its header."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise ModuleNotFoundError(f'{path.name}: to read it, pip install "mmlab[excel]"') from error
    try:
        with open_given(path) as file:
            _check_sheets(file)
            workbook = CalamineWorkbook.from_filelike(file)
        sheets = (
            workbook.get_sheet_by_name(name).to_python(skip_empty_area=True) for name in workbook.sheet_names
        )
        rows = next((sheet for sheet in sheets if sheet), [])
    except (CalamineError, zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is not a workbook that can be read ({str(error)[:200]})") from error
    if not rows:
        raise ValueError(f"{path} has no rows: expected a header and one row per caption")
    headed = not any(is_image_name(cell) for cell in rows[0] if isinstance(cell, str))
    names = (
        [str(cell) for cell in rows[0]]
        if headed
        else [f"column_{place}" for place in range(1, len(rows[0]) + 1)]
    )
    cells = ([_whole(cell) for cell in row] for row in rows[headed:] if any(cell != "" for cell in row))
    return Table(names, cells, notes=() if headed else ("it has no header",))


def _check_sheets(file: BinaryIO) -> None:
    """Raise ValueError where a workbook unpacks to far more than it holds, or its cells span far more than there are.

    Whatever lies between the first and the last cell of a sheet is in memory once it is read. A sheet of the old .xls
    has at most 65,536 rows and 256 columns.
    """
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        most = most_unpacked(file.seek(0, os.SEEK_END))
        if sum(member.file_size for member in archive.infolist()) > most:
            raise ValueError(f"more than {most:,} bytes come out of it: save its sheet as csv")
        for member in archive.infolist():
            suffix = PurePosixPath(member.filename.lower()).suffix
            if suffix in SPANS:
                with archive.open(member) as sheet:
                    _check_span(SPANS[suffix](sheet))
    file.seek(0)


def _check_span(span: "Span") -> None:
    if span.rows * span.columns > max(ALWAYS_READ_CELLS, CELLS_PER_CELL * span.cells):
        raise ValueError(
            f"{span.cells:,} cells span {span.rows:,} rows and {span.columns:,} columns: save its sheet as csv"
        )


@dataclass
class Span:
    """How many rows and columns the cells of a sheet span, and how many cells hold something."""

    rows: int = 0
    columns: int = 0
    cells: int = 0
    blank_rows: int = 0  # that count once a row below them holds something
    row_repeats: int = 1
    row_columns: int = 0
    blank_columns: int = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Count an element of a sheet: of Excel, where cells have places, or of OpenDocument, where they repeat."""
        kind = name.rpartition(":")[2]
        own = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        if kind in ("c", "row"):
            self._count_placed(own.get("r", ""))
        elif kind == "table-row":
            self.row_repeats, self.row_columns, self.blank_columns = _number(own, "rows"), 0, 0
        elif kind in ("table-cell", "covered-table-cell"):
            self._count_repeated(_number(own, "columns"), "value-type" in own)

    def end(self, name: str) -> None:
        """Count a row of OpenDocument that ends; blank rows at the end of a sheet are not read."""
        kind = name.rpartition(":")[2]
        if kind == "table":
            self.blank_rows = 0
        if kind != "table-row":
            return
        self.blank_rows += self.row_repeats
        if self.row_columns:
            self.rows, self.blank_rows = self.rows + self.blank_rows, 0
            self.columns = max(self.columns, self.row_columns)

    def _count_placed(self, place: str) -> None:
        letters = place.rstrip("0123456789")
        row = place[len(letters) :]
        self.rows, self.cells = max(self.rows, int(row or 0)), self.cells + bool(letters)
        self.columns = max(
            self.columns, reduce(lambda number, letter: 26 * number + (ord(letter) & 31), letters, 0)
        )

    def _count_repeated(self, repeats: int, filled: bool) -> None:
        self.blank_columns += repeats
        if filled:
            self.row_columns, self.blank_columns = self.row_columns + self.blank_columns, 0
            self.cells += 1


def _number(attributes: Mapping[str, str], what: str) -> int:
    return int(attributes.get(f"number-{what}-repeated", 1))


def _span_of_xml(sheet: IO[bytes]) -> Span:
    """Return what the cells of a sheet of .xlsx or .ods span; another XML file has none."""
    span = Span()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = span.begin, span.end
    with suppress(expat.ExpatError):  # the reader of workbooks says what is wrong with it
        parser.ParseFile(sheet)
    return span


def _span_of_records(sheet: IO[bytes]) -> Span:
    """Return what the cells of a sheet of .xlsb span: records of a type, a length and as many bytes."""
    span, begun, content, place = Span(), False, sheet.read(), 0
    while place < len(content):
        kind, place = _varying(content, place)
        length, place = _varying(content, place)
        first = int.from_bytes(content[place : place + 4], "little")
        begun = begun or kind == FIRST_RECORD
        if begun and kind == ROW_RECORD:
            span.rows = max(span.rows, first + 1)
        elif begun and kind in CELL_RECORDS:
            span.columns, span.cells = max(span.columns, first + 1), span.cells + 1
        place += length
    return span


def _varying(content: bytes, place: int) -> tuple[int, int]:
    """Return a number of which each byte holds seven bits, the lowest first, and the place behind it."""
    number = shift = 0
    for byte in content[place : place + 4]:
        number, shift, place = number | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            break
    return number, place


SPANS = {".xml": _span_of_xml, ".bin": _span_of_records}


def _whole(cell: object) -> object:
    """Return a number without a fraction as a whole one: a workbook has decimal numbers only."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
