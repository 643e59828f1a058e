"""Two tables that a shared column joins: one with texts, one with images, as shops and museums export them."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from mmlab.ingest.sources.cells import Row, is_address, malformed_row, words_in
from mmlab.ingest.sources.column_names import UNNAMED, ColumnMap, map_columns, normalized, unique_names
from mmlab.ingest.sources.kinds import HERE, NOT_HERE, ON_THE_WEB, TABLES, Columns, DataFile, Join
from mmlab.ingest.sources.records import RECORDS_LOOKED_AT, NoBlobs, Table, fitted, read_records

MOST = 0.5  # of the keys of the texts looked at lie in the column of the images
DECIMAL = re.compile(r"(?<=\d)\.0$")  # pandas writes 7 as 7.0 where a column has gaps
MAX_KEYS = 1_000_000  # records in which they are looked for
MAX_KEY_CHARS = 100
WORDS_OF_A_TEXT = 3  # on average
MAX_NAMED = 4  # in a message
DISTINCT_CHARS = 5  # of a key that two columns do not share by chance, whatever their names are

Pair = tuple[str, str]  # a column of the texts and one of the images


class Side(NamedTuple):
    """A table that may be one of two, in one file or several: its first records, and what its columns hold."""

    files: list[DataFile]
    first: list[Sequence[Any]]
    columns: ColumnMap
    table: Table
    on_disk: Callable[[str], bool]

    @property
    def records(self) -> Iterator[Sequence[Any] | Row]:
        """The records of all files."""
        return (record for file in self.files for record in TABLES[file.kind](file.path).records)

    @property
    def rows(self) -> list[Row]:
        """The rows that the first records give."""
        if not self.columns.images:
            return []
        return list(read_records(self.first, self.columns, NoBlobs(), self.table))

    @property
    def place(self) -> int:
        """Where its images are: here, which is on disk or inside, on the web, or not here."""
        images = [row.image for row in self.rows]
        if images and (not any(images) or any(map(self.on_disk, images))):
            return HERE
        return ON_THE_WEB if any(map(is_address, images)) else NOT_HERE

    @property
    def has_texts(self) -> bool:
        """Whether any record has a text."""
        places = [text.place for text in self.columns.texts]
        return any(cells[place] for cells in self.first for place in places if place < len(cells))


def open_side(files: list[DataFile], columns: Columns, on_disk: Callable[[str], bool]) -> Side:
    """Look at one table; `columns` may name columns of the other one. Raise ValueError where it is no table."""
    table = TABLES[files[0].kind](files[0].path)
    first = [cells for cells in islice(table.records, RECORDS_LOOKED_AT) if not isinstance(cells, Row)]
    names = unique_names(table.names)
    own = {ours: [theirs for theirs in given if theirs in names] for ours, given in columns.items()}
    own = {ours: given for ours, given in own.items() if given}
    return Side(files, first, map_columns(names, own, files[0].name, first, on_disk, False), table, on_disk)


def find_joins(tables: Sequence[Side], columns: Columns) -> list[DataFile]:
    """Return the files of images with the files of their texts, where exactly one pair of columns joins them.

    Parts of one table are joined as one, each with the texts of its split. Raise ValueError where several pairs of
    columns, or several tables, could be joined.
    """
    texts = [side for side in tables if side.has_texts and side.place != HERE]
    images = [side for side in tables if side.place != NOT_HERE and not side.has_texts]
    found = [
        (text, image, pair)
        for text in _parts_together(texts)
        for image in _parts_together(images)
        if image.place < text.place  # the address in a table of texts may be that of a page
        for pair in shared_columns(text, image, columns)
    ]
    if len(found) > 1:
        raise ValueError(_ambiguous(found))
    return [_joined(file, *found[0]) for file in found[0][1].files] if found else []


def why_alone(side: Side) -> str:
    """Return what to do with a table that has texts and no images, where it is not joined; "" for any other table."""
    places = [text.place for text in side.columns.texts]
    words = [words_in(cells[place]) for cells in side.first for place in places if place < len(cells)]
    if (
        side.columns.images
        or side.files[0].name.endswith(".txt")
        or sum(words) < WORDS_OF_A_TEXT * len(words)
        or not words
    ):
        return ""
    named = ", ".join(side.columns.names[place] for place in places)
    return (
        f"it has texts ({named}) and no column of images: name the column of their names by -p columns=image=NAME, or "
        "the two columns that say the same here and in a table of images by -p columns=id=HERE,id=THERE"
    )


def _parts_together(tables: Sequence[Side]) -> list[Side]:
    """Return one side for all that have the same columns, as the tables of train, val and test."""
    together: dict[tuple[str, ...], Side] = {}
    for side in tables:
        names = tuple(side.columns.names)
        known = together.get(names)
        together[names] = (
            side._replace(files=known.files + side.files, first=known.first + side.first) if known else side
        )
    return list(together.values())


def _joined(file: DataFile, texts: Side, images: Side, pair: Pair) -> DataFile:
    own = [one for one in texts.files if one.split == file.split] or texts.files
    shared = any(
        other != file and (other.split == file.split or own is texts.files) for other in images.files
    )
    names = tuple(one.name for one in own)
    return file._replace(
        join=Join(tuple((one.kind, one.path) for one in own), names, *pair, whole=not shared)
    )


def _ambiguous(found: Sequence[tuple[Side, Side, Pair]]) -> str:
    listed = "; ".join(
        f"{text.files[0].name} ({one}) with {image.files[0].name} ({other})"
        for text, image, (one, other) in found[:MAX_NAMED]
    )
    one, other = found[0][2]
    advice = f"id={one}" if one == other else f"id={one},id={other}"
    return f"tables of texts and of images can be joined in several ways: {listed}: name one, as -p columns={advice}"


def shared_columns(texts: Side, images: Side, columns: Columns) -> list[Pair]:
    """Return the pairs of columns by which two tables can be joined, those of the most similar names.

    Most keys of the first texts are keys of images, and neither column says the same everywhere. The names are the
    same, or one ends with the other, as product_id and id; or one lists the images of a text; or the keys are too long
    to agree by chance.
    """
    if "id" in columns:
        one, other = columns["id"][0], columns["id"][-1]
        there = one in texts.columns.names and other in images.columns.names
        return [(one, other)] if there else []
    wanted = _keys_by_column(texts.columns.names, texts.first)
    found = _keys_found(images, set().union(*wanted.values()))
    lists = {
        name
        for place, name in enumerate(texts.columns.names)
        if any(place < len(cells) and isinstance(cells[place], list) for cells in texts.first)
    }
    similar = {
        (one, other): max(_similarity(one, other, keys), 2 * (one in lists))
        for one, keys in wanted.items()
        for other, known in found.items()
        if len(keys & known) > MOST * len(keys)
    }
    best = max(similar.values(), default=0)
    return [pair for pair, similarity in similar.items() if similarity == best > 0]


def _keys_by_column(names: Sequence[str], records: Sequence[Sequence[Any]]) -> dict[str, set[str]]:
    """Return the keys in each column that may hold some; none of one that says the same everywhere."""
    found = {}
    for place, name in enumerate(names):
        keys = [keys_of(cells[place]) for cells in records if place < len(cells)]
        several = {key for some in keys for key in some}
        filled = sum(map(bool, keys))
        if several and filled > MOST * len(keys) and (len(several) > 1 or len(records) == 1):
            found[name] = several
    return found


def _keys_found(side: Side, wanted: set[str]) -> dict[str, set[str]]:
    """Return which of the wanted keys are in each column of a table."""
    places = {name: place for place, name in enumerate(side.columns.names)}
    possible = _keys_by_column(side.columns.names, side.first)
    found: dict[str, set[str]] = {name: set() for name in possible}
    for cells in islice(chain(side.first, side.records), MAX_KEYS):
        if not isinstance(cells, Row):
            for name in possible:
                if places[name] < len(cells):
                    found[name] |= wanted.intersection(keys_of(cells[places[name]]))
    return found


def keys_of(cell: Any) -> list[str]:
    """Return the keys in a cell: one, or those of a list.

    >>> keys_of(7), keys_of("7.0"), keys_of(["a", "b"]), keys_of("0.5"), keys_of("two words")
    (['7'], ['7'], ['a', 'b'], ['0.5'], [])
    """
    cells = cell if isinstance(cell, list) else [cell]
    kept = (one for one in cells if isinstance(one, str | int | float) and not isinstance(one, bool))
    keys = [DECIMAL.sub("", str(one).strip()) for one in kept]
    return [key for key in keys if 0 < len(key) <= MAX_KEY_CHARS and " " not in key and key != "nan"]


def _similarity(one: str, other: str, keys: set[str]) -> int:
    """Return how alike the names of two columns are, from 3 for the same; 0 for too little to trust the keys."""
    first, second = (normalized(name).removesuffix("s") for name in (one, other))
    if not (UNNAMED.fullmatch(first) or UNNAMED.fullmatch(second)):
        if first == second:
            return 3
        if first.endswith(second) or second.endswith(first):
            return 2
    return int(sum(map(len, keys)) >= DISTINCT_CHARS * len(keys))


def open_file(file: DataFile) -> Table:
    """Open a table, with the texts of another one where these are joined."""
    table = TABLES[file.kind](file.path)
    if file.join is None:
        return table
    texts = [
        open_side([DataFile(kind, path, path.name)], {}, lambda _: False) for kind, path in file.join.texts
    ]
    own = dict.fromkeys(name for side in texts for name in side.columns.names)
    names = unique_names(table.names)
    others = [name for name in names if not name == file.join.text_column == file.join.image_column]
    added = unique_names([*own, *others])
    records = _joined_records(file.join, texts, list(own), table, others)
    listed = ", ".join(dict.fromkeys(file.join.names))
    note = f"its images have the texts of {listed}, where {file.join.text_column} is {file.join.image_column}"
    return Table(added, records, notes=(*table.notes, note))


def _joined_records(
    join: Join, texts: Sequence[Side], own: list[str], table: Table, others: list[str]
) -> Iterator[Sequence[Any] | Row]:
    """Yield the cells of a text beside those of each of its images, then the texts that have none."""
    known, broken = _texts_by_key(join, texts, own)
    used: set[str] = set()
    images = map_columns(table.names, {}, "", (), lambda _: False, False)
    place = images.names.index(join.image_column)
    taken = [images.names.index(name) for name in others]
    for record in table.records:
        cells = record if isinstance(record, Row) else _fitted(record, images, table)
        if isinstance(cells, Row):
            yield cells
            continue
        keys = keys_of(cells[place])
        used.update(keys)
        for text in [text for key in keys for text in known.get(key, ())] or [[None] * len(own)]:
            yield [*text, *(cells[number] for number in taken)]
    if join.whole:
        alone = {id(text): text for key, some in known.items() if key not in used for text in some}
        found = {id(text) for key in used for text in known.get(key, ())}
        yield from ([*text, *[None] * len(others)] for name, text in alone.items() if name not in found)
        yield from broken


def _texts_by_key(
    join: Join, texts: Sequence[Side], own: list[str]
) -> tuple[dict[str, list[list[Any]]], list[Row]]:
    known: dict[str, list[list[Any]]] = {}
    broken = []
    for side in texts:
        places = {name: place for place, name in enumerate(side.columns.names)}
        for record in side.records:
            cells = record if isinstance(record, Row) else _fitted(record, side.columns, side.table)
            if isinstance(cells, Row):
                broken.append(cells)
                continue
            text = [cells[places[name]] if name in places else None for name in own]
            for key in keys_of(text[own.index(join.text_column)]) or [""]:
                known.setdefault(key, []).append(text)
    return known, broken


def _fitted(cells: Sequence[Any], columns: ColumnMap, table: Table) -> Sequence[Any] | Row:
    try:
        return fitted(cells, columns, table)
    except ValueError as error:
        return malformed_row(list(cells), str(error))
