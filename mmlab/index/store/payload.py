"""Payload: the kinds of fields, their values on the way in and out, and filters on them. Knows no engine.

A filter in plain notation names fields, and an item must meet all of them:

```
{"modality": "image"}               equal
{"colour": ["red", "blue"]}         any of
{"price": {"gte": 10, "lt": 50}}    range: gt, gte, lt, lte
{"colour": {"not": ["red"]}}        none of; an item without a colour passes
```
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any, cast

import numpy as np
import pandas as pd

from mmlab.items import check_columns
from mmlab.items.options import Number, check_value

KEYWORD, INTEGER, FLOAT, BOOL, TEXT = "keyword", "integer", "float", "bool", "text"
DTYPES = {KEYWORD: "str", INTEGER: "Int64", FLOAT: "float64", BOOL: "boolean", TEXT: "str"}
FILTERABLE = (KEYWORD, INTEGER, FLOAT, BOOL)  # text is only stored
COUNTABLE = (KEYWORD, INTEGER, BOOL)  # whose values Qdrant counts, where they have a payload index
# mmlab's own notes on an item. A filter on them reads the payloads: each payload index takes a tenth of a second when
# a collection is built, and some milliseconds whenever it is opened.
NOT_INDEXED = ("origin", "width", "height", "flags", "duplicate_of")
MAX_KEYWORD_CHARS = 256  # a column with longer values is text
FINGERPRINT = "_fingerprint"  # the payload field that says what a point was like when it was sent

BOUNDS = ("gt", "gte", "lt", "lte")

Value = str | int | float | bool
Where = Mapping[str, Any]  # a filter in plain notation

_KNOWN_KINDS = {"text": TEXT, "image": TEXT, "content": TEXT, "modality": KEYWORD, "pair_id": KEYWORD}
_KNOWN_KINDS |= {"label": KEYWORD, "split": KEYWORD, "origin": KEYWORD, "width": INTEGER, "height": INTEGER}
_KNOWN_KINDS |= {"flags": KEYWORD, "duplicate_of": KEYWORD}


def payload_fields(items: pd.DataFrame) -> dict[str, str]:
    """Return the payload fields of an items table, {name: kind}: each column but item_id."""
    return {name: _field_kind(items[name]) for name in items.columns if name != "item_id"}


def without_paths(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without the paths of images, which are those of one machine; of a pair both parts.

    >>> without_paths({"label": "mug", "image": "/home/me/mug.jpg"})
    {'label': 'mug'}
    """
    return {
        name: without_paths(value) if isinstance(value, dict) else value
        for name, value in payload.items()
        if name != "image" or isinstance(value, dict)
    }


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


@dataclass(frozen=True)
class Condition:
    """The value at `path` is any of `values` (none of them if `negated`), or lies within bounds, as (("lt", 9.0),)."""

    path: str
    kind: str
    values: tuple[Value, ...] = ()
    bounds: tuple[tuple[str, float], ...] = ()
    negated: bool = False


Conditions = tuple[Condition, ...]


def read_filter(where: Where | None, fields: Mapping[str, str], part: str = "") -> Conditions:
    """Return the conditions of a filter on `fields`, the filterable ones as {name: kind}.

    `part` is the part of the payload that holds the fields, "" for the payload itself. Raises ValueError for an
    unknown field, an empty list, an unknown word, a value of another kind, and for what is no filter.
    """
    if where is not None and not isinstance(where, Mapping):
        raise ValueError(
            f"where: expected a dict such as {_as_filter(where)}, found {where!r}; the fields are {list(fields)}"
        )
    for name in where or {}:
        check_filterable(name, fields)
    return tuple(
        condition
        for name, wanted in (where or {}).items()
        for condition in _read_field(name, fields[name], wanted, json_path(name, part))
    )


def read_boost(boost: object, fields: Mapping[str, str], part: str = "") -> dict[str, float]:
    """Return the weights of a boost, {field: weight}, by the fields' paths; `fields` and `part` as of `read_filter`.

    Raises ValueError for a field that is unknown or holds no numbers, for a weight that is no finite number, and for
    what is no dict.
    """
    if not isinstance(boost, Mapping):
        raise ValueError(f"boost: expected a dict such as {{'price': -0.01}}, found {boost!r}")
    numbers = [name for name, kind in fields.items() if kind in (INTEGER, FLOAT)]
    for name, weight in boost.items():
        if name not in numbers:
            held = f"{name!r} holds {fields[name]}" if name in fields else f"no field {name!r}"
            raise ValueError(
                f"boost: expected a field of numbers, {held}{closest(name, numbers)}; there are {numbers}"
            )
        check_value(f"boost of {name!r}", weight, Number())
    return {json_path(name, part): float(weight) for name, weight in boost.items()}


def check_filterable(name: str, fields: Mapping[str, str]) -> None:
    """Raise ValueError unless `fields` has this name."""
    if name not in fields:
        raise ValueError(
            f"where: no filterable field {name!r}{closest(name, fields)}; there are {list(fields)}"
        )


def closest(found: object, known: Iterable[object]) -> str:
    """Return a question that names the known word most like the one that was found; "" where none is like it.

    >>> closest("mugg", ["cup", "mug"])
    " (did you mean 'mug'?)"
    """
    near = get_close_matches(str(found), [str(one) for one in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _as_filter(text: object) -> str:
    """Return the filter that a text such as "label=mug" or "label: mug" may stand for, as it is written in Python."""
    found = re.fullmatch(r"\s*([^=:]+?)\s*[=:]+\s*(.+?)\s*", text) if isinstance(text, str) else None
    return str({found[1]: found[2]}) if found else "{'label': 'mug'}"


def _read_field(name: str, kind: str, wanted: object, path: str) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        return [Condition(path, kind, _read_values(name, kind, wanted))]
    unknown = [word for word in wanted if word not in (*BOUNDS, "not")]
    if unknown or not wanted:
        raise ValueError(
            f"where: {name!r} takes {[*BOUNDS, 'not']}, found {unknown[0] if unknown else '{}'!r}"
        )
    bounds = [(word, _read_bound(name, kind, value)) for word, value in wanted.items() if word != "not"]
    found = [Condition(path, kind, bounds=tuple(bounds))] if bounds else []
    if "not" in wanted:
        found.append(Condition(path, kind, _read_values(name, kind, wanted["not"]), negated=True))
    return found


def _read_bound(name: str, kind: str, value: object) -> float:
    if kind not in (INTEGER, FLOAT):
        raise ValueError(f"where: a range needs a field of numbers, {name!r} holds {kind}")
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"where: {name!r}: the bounds of a range are finite numbers, found {value!r}")
    return float(value)


def _read_values(name: str, kind: str, wanted: object) -> tuple[Value, ...]:
    values = list(wanted) if isinstance(wanted, list | tuple | set | frozenset | np.ndarray) else [wanted]
    if not values:
        raise ValueError(f"where: {name!r}: the list of allowed values is empty; name one, or leave it out")
    wrong = [value for value in values if kind == KEYWORD and not isinstance(value, str)]
    if wrong:
        raise ValueError(f"where: {name!r} holds {kind}, found {wrong[0]!r}")
    try:
        return tuple(clean_value(value, kind) for value in values)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"where: {name!r}: {error}") from None
