"""Payload fields: five kinds, cleaned on the way in and typed on the way out. Knows no engine."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, cast

import numpy as np
import pandas as pd

from mmlab.items import check_columns

KEYWORD, INTEGER, FLOAT, BOOL, TEXT = "keyword", "integer", "float", "bool", "text"
DTYPES = {KEYWORD: "str", INTEGER: "Int64", FLOAT: "float64", BOOL: "boolean", TEXT: "str"}
FILTERABLE = (KEYWORD, INTEGER, FLOAT, BOOL)  # text is only stored
# mmlab's own notes on an item. A filter on them reads the payloads: each payload index takes a tenth of a second when
# a collection is built, and some milliseconds whenever it is opened.
NOT_INDEXED = ("origin", "width", "height", "flags", "duplicate_of")
MAX_KEYWORD_CHARS = 256  # a column with longer values is text
FINGERPRINT = "_fingerprint"  # the payload field that says what a point was like when it was sent

Value = str | int | float | bool

_KNOWN_KINDS = {"text": TEXT, "image": TEXT, "content": TEXT, "modality": KEYWORD, "pair_id": KEYWORD}
_KNOWN_KINDS |= {"label": KEYWORD, "split": KEYWORD, "origin": KEYWORD, "width": INTEGER, "height": INTEGER}
_KNOWN_KINDS |= {"flags": KEYWORD, "duplicate_of": KEYWORD}


def payload_fields(items: pd.DataFrame) -> dict[str, str]:
    """Return the payload fields of an items table, {name: kind}: each column but item_id."""
    return {name: _field_kind(items[name]) for name in items.columns if name != "item_id"}


def _field_kind(column: pd.Series) -> str:
    """Return the kind of a column: a known one for mmlab's own columns, else by its dtype and its values."""
    if column.name in _KNOWN_KINDS:
        return _KNOWN_KINDS[str(column.name)]
    if pd.api.types.is_bool_dtype(column.dtype):
        return BOOL
    if pd.api.types.is_integer_dtype(column.dtype):
        return INTEGER
    if pd.api.types.is_float_dtype(column.dtype):
        return FLOAT
    values = column.dropna()
    if len(values) and all(isinstance(value, bool | np.bool_) for value in values):
        return BOOL
    return TEXT if any(len(str(value)) > MAX_KEYWORD_CHARS for value in values) else KEYWORD


def clean_value(value: object, kind: str) -> Value:
    """Return the value as the plain Python type of its kind; raise ValueError if it is of another kind."""
    if kind in (KEYWORD, TEXT):
        return str(value)
    if kind == BOOL and isinstance(value, bool | np.bool_):
        return bool(value)
    if not isinstance(value, bool | np.bool_):
        if kind == INTEGER and isinstance(value, Real) and value == math.floor(value):
            return int(cast("float", value))
        if kind == FLOAT and isinstance(value, Real) and math.isfinite(value):
            return float(value)
    raise ValueError(f"expected {kind}, found {value!r}")


def payload_rows(table: pd.DataFrame, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one dict per row with the fields of the schema; missing values (None, NaN, NA, NaT) are left out.

    Raises ValueError if the table has other columns than the schema, or a value of another kind.
    """
    check_columns(table, fields, "payload")
    unknown = sorted(set(table.columns) - set(fields) - {"item_id"}, key=str)
    if unknown:
        raise ValueError(f"payload: columns {unknown} are not in the schema, which has {list(fields)}")
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name, kind in fields.items():
        column = table[name]
        present = column.notna().to_numpy()
        try:
            values = _clean_column(column if present.all() else column[present], kind)
        except (ValueError, OverflowError) as error:  # OverflowError: the floor of an infinity
            raise ValueError(f"payload: column {name!r}: {error}") from None
        for i, value in zip(np.flatnonzero(present).tolist(), values, strict=True):
            rows[i][name] = value
    return rows


def _clean_column(column: pd.Series, kind: str) -> list[Value]:
    """Clean the values of a column without gaps; where the dtype already is the kind's, no value is looked at."""
    if kind in (KEYWORD, TEXT) and isinstance(column.dtype, pd.StringDtype):
        return column.tolist()
    if kind == INTEGER and pd.api.types.is_integer_dtype(column.dtype):
        return column.tolist()
    if kind == FLOAT and column.dtype == np.float64 and np.isfinite(column.to_numpy()).all():
        return column.tolist()
    return [clean_value(value, kind) for value in column.astype(object)]


def payload_table(
    ids: Sequence[str], rows: Iterable[Mapping[str, Any]], fields: Mapping[str, str]
) -> pd.DataFrame:
    """Return payloads as a table: item_id, then the fields of the schema, each with the dtype of its kind."""
    rows = list(rows)
    columns = {"item_id": pd.Series(list(ids), dtype="str")}
    for name, kind in fields.items():
        columns[name] = pd.Series([row.get(name) for row in rows], dtype=DTYPES[kind])
    return pd.DataFrame(columns)


def json_path(name: str, part: str = "") -> str:
    """Return the field's name as Qdrant's JSON path inside `part`, quoted if it has special characters."""
    plain = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{part}.{plain}" if part else plain
