"""Filters in plain notation, checked against the payload fields; an item must meet all of them.

```
{"modality": "image"}               equal
{"colour": ["red", "blue"]}         any of
{"price": {"gte": 10, "lt": 50}}    range: gt, gte, lt, lte
{"colour": {"not": ["red"]}}        none of; an item without a colour passes
```
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from mmlab.index.schema.fields import FLOAT, INTEGER, KEYWORD, Value, clean_value, json_path

BOUNDS = ("gt", "gte", "lt", "lte")

Where = Mapping[str, Any]  # a filter in plain notation


@dataclass(frozen=True)
class Condition:
    """The value at `path` is any of `values` (none of them if `negated`), or lies within `bounds`."""

    path: str
    kind: str
    values: tuple[Value, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)
    negated: bool = False


Conditions = tuple[Condition, ...]


def read_filter(where: Where | None, fields: Mapping[str, str], part: str = "") -> Conditions:
    """Return the conditions of a filter on `fields`, the filterable ones as {name: kind}.

    `part` is the part of the payload that holds the fields, "" for the payload itself. Raises ValueError for an
    unknown field, an empty list, an unknown word, or a value of another kind.
    """
    unknown = [name for name in where or {} if name not in fields]
    if unknown:
        raise ValueError(f"where: no filterable field {unknown[0]!r}; there are {list(fields)}")
    return tuple(
        condition
        for name, wanted in (where or {}).items()
        for condition in _read_field(name, fields[name], wanted, json_path(name, part))
    )


def _read_field(name: str, kind: str, wanted: object, path: str) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        return [Condition(path, kind, _read_values(name, kind, wanted))]
    unknown = [word for word in wanted if word not in (*BOUNDS, "not")]
    if unknown or not wanted:
        raise ValueError(
            f"where: {name!r} takes {[*BOUNDS, 'not']}, found {unknown[0] if unknown else '{}'!r}"
        )
    bounds = {word: _read_bound(name, kind, value) for word, value in wanted.items() if word != "not"}
    found = [Condition(path, kind, bounds=bounds)] if bounds else []
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
