"""Filters of a panel, built from the fields that the index's schema lets filter by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mmlab.panels import controls

CHOICE, SEARCH, RANGE, YES_NO = "choice", "search", "range", "yes or no"
FEW = 50  # values that a list to choose from has room for
SUGGESTED = 500  # values; any other can be typed
NOT_ASKED = {"modality", "duplicate_of"}  # which has a control of its own, and which is no value but an id
ANY, ANSWERS = "any", {"yes": True, "no": False}


@dataclass(frozen=True)
class Filter:
    """How one field is limited, and what is known of its values: all, the most frequent first, or both ends."""

    way: str
    known: tuple


def filter_fields(items: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Filter]:
    """A filter for each field of `kinds` (name -> keyword, integer, float or bool) in which the items differ.

    Keywords are chosen from a list where there are few, else searched for; numbers get a range.
    """
    found = {}
    for name, kind in kinds.items():
        values = items[name].dropna() if name in items and name not in NOT_ASKED else pd.Series(dtype=object)
        if values.nunique() > 1:
            found[name] = _filter(values, kind)
    return found


def _filter(values: pd.Series, kind: str) -> Filter:
    if kind == "bool":
        return Filter(YES_NO, ())
    if kind in ("integer", "float"):
        whole = int if kind == "integer" else float
        return Filter(RANGE, (whole(values.min()), whole(values.max())))
    names = values.astype(str).value_counts().index
    return Filter(CHOICE if len(names) <= FEW else SEARCH, tuple(names))


def filter_controls(fields: Mapping[str, Filter]) -> dict[str, Any]:
    """A control for each field."""
    return {name: _control(one, name) for name, one in fields.items()}


def _control(one: Filter, name: str) -> Any:
    if one.way == RANGE:
        return controls.extent(*one.known, name)
    if one.way == YES_NO:
        return controls.choice([ANY, *ANSWERS], name)
    if one.way == SEARCH:
        return controls.suggestions(one.known[:SUGGESTED], name, "a value, then Enter", controls.NARROW)
    return controls.several(one.known, name)


def where_of(fields: Mapping[str, Filter], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The filter that the controls' values stand for; what lets everything through is left out."""
    where: dict[str, Any] = {}
    for name, value in chosen.items():
        one = fields[name]
        if one.way == RANGE:
            if tuple(value) != one.known:
                where[name] = {"gte": value[0], "lte": value[1]}
        elif one.way == YES_NO:
            if value != ANY:
                where[name] = ANSWERS[value]
        elif value:
            where[name] = value if one.way == SEARCH else list(value)
    return where


def chosen_by(fields: Mapping[str, Filter], where: Mapping[str, Any]) -> dict[str, Any]:
    """The controls' values that stand for a filter: the way back of `where_of`."""
    return {name: _chosen(one, where.get(name)) for name, one in fields.items()}


def _chosen(one: Filter, wanted: Any) -> Any:
    if one.way == RANGE:
        bounds = wanted or {}
        return bounds.get("gte", one.known[0]), bounds.get("lte", one.known[1])
    if one.way == YES_NO:
        return ANY if wanted is None else next(word for word, yes in ANSWERS.items() if yes == wanted)
    return (wanted or "") if one.way == SEARCH else tuple(wanted or ())
