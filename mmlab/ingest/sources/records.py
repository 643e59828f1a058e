"""From the records of a table with any columns to rows: one for each image and each of its texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from mmlab.ingest.findings_cache import Blobs, Making
from mmlab.ingest.sources.cells import (
    Part,
    Row,
    image_of,
    images_of,
    is_image_name,
    malformed_row,
    row_blocks,
    texts_of,
    to_plain,
    to_text,
    usual_split,
)
from mmlab.ingest.sources.column_names import NEGATIVE, ColumnMap, TextColumn, map_columns

RECORDS_LOOKED_AT = 50  # that tell what the columns of a table hold
Pair = tuple[TextColumn, str]  # where a text comes from, and the text
NO_TEXT = TextColumn(-1, "caption")  # of an image without one


class Table(NamedTuple):
    """A table that is open for reading, once.

    names: of its columns. records: sequences of cells, of any length; or rows, for what could not be read as a
    record, or for formats with fixed fields. delimiter: what divides cells in a line of text; "" in other files.
    strict: whether a record with too few cells is broken. notes: what was guessed of its form.
    """

    names: list[str]
    records: Iterator[Sequence[Any] | Row]
    delimiter: str = ""
    strict: bool = False
    notes: tuple[str, ...] = ()


class Glance(NamedTuple):
    """A table with its first records, and what its columns hold."""

    table: Table
    first: list[Sequence[Any] | Row]
    columns: ColumnMap

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The image and the text of the first records, as far as they are texts."""
        return [
            (row.image, row.caption) for row in read_records(self.first, self.columns, NoBlobs(), self.table)
        ]


def glance(
    table: Table, columns: Mapping[str, list[str]], path: object, on_disk: Callable[[str], bool]
) -> Glance:
    """Look at the first records of a table; raise ValueError where no column holds images."""
    first = list(islice(table.records, RECORDS_LOOKED_AT))
    sample = [cells for cells in first if not isinstance(cells, Row)]
    return Glance(table, first, map_columns(table.names, columns, path, sample, on_disk))


def read_table(seen: Glance, images: "TableImages") -> Part:
    """Return all rows of a table that was glanced at."""
    counts = dict.fromkeys(("joined",), 0)
    records = images.blobs.bounded(chain(seen.first, seen.table.records))
    rows = read_records(records, seen.columns, images, seen.table, counts)
    blocks = row_blocks(rows, seen.columns.added_names)
    notes = [*seen.table.notes, *filter(None, [seen.columns.note])]
    if counts["joined"]:
        notes.append(
            f"{counts['joined']:,} rows have more fields than there are columns: the surplus belongs to the text"
        )
    return Part(blocks, seen.columns.added_names, notes)


class TableImages:
    """Name the images of a source's tables: bytes are kept as files, and no two images get the same name."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.table = ""  # the one that is being read
        self._files: dict[str, str] = {}

    def keep(self, cell: Any, number: int) -> tuple[str, str | None]:
        """Return the name and the file of the image in record `number`; bytes without a name get table#number."""
        if isinstance(cell, Making):
            return f"{self.table}#{number}", str(self.blobs.made(cell))
        name, content = image_of(cell)
        if content is None:
            return name, None
        file, unnamed = str(self.blobs.put(content)), f"{self.table}#{number}"
        name = name or unnamed
        if self._files.setdefault(name, file) != file:
            name = unnamed  # packed from two folders, a table may have a name twice
        return name, file


class NoBlobs(TableImages):
    """Name the images of a table that is only looked at: nothing is kept."""

    def __init__(self) -> None:
        pass

    def keep(self, cell: Any, number: int) -> tuple[str, str | None]:
        """Return the name of the image, "" for bytes without one."""
        return "" if isinstance(cell, Making) else image_of(cell)[0], None


def read_records(
    records: Iterable[Sequence[Any] | Row],
    columns: ColumnMap,
    images: TableImages,
    table: Table,
    counts: dict[str, int] | None = None,
) -> Iterator[Row]:
    """Yield the rows of each record; a Row among the records stays as it is."""
    product = _Product(columns)
    counts = {"joined": 0} if counts is None else counts
    for number, cells in enumerate(records, 1):
        if isinstance(cells, Row):
            yield cells._replace(split=usual_split(cells.split), record=number)
            continue
        try:
            fitting = fitted(cells, columns, table)
            if table.delimiter == "|":  # set between blanks
                fitting = [cell.strip() for cell in fitting]
            counts["joined"] += len(cells) > len(columns.names)
            rows = _rows_of_record(product.filled(fitting), number, columns, images)
            yield from rows if product.handle is None else filter(product.is_row, rows)
        except (ValueError, RecursionError) as error:
            yield _broken_record(cells, columns, table.delimiter, str(error))._replace(record=number)


def fitted(cells: Sequence[Any], columns: ColumnMap, table: Table) -> Sequence[Any]:
    """Return as many cells as there are columns: what is left over belongs to the one text, or to the last column.

    Raise ValueError where it may belong to another one, or where cells are missing.
    """
    width, surplus = len(columns.names), len(cells) - len(columns.names)
    if surplus == 0:
        return cells
    if surplus < 0 and not table.strict:
        return [*cells, *[""] * -surplus]
    places = [text.place for text in columns.texts]
    place = places[0] if len(places) == 1 else width - 1
    if surplus < 0 or place not in places or not table.delimiter:
        raise ValueError(f"expected {width} fields, found {len(cells)}")
    joined = table.delimiter.join(cells[place : place + surplus + 1])
    return [*cells[:place], joined, *cells[place + surplus + 1 :]]


def _broken_record(cells: Sequence[Any], columns: ColumnMap, delimiter: str, detail: str) -> Row:
    """Return a malformed row with the image and the caption among the cells, else with all of them as caption."""
    image, caption = (
        cells[place] if place is not None and place < len(cells) and isinstance(cells[place], str) else ""
        for place in (columns.images[0][0], columns.texts[0].place if columns.texts else None)
    )
    raw = delimiter.join(cells) if delimiter else list(cells)
    return malformed_row(caption or raw, detail, image)


class _Product:
    """Fill in what the export of a shop says only in the first of a product's rows: one for each image."""

    def __init__(self, columns: ColumnMap) -> None:
        self.handle = columns.handle
        self.images = [place for place, _ in columns.images]
        self.places = [text.place for text in columns.texts if text.origin != "alt"]
        self.known: Any = None
        self.first: Sequence[Any] = ()

    def is_row(self, row: Row) -> bool:
        """Return whether a row is more than a size or a colour of a product, which has no image or text of its own."""
        return bool(row.image or row.file or row.caption)

    def filled(self, cells: Sequence[Any]) -> Sequence[Any]:
        """Return the cells with the texts of the product's first row, where they have an image and no text."""
        if self.handle is None:
            return cells
        if cells[self.handle] != self.known or not self.known:
            self.known, self.first = cells[self.handle], cells
            return cells
        if any(cells[place] for place in self.places) or not any(cells[place] for place in self.images):
            return cells
        return [self.first[place] if place in self.places else cell for place, cell in enumerate(cells)]


def _rows_of_record(cells: Sequence[Any], number: int, columns: ColumnMap, images: TableImages) -> list[Row]:
    texts = [(one, text) for one in columns.texts for text in texts_of(cells[one.place]) if text]
    values = tuple([to_plain(cells[place]) for place in columns.user_places])
    places = (columns.label, columns.split, columns.address)
    label, split, address = [None if place is None else to_text(to_plain(cells[place])) for place in places]
    split = usual_split(split)
    named = [(place, *images.keep(cell, number)) for place, cell in _image_cells(cells, columns)]
    positives = [pair for pair in texts if pair[0].origin != NEGATIVE]
    pairs = [
        (image, file, address, own)
        for image, file, texts_of_image in _paired(named, positives)
        for own in texts_of_image or [(NO_TEXT, "")]
    ]
    if len(positives) < len(texts):
        pairs += [("", None, None, pair) for pair in texts if pair[0].origin == NEGATIVE]
    return [
        Row(
            image, text, one.origin, label, split, file, address=place,
            user_values=_values(values, one, columns), record=number,
        )
        for image, file, place, (one, text) in pairs
    ]  # fmt: skip


def _paired(
    named: list[tuple[str, str, str | None]], texts: list[Pair]
) -> Iterator[tuple[str, str | None, list[Pair]]]:
    """Yield each image with its texts: all, or those of the same number where both have numbers in their columns."""
    if len(named) == 1:
        yield *named[0][1:], texts
        return
    numbers = {number for number, _, _ in named}
    by_number = numbers != {""} and numbers == {one.number for one, _ in texts}
    for number, image, file in named:
        yield image, file, [pair for pair in texts if not by_number or pair[0].number == number]


def _values(values: tuple[Any, ...], text: TextColumn, columns: ColumnMap) -> tuple[Any, ...]:
    return (*values, text.language) if columns.has_language else values


def _image_cells(cells: Sequence[Any], columns: ColumnMap) -> list[tuple[str, Any]]:
    """Return the images of a record, each with the number in the name of its column; one at least, "" for none."""
    if len(columns.images) == 1:
        place, number = columns.images[0]
        return [(number, one) for one in images_of(cells[place], is_image_name)]
    found = [
        (number, one)
        for place, number in columns.images
        for one in images_of(cells[place], is_image_name)
        if one not in (None, "")
    ]
    return found or [("", "")]
