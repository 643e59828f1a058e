"""The records of a table become rows: one for each text of a caption cell."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.cells import as_text, image_of, plain, texts_of
from mmlab.ingest.sources.records_columns import Columns
from mmlab.ingest.sources.rows import Row, malformed


class Images:
    """The images of one table: bytes are kept as files, and no two images get one name."""

    def __init__(self, blobs: Blobs, table: str) -> None:
        self.blobs = blobs
        self.table = table
        self._files: dict[str, str] = {}

    def keep(self, cell: Any, number: int) -> tuple[str, str | None]:
        """The name and the file of the image in record `number`; bytes without a name get table#number."""
        name, content = image_of(cell)
        if content is None:
            return name, None
        file, unnamed = str(self.blobs.put(content)), f"{self.table}#{number}"
        name = name or unnamed
        if self._files.setdefault(name, file) != file:  # two folders, packed, may have one name twice
            name = unnamed
        return name, file


def read_records(records: Iterable[Sequence[Any] | Row], columns: Columns, images: Images) -> Iterator[Row]:
    """The rows of each record, a sequence of cells; a Row among them, which is malformed, stays as it is."""
    for number, cells in enumerate(records, 1):
        if isinstance(cells, Row):
            yield cells
            continue
        try:
            yield from _rows(cells, number, columns, images)
        except (ValueError, RecursionError) as error:
            yield broken_row(cells, columns, list(cells), str(error))


def broken_row(cells: Sequence[Any], columns: Columns, raw: Any, detail: str) -> Row:
    """A malformed row with the image and the caption among the cells, in place of the caption all of it."""
    image, caption = (
        cells[place] if place is not None and place < len(cells) and isinstance(cells[place], str) else ""
        for place in (columns.image, columns.caption)
    )
    return malformed(caption or raw, detail, image)


def _rows(cells: Sequence[Any], number: int, columns: Columns, images: Images) -> list[Row]:
    texts = [""] if columns.caption is None else texts_of(cells[columns.caption])
    own = tuple(plain(cells[place]) for place in columns.own)
    image, file = images.keep(cells[columns.image], number)
    label, split = (
        None if place is None else as_text(plain(cells[place])) for place in (columns.label, columns.split)
    )
    return [Row(image, text, columns.origin, label, split, file, own=own) for text in texts]
