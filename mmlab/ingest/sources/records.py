"""From the records of a table with any columns to rows: which column says what, and one row for each caption."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.rows import (
    OUR_COLUMNS,
    Row,
    caption_texts,
    image_of,
    malformed_row,
    replace_surrogates,
    to_plain,
    to_text,
)
from mmlab.items import ITEM_COLUMNS

USUAL_NAMES = {  # of a table's columns, in the order of preference
    "image": ("image", "image_path", "file_name", "filename", "filepath", "path", "file", "image_url", "url"),
    "caption": (
        "caption", "captions", "text", "texts", "sentence", "sentences", "description", "title", "alt", "alt_text",
    ),
    "label": ("label",),
    "split": ("split",),
}  # fmt: skip
RESERVED = {*ITEM_COLUMNS, *OUR_COLUMNS}  # columns that ingest itself fills
MAX_COLUMNS = 1000  # a file with more of them is no table of captions
ALT_NAME = re.compile(r"(^|_)alt(_|text|$)")


class ColumnMap(NamedTuple):
    """The places of our columns in a record, None where the table lacks one, and the user's columns."""

    image: int
    caption: int | None
    label: int | None
    split: int | None
    user_places: list[int]
    user_names: list[str]
    origin: str


def parse_columns(columns: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return the table's name for each of ours, from a dict or from texts.

    >>> parse_columns(["image=url", "caption=alt text"])
    {'image': 'url', 'caption': 'alt text'}
    """
    if isinstance(columns, Mapping):
        return dict(columns)
    pairs = {text: text.partition("=") for text in columns}
    for text, (ours, _, theirs) in pairs.items():
        if not (ours and theirs):
            raise ValueError(f"columns: expected texts like 'image=url', found {text!r}")
    return {ours: theirs for ours, _, theirs in pairs.values()}


def map_columns(names: Sequence[str], columns: Mapping[str, str], table: object) -> ColumnMap:
    """Find our columns among the names of a table; `columns` maps ours to the table's, where they are unusual.

    A column of the user's with the name of one that ingest fills is renamed `source_<name>`.
    Raise ValueError where the image column or one that `columns` names is missing, or a name occurs twice.
    """
    names = [name.strip() or f"column_{number}" for number, name in enumerate(names, 1)]
    _check_names(names, columns, table)
    free = [_simplified(name) if name not in columns.values() else None for name in names]
    places = {
        ours: names.index(columns[ours]) if ours in columns else _usual_place(ours, free)
        for ours in USUAL_NAMES
    }
    image, caption = places["image"], places["caption"]
    if image is None:
        raise ValueError(
            f"{table}: expected a column with the images ({', '.join(USUAL_NAMES['image'])}), found "
            f'{_shortened(names)}: rename one, or name it with columns={{"image": "..."}}'
        )
    user_places = [place for place in range(len(names)) if place not in places.values()]
    is_alt = caption is not None and ALT_NAME.search(_simplified(names[caption]))
    return ColumnMap(
        image,
        caption,
        places["label"],
        places["split"],
        user_places,
        _free_names([names[place] for place in user_places]),
        "alt" if is_alt else "caption",
    )


def _check_names(names: list[str], columns: Mapping[str, str], table: object) -> None:
    unknown = [ours for ours in columns if ours not in USUAL_NAMES]
    if unknown:
        raise ValueError(f"columns: {unknown} cannot be mapped; expected some of {list(USUAL_NAMES)}")
    missing = [theirs for theirs in columns.values() if theirs not in names]
    if missing:
        raise ValueError(f"{table}: columns {missing} are missing; found {_shortened(names)}")
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{table}: expected at most {MAX_COLUMNS} columns, found {len(names)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{table}: the columns {repeated} occur twice: rename or remove one of each")


def _usual_place(ours: str, free: list[str | None]) -> int | None:
    return next((free.index(name) for name in USUAL_NAMES[ours] if name in free), None)


def _simplified(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _free_names(names: list[str]) -> list[str]:
    """Return the names, with "source_" before those that are reserved or already in use."""
    used, free = set(RESERVED), list[str]()
    for name in map(replace_surrogates, names):
        while name in used or (name != names[len(free)] and name in names):
            name = f"source_{name}"
        used.add(name)
        free.append(name)
    return free


def _shortened(names: list[str]) -> list[str]:
    return [name[:100] for name in names[:20]]


class TableImages:
    """Name the images of one table: bytes are kept as files, and no two images get the same name."""

    def __init__(self, blobs: Blobs, table: str) -> None:
        self.blobs = blobs
        self.table = table
        self._files: dict[str, str] = {}

    def keep(self, cell: Any, number: int) -> tuple[str, str | None]:
        """Return the name and the file of the image in record `number`; bytes without a name get table#number."""
        name, content = image_of(cell)
        if content is None:
            return name, None
        file, unnamed = str(self.blobs.put(content)), f"{self.table}#{number}"
        name = name or unnamed
        if (
            self._files.setdefault(name, file) != file
        ):  # packed from two folders, a table may have a name twice
            name = unnamed
        return name, file


def read_records(
    records: Iterable[Sequence[Any] | Row], columns: ColumnMap, images: TableImages
) -> Iterator[Row]:
    """Yield the rows of each record, a sequence of cells; a malformed Row among the records stays as it is."""
    for number, cells in enumerate(records, 1):
        if isinstance(cells, Row):
            yield cells
            continue
        try:
            yield from _rows_of_record(cells, number, columns, images)
        except (ValueError, RecursionError) as error:
            yield broken_record(cells, columns, list(cells), str(error))


def broken_record(cells: Sequence[Any], columns: ColumnMap, raw: Any, detail: str) -> Row:
    """Return a malformed row with the image and the caption among the cells, else with all of `raw` as caption."""
    image, caption = (
        cells[place] if place is not None and place < len(cells) and isinstance(cells[place], str) else ""
        for place in (columns.image, columns.caption)
    )
    return malformed_row(caption or raw, detail, image)


def _rows_of_record(cells: Sequence[Any], number: int, columns: ColumnMap, images: TableImages) -> list[Row]:
    texts = [""] if columns.caption is None else caption_texts(cells[columns.caption])
    user_values = tuple(to_plain(cells[place]) for place in columns.user_places)
    image, file = images.keep(cells[columns.image], number)
    label, split = (
        None if place is None else to_text(to_plain(cells[place])) for place in (columns.label, columns.split)
    )
    return [Row(image, text, columns.origin, label, split, file, user_values=user_values) for text in texts]
