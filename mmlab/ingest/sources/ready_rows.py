"""The rows of tables that stand beside ready vectors, column by column: no object is made for a row."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mmlab.ingest.dataset_files import inside_folders, is_inside
from mmlab.ingest.sources.cells import OUR_COLUMNS, to_plain, to_text, usual_split
from mmlab.ingest.sources.column_names import ADDRESS_NAMES, ColumnMap, map_columns
from mmlab.ingest.sources.records import RECORDS_LOOKED_AT
from mmlab.items import ITEM_COLUMNS, is_among

KEYS = ("key", "id", "item_id", "uid", "md5")  # what names an image where no path and no address does
MODALITY, PAIR = "modality", "pair_id"  # of records that are an image or a text each
ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://")


def make_rows(
    tables: Mapping[str, pa.Table], columns: Mapping[str, list[str]], by_modality: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Return one line per record, with the columns of `Source.rows`, and what was guessed of the tables' columns.

    tables: by name. The first column of captions is the one that was embedded; further ones are the user's.
    by_modality: each record is an image or a text, as its field `modality` says, tied to others by its `pair_id`; the
    images come first then.
    An image is called by its path, else its address, else its key, else by its table and the number of the record.

    >>> rows, notes = make_rows({"m": pa.table({"image_path": ["a.jpg", ""], "caption": ["A mug", "A cup"]})}, {})
    >>> rows[["image", "caption", "table", "record"]].values.tolist()
    [['a.jpg', 'A mug', 'm', 1], ['m#2', 'A cup', 'm', 2]]
    """
    table = _joined(list(tables.values()))
    sample = [list(record.values()) for record in table.slice(0, RECORDS_LOOKED_AT).to_pylist()]
    found = map_columns(table.column_names, columns, next(iter(tables)), sample, needs_image=False)
    lengths = [len(one) for one in tables.values()]
    places = {
        "table": pd.array(pa.chunked_array(map(pa.repeat, tables, lengths), pa.string()), dtype="str"),
        "record": pd.array(np.concatenate([np.arange(1, length + 1) for length in lengths]), dtype="Int64"),
    }
    ours = _our_values(table, found, by_modality)
    index = pd.RangeIndex(1, len(table) + 1, name="row")
    empty = {name: _nothing(len(index)) for name in OUR_COLUMNS}
    rows = pd.DataFrame({**empty, "origin": "caption", **ours, **places, **_users(table, found)}, index)
    rows = rows.astype({"origin": "str"})
    notes = [found.note] if found.note else []
    if by_modality:
        users = [name for name in rows.columns if name.removeprefix("source_") in ITEM_COLUMNS]
        kept = rows.drop(columns=[name for name in users if name not in OUR_COLUMNS and name != "label"])
        return _tied_by_pair(kept, _text(table.column(MODALITY))), notes
    if found.images or any(name in table.column_names for name in KEYS):
        unnamed = rows["image"] == ""
        rows.loc[unnamed, "image"] = rows["table"][unnamed] + "#" + rows["record"][unnamed].astype("str")
    return rows, notes


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables as one; a column that has types without a common one is text in all of them."""
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    for name in names:
        types = [table.schema.field(name).type for table in tables if name in table.column_names]
        plain = all(pa.types.is_null(kind) or pa.types.is_primitive(kind) for kind in types)
        if len(set(types)) > 1 and not plain and not any(map(pa.types.is_nested, types)):
            tables = [_as_text(table, name) if name in table.column_names else table for table in tables]
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _as_text(table: pa.Table, name: str) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, table.column(place).cast(pa.large_string()))


def _our_values(table: pa.Table, found: ColumnMap, by_modality: bool) -> dict[str, Any]:
    """Return the columns of ours that a table says."""
    names = table.column_names
    paths = [place for place, _ in found.images]
    webs = [number for number, name in enumerate(names) if name in ADDRESS_NAMES and number not in paths]
    keys = [names.index(name) for name in KEYS if name in names]
    pair = [names.index(PAIR)] if by_modality and PAIR in names else []
    captions = [text.place for text in found.texts[:1]]
    values = {
        "image": _first(table, [*pair, *paths, *webs, *keys]),
        "caption": _first(table, captions),
        "address": _first(table, [*(paths if pair else []), *webs]),
        "label": _first(table, [] if found.label is None else [found.label]),
        "split": _first(table, [] if found.split is None else [found.split]),
    }
    for name in ("address", "label", "split"):
        values[name] = values[name].mask(values[name] == "")
    usual = {split: usual_split(split) for split in values["split"].dropna().unique()}
    values["split"] = values["split"].map(usual).astype("str")
    return {name: value.array for name, value in values.items()}


def _first(table: pa.Table, places: Sequence[int]) -> pd.Series:
    """Return for each record the first of these cells that is not empty, as text; "" where all are."""
    found = pd.Series(pd.array(pa.repeat("", len(table)), dtype="str"))
    for place in reversed(places):
        cells = _text(table.column(place)).str.strip()
        found = cells.mask(cells == "", found)
    return found


def _nothing(count: int) -> Any:
    """Return a column of texts that are all missing."""
    return pd.array(pa.nulls(count, pa.large_string()), dtype="str")


def _text(column: pa.ChunkedArray) -> pd.Series:
    """Return a column as text; "" where it is missing, and what is no plain value as JSON."""
    if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
        cells = [to_text(to_plain(cell)) or "" for cell in column.to_pylist()]
        return pd.Series(pd.array(cells, dtype="str"))
    text = pc.fill_null(column.cast(pa.large_string()), "")
    return pd.Series(pd.array(text, dtype="str"))


def _users(table: pa.Table, found: ColumnMap) -> dict[str, Any]:
    """Return the user's columns: text, Int64, float64 or boolean."""
    users = zip(found.user_places, found.user_names, strict=True)
    return {name: _user_values(table.column(place)) for place, name in users}


def _user_values(column: pa.ChunkedArray) -> Any:
    kind = column.type
    for is_kind, own, dtype in (
        (pa.types.is_boolean, pa.bool_(), "boolean"),
        (pa.types.is_integer, pa.int64(), "Int64"),
        (pa.types.is_floating, pa.float64(), "float64"),
    ):
        if is_kind(kind):
            return pd.array(column.cast(own, safe=False).to_pandas(types_mapper=_nullable), dtype=dtype)
    text = _text(column)
    return text.mask(text == "").array


def _nullable(kind: pa.DataType) -> Any:
    return {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}.get(kind)


def _tied_by_pair(rows: pd.DataFrame, modality: pd.Series) -> pd.DataFrame:
    """Return images before texts; a text keeps the name of its image where that is among the rows."""
    is_image = (modality == "image").to_numpy()
    lone = ~is_image & ~is_among(rows["image"], rows["image"][is_image])
    rows["image"] = rows["image"].mask(lone, "")
    rows["caption"] = rows["caption"].mask(is_image, "")
    ordered = rows.iloc[np.argsort(~is_image, kind="stable")]
    return ordered.set_axis(pd.RangeIndex(1, len(rows) + 1, name="row"))


def find_named(rows: pd.DataFrame, folders: Iterable[Path], follow_links: bool = False) -> pd.DataFrame:
    """Return for each row what `images.find.Found` holds, without opening an image or looking further for one.

    file: the absolute path where a file of this name lies in one of the folders; else the address or the name as
    written, which stands for the image. A path that leads out of the folders is written as file://, so that nothing
    opens it.
    """
    look = _Look([Path(os.path.realpath(folder)) for folder in folders], follow_links)
    written = rows["address"].fillna(rows["image"])
    files = [look.find(name) for name in written.tolist()]
    found = {
        name: pd.array([None] * len(rows), dtype="str") for name in ("guess", "reason", "detail", "link")
    }
    named = {"name": rows["image"].array, "file": pd.array(files, dtype="str")}
    return pd.DataFrame({**named, **found}, rows.index)


class _Look:
    """Look for files by their names, each folder listed once."""

    def __init__(self, folders: Sequence[Path], follow_links: bool) -> None:
        self.folders, self.follow_links = folders, follow_links
        self.inside = [place for folder in folders for place in inside_folders(folder)]
        self.listed: dict[str, frozenset[str]] = {}

    def find(self, name: str) -> str:
        """Return the path of the file, or what stands for it."""
        if not name or ADDRESS.match(name):
            return name
        for folder in self.folders:
            above, last = os.path.split(os.path.join(folder, name))
            if last in self._names(above):
                path = os.path.join(above, last)
                if self.follow_links or is_inside(os.path.realpath(path), self.inside):
                    return os.path.normpath(path)
        leads_out = os.path.isabs(name) or ".." in name.split("/")
        return f"file://{name}" if leads_out else name

    def _names(self, folder: str) -> frozenset[str]:
        if folder not in self.listed:
            try:
                given = self.follow_links or is_inside(os.path.realpath(folder), self.inside)
                self.listed[folder] = frozenset(os.listdir(folder) if given else ())
            except (OSError, ValueError):
                self.listed[folder] = frozenset()
        return self.listed[folder]
