"""From the cells of an entry to a row, and from rows to one table: our columns are text, the user's keep their type."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

PlainValue = bool | int | float | str | None

MALFORMED = "malformed row"
MAX_RAW_CHARS = 1000  # that are kept of the raw text of a malformed row
TEXT_FIELDS = ("raw", "text", "caption")  # the names that a text has inside an object
INT64 = range(-(2**63), 2**63)


class Row(NamedTuple):
    """One row of a source, as `Source.rows` describes it; `user_values` in their order, () where none was read."""

    image: str = ""
    caption: str = ""
    origin: str = "caption"
    label: str | None = None
    split: str | None = None
    file: str | None = None
    problem: str | None = None
    detail: str | None = None
    table: str | None = None
    address: str | None = None
    user_values: tuple[PlainValue, ...] = ()


OUR_COLUMNS = Row._fields[:-1]


def malformed_row(raw: Any, detail: str, image: str = "") -> Row:
    """Return a row that could not be read, with what could be saved; `raw` is its caption, or the whole entry."""
    try:
        caption = to_text(to_plain(raw)) or ""
    except RecursionError:  # too deep to be written down
        caption = ""
    return Row(image, caption[:MAX_RAW_CHARS].strip(), problem=MALFORMED, detail=detail[:MAX_RAW_CHARS])


def make_table(rows: Iterable[Row], user_names: Sequence[str] = ()) -> pd.DataFrame:
    """Return one line per row, indexed by `row` from 1: our columns, then the user's by their names."""
    rows = list(rows)
    index = pd.RangeIndex(1, len(rows) + 1, name="row")
    ours = {name: _string_array([getattr(row, name) for row in rows]) for name in OUR_COLUMNS}
    users = {
        name: _typed_array([row.user_values[place] if row.user_values else None for row in rows])
        for place, name in enumerate(user_names)
    }
    return pd.DataFrame({**ours, **users}, index=index)


def caption_texts(cell: Any) -> list[str]:
    """Return the texts of a caption cell, a text or a list of them; [""] where it is empty.

    Raise ValueError for a list of lists and for an object without a text.
    """
    return [_one_text(one) for one in cell] or [""] if isinstance(cell, list) else [_one_text(cell)]


def image_of(cell: Any) -> tuple[str, bytes | None]:
    """Return the name and the bytes of an image cell: a text, bytes, or an object with path and bytes.

    Raise ValueError for a list and for an object without path and bytes.
    """
    if isinstance(cell, bytes):
        return "", cell
    if isinstance(cell, dict) and cell.keys() & {"path", "bytes"}:
        name, content = cell.get("path") or "", cell.get("bytes")
        if isinstance(name, str) and isinstance(content, bytes | None):
            return name, content
    if isinstance(cell, dict | list):
        raise ValueError(f"expected an image's path, address or bytes, found {_describe(cell)}")
    return to_text(to_plain(cell)) or "", None


def to_plain(cell: Any) -> PlainValue:
    """Return a cell of the user's as one plain value; None where it is empty.

    Nested values become compact JSON, points in time ISO text; of bytes only the number is kept.
    """
    if isinstance(cell, str):
        return cell or None
    if cell is None or cell != cell:  # NaN is the one value that differs from itself
        return None
    if isinstance(cell, bool | float):
        return cell
    if isinstance(cell, int):
        return cell if cell in INT64 else str(cell)
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, separators=(",", ":"), default=_leaf_text)
    return _leaf_text(cell)


def to_text(value: PlainValue) -> str | None:
    """Return a plain value as text, as JSON writes it."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for halves of characters, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _one_text(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = next((cell[name] for name in TEXT_FIELDS if isinstance(cell.get(name), str)), cell)
    if isinstance(cell, list | dict):
        raise ValueError(f"expected a text, or an object with raw, text or caption, found {_describe(cell)}")
    return to_text(to_plain(cell)) or ""


def _leaf_text(cell: Any) -> str:
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes"
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _describe(cell: list | dict) -> str:
    return f"a list of {len(cell)}" if isinstance(cell, list) else f"an object with {list(cell)[:10]}"


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
        return pd.array(values, dtype="str")
    except UnicodeEncodeError:  # JSON can spell half of a character
        return pd.array([value and replace_surrogates(value) for value in values], dtype="str")
