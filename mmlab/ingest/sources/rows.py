"""Entries of any source become one table: our columns are text, the user's keep their type."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from mmlab.ingest.sources.cells import as_text, plain, storable

MALFORMED = "malformed row"
LONGEST = 1000  # characters that are kept of the raw text of a malformed row


class Row(NamedTuple):
    """One row of a source; `own` are the user's cells in their order, () where none could be read."""

    image: str = ""
    caption: str = ""
    origin: str = "caption"
    label: str | None = None
    split: str | None = None
    file: str | None = None
    problem: str | None = None
    detail: str | None = None
    own: tuple[Any, ...] = ()


OUR_COLUMNS = Row._fields[:-1]


def malformed(raw: Any, detail: str, image: str = "") -> Row:
    """A row that could not be read, with what could be saved of it; `raw` is its caption or all of it."""
    try:
        caption = as_text(plain(raw)) or ""
    except RecursionError:  # too deep to be written down
        caption = ""
    return Row(image, caption[:LONGEST].strip(), problem=MALFORMED, detail=detail[:LONGEST])


def gather(rows: Iterable[Row], own: Sequence[str] = ()) -> pd.DataFrame:
    """One line per row, indexed by `row` from 1: our columns, then the user's, named `own`."""
    rows = list(rows)
    index = pd.RangeIndex(1, len(rows) + 1, name="row")
    ours = {name: _strings([row[place] for row in rows]) for place, name in enumerate(OUR_COLUMNS)}
    theirs = {
        name: _typed([row.own[place] if row.own else None for row in rows]) for place, name in enumerate(own)
    }
    return pd.DataFrame({**ours, **theirs}, index=index)


def _typed(values: list[Any]) -> pd.api.extensions.ExtensionArray:
    """As the one type that all values have; as text where they have several."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.array(values, dtype="boolean")
    if kinds == {int}:
        return pd.array(values, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.array(values, dtype="float64")
    return _strings([as_text(value) for value in values])


def _strings(values: list[str | None]) -> pd.api.extensions.ExtensionArray:
    try:
        return pd.array(values, dtype="str")
    except UnicodeEncodeError:  # JSON can spell half of a character
        return pd.array([value and storable(value) for value in values], dtype="str")
