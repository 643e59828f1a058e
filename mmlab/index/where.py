"""Filters in plain notation, {"modality": "image", "colour": ["red", "blue"]}, checked against the schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.index.fields import KEYWORD, clean
from mmlab.index.schema import Schema


@dataclass(frozen=True)
class Condition:
    """The field's value is any of `values`, which are of the field's kind."""

    field: str
    kind: str
    values: tuple[str | int | float | bool, ...]


def conditions(where: Mapping[str, Any] | None, schema: Schema) -> tuple[Condition, ...]:
    """The conditions of a filter, all to be met: a value means equal, a list means any of.

    Raises ValueError for a field that the schema does not let filter, an empty list, a value of another kind.
    """
    known = schema.filterable
    unknown = [name for name in where or {} if name not in known]
    if unknown:
        raise ValueError(f"where: no filterable field {unknown[0]!r}; there are {list(known)}")
    return tuple(
        Condition(name, known[name], _values(name, known[name], v)) for name, v in (where or {}).items()
    )


def _values(name: str, kind: str, wanted: Any) -> tuple[str | int | float | bool, ...]:
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
