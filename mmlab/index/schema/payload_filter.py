"""Filters in plain notation, checked against the schema: all fields named must be met.

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

from mmlab.index.schema.fields import FLOAT, INTEGER, KEYWORD, clean, path
from mmlab.index.schema.schema import Schema

BOUNDS = ("gt", "gte", "lt", "lte")
Value = str | int | float | bool


@dataclass(frozen=True)
class Condition:
    """The value at `path`, of a kind, is any of `values` (none of them where negated), or lies within `bounds`."""

    path: str
    kind: str
    values: tuple[Value, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)
    negated: bool = False


def conditions(
    where: Mapping[str, Any] | None, schema: Schema, to: str | None = None
) -> tuple[Condition, ...]:
    """The conditions of a filter on the items of modality `to`, None for those of all modalities.

    In the named layout a filter needs a modality: one point holds items of several. Raises ValueError for a field
    that the schema does not let filter, an empty list, an unknown word, a value of another kind.
    """
    known = schema.filterable
    unknown = [name for name in where or {} if name not in known]
    if unknown:
        raise ValueError(f"where: no filterable field {unknown[0]!r}; there are {list(known)}")
    part = _part(schema, to)
    found = [
        condition
        for name, wanted in (where or {}).items()
        for condition in _read(name, known[name], wanted, part)
    ]
    if to is not None and (schema.layout == "named" or schema.modalities != (to,)):
        found.append(_of_modality(schema, to, part))
    return tuple(found)


def any_item(ids: tuple[str, ...], part: str) -> Condition:
    """The points whose item of modality `part` is one of these, in the named layout."""
    return Condition(path("item_id", part), KEYWORD, ids)


def _part(schema: Schema, to: str | None) -> str:
    if to is not None and schema.modalities and to not in schema.modalities:
        raise ValueError(f"no items of modality {to!r}; there are {list(schema.modalities)}")
    return (to or "") if schema.layout == "named" else ""


def _of_modality(schema: Schema, to: str, part: str) -> Condition:
    if "modality" not in schema.filterable:
        raise ValueError("the collection's items have no field 'modality' to tell them apart by")
    return Condition(path("modality", part), KEYWORD, (to,))


def _read(name: str, kind: str, wanted: Any, part: str) -> list[Condition]:
    where = path(name, part)
    if not isinstance(wanted, Mapping):
        return [Condition(where, kind, _values(name, kind, wanted))]
    unknown = [word for word in wanted if word not in (*BOUNDS, "not")]
    if unknown or not wanted:
        raise ValueError(
            f"where: {name!r} takes {[*BOUNDS, 'not']}, found {unknown[0] if unknown else '{}'!r}"
        )
    bounds = {word: _bound(name, kind, value) for word, value in wanted.items() if word != "not"}
    found = [Condition(where, kind, bounds=bounds)] if bounds else []
    if "not" in wanted:
        found.append(Condition(where, kind, _values(name, kind, wanted["not"]), negated=True))
    return found


def _bound(name: str, kind: str, value: Any) -> float:
    if kind not in (INTEGER, FLOAT):
        raise ValueError(f"where: a range needs a field of numbers, {name!r} holds {kind}")
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"where: {name!r}: a range is bounded by finite numbers, found {value!r}")
    return float(value)


def _values(name: str, kind: str, wanted: Any) -> tuple[Value, ...]:
    values = list(wanted) if isinstance(wanted, list | tuple | set | frozenset | np.ndarray) else [wanted]
    if not values:
        raise ValueError(f"where: {name!r} is to be any of an empty list; give a value or leave it out")
    wrong = [value for value in values if kind == KEYWORD and not isinstance(value, str)]
    if wrong:
        raise ValueError(f"where: {name!r} holds {kind}, found {wrong[0]!r}")
    try:
        return tuple(clean(value, kind) for value in values)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"where: {name!r}: {error}") from None
