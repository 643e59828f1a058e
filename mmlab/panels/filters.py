"""Filters of a panel, built from what the items can be filtered by."""

from typing import Any

import pandas as pd

from mmlab.panels import controls
from mmlab.retrieve import facets

NOT_ASKED = {"width", "height", "flags"}  # of the file, not of what it shows


def filter_fields(items: pd.DataFrame) -> dict[str, list | tuple]:
    """What a field can be limited to: (lowest, highest) of a column of numbers, else the values of a facet."""
    images = items[items["modality"] == "image"]
    numbers = {
        name: _ends(images[name])
        for name in images.columns
        if name not in NOT_ASKED and _counts(images[name])
    }
    named = {name: values for name, values in facets(items).items() if name not in {*numbers, *NOT_ASKED}}
    return {**named, **numbers}


def filter_controls(fields: dict[str, list | tuple]) -> dict[str, Any]:
    """A control for each field: a list to choose from, or a slider with two ends."""
    return {
        name: controls.extent(*known, name) if isinstance(known, tuple) else controls.several(known, name)
        for name, known in fields.items()
    }


def where_of(fields: dict[str, list | tuple], chosen: dict[str, Any]) -> dict[str, Any]:
    """The filter that the controls' values stand for; what lets everything through is left out."""
    where: dict[str, Any] = {}
    for name, value in chosen.items():
        if isinstance(fields[name], tuple):
            if tuple(value) != fields[name]:
                where[name] = {"gte": value[0], "lte": value[1]}
        elif value:
            where[name] = list(value)
    return where


def chosen_by(fields: dict[str, list | tuple], where: dict[str, Any]) -> dict[str, Any]:
    """The controls' values that stand for a filter: the way back of `where_of`."""
    values: dict[str, Any] = {}
    for name, known in fields.items():
        if isinstance(known, tuple):
            bounds = where.get(name, {})
            values[name] = (bounds.get("gte", known[0]), bounds.get("lte", known[1]))
        else:
            values[name] = tuple(where.get(name, ()))
    return values


def _counts(column: pd.Series) -> bool:
    kind = pd.api.types
    return kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column) and column.nunique() > 1


def _ends(column: pd.Series) -> tuple[float, float]:
    whole = pd.api.types.is_integer_dtype(column)
    return tuple(int(end) if whole else float(end) for end in (column.min(), column.max()))
