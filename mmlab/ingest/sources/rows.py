"""From rows to one table: our columns are text, the user's keep their type."""

import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from mmlab.ingest.sources.cells import PlainValue, to_plain, to_text
from mmlab.ingest.sources.text_files import replace_surrogates

MALFORMED = "malformed row"
MAX_RAW_CHARS = 1000  # that are kept of the raw text of a malformed row
NUMBERS = (  # whole numbers that fit into 64 bits, decimal numbers; "007", "+1" and "1e5" are names
    (r"(?:0|-?[1-9][0-9]{0,17})", int, "Int64"),
    (r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", float, "float64"),
)
SPLIT_WORDS = {  # how a split is written, and what it is called
    "train": "train", "training": "train", "trn": "train", "test": "test", "testing": "test", "tst": "test",
    "validation": "validation", "val": "val", "valid": "valid", "dev": "dev", "devel": "dev",
}  # fmt: skip


class Row(NamedTuple):
    """One row of a source, as `Source.rows` describes it; `user_values` in their order, () where none was read.

    record: the number of its entry in its file, from 1.
    """

    image: str = ""
    caption: str = ""
    origin: str = "caption"
    label: str | None = None
    split: str | None = None
    file: str | None = None
    problem: str | None = None
    detail: str | None = None
    address: str | None = None
    user_values: tuple[PlainValue, ...] = ()
    record: int | None = None


class Part(NamedTuple):
    """The rows of one file of a source, the names of their user_values, and what was guessed.

    table: the name of the file. split: of the rows that have none of their own.
    """

    rows: list[Row]
    user_names: list[str] = []  # noqa: RUF012 - never changed
    notes: list[str] = []  # noqa: RUF012
    table: str | None = None
    split: str | None = None


OUR_COLUMNS = (*Row._fields[:8], "table", "address", "record")


def malformed_row(raw: Any, detail: str, image: str = "") -> Row:
    """Return a row that could not be read, with what could be saved; `raw` is its caption, or the whole entry."""
    try:
        caption = to_text(to_plain(raw)) or ""
    except RecursionError:  # too deep to be written down
        caption = ""
    return Row(image, caption[:MAX_RAW_CHARS].strip(), problem=MALFORMED, detail=detail[:MAX_RAW_CHARS])


def usual_split(split: str | None) -> str | None:
    """Return the name of a split in small letters where it is a usual one, any other without blanks around it.

    >>> usual_split(" TEST"), usual_split("Validation"), usual_split("RestVal"), usual_split(" ")
    ('test', 'validation', 'RestVal', None)
    """
    name = (split or "").strip()
    return SPLIT_WORDS.get(name.casefold(), name) or None


def split_in(name: str) -> str | None:
    """Return the split that the name of a file or a folder says; None where it says none or several.

    >>> split_in("captions_val2017"), split_in("train-00000-of-00002"), split_in("trainer"), split_in("train_test")
    ('val', 'train', None, None)
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    found = {SPLIT_WORDS[word.casefold()] for word in words if word.casefold() in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def make_table(parts: Iterable[Part], numbers_in_text: bool = False) -> pd.DataFrame:
    """Return one line per row, indexed by `row` from 1: our columns, then the user's by their names.

    numbers_in_text: whether a user's column that holds nothing but numbers, written as text, becomes numeric.
    """
    parts = list(parts)
    index = pd.RangeIndex(1, sum(len(part.rows) for part in parts) + 1, name="row")
    ours = {name: _string_array(_our_values(parts, name)) for name in OUR_COLUMNS[:-1]}
    record = pd.array([row.record for part in parts for row in part.rows], dtype="Int64")
    names = dict.fromkeys(name for part in parts for name in part.user_names)
    users = {name: _typed_array(_values_of(parts, name)) for name in names}
    table = pd.DataFrame({**ours, "record": record, **users}, index=index)
    for name in names if numbers_in_text else ():
        table[name] = as_numbers(table[name])
    return table


def _our_values(parts: Sequence[Part], name: str) -> list[str | None]:
    if name == "table":
        return [part.table for part in parts for _ in part.rows]
    cell = itemgetter(Row._fields.index(name))
    if name == "split":
        return [cell(row) or part.split for part in parts for row in part.rows]
    return [value for part in parts for value in map(cell, part.rows)]


def _values_of(parts: Sequence[Part], name: str) -> list[PlainValue]:
    values: list[PlainValue] = []
    for part in parts:
        place = part.user_names.index(name) if name in part.user_names else None
        values += [
            row.user_values[place] if place is not None and row.user_values else None for row in part.rows
        ]
    return values


def _typed_array(values: list[PlainValue]) -> pd.api.extensions.ExtensionArray:
    """Return an array of the one type that all values have, else of text."""
    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return pd.array(values, dtype="boolean")
    if types == {int}:
        return pd.array(values, dtype="Int64")
    if types and types <= {int, float}:
        return pd.array(values, dtype="float64")
    return _string_array([to_text(value) for value in values])


def _string_array(values: list[str | None]) -> pd.api.extensions.ExtensionArray:
    try:
        texts = pa.array(values, pa.large_string())  # faster than from a list
    except UnicodeEncodeError:  # JSON can spell half of a character
        texts = pa.array([value and replace_surrogates(value) for value in values], pa.large_string())
    return pd.array(texts, dtype="str")


def as_numbers(column: pd.Series) -> pd.Series:
    """Return the column as numbers if every cell that is not empty is one, written plainly."""
    present = column.dropna() if column.dtype == "str" else column[:0]
    for form, number, dtype in NUMBERS:
        if len(present) and present.str.fullmatch(form).all():
            cells = [number(cell) if isinstance(cell, str) else None for cell in column]
            return pd.Series(cells, column.index, dtype=dtype)
    return column
