"""Items and their vectors -> points, as the layout has them: one per item, or in the named layout one per pair."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.schema.fields import FINGERPRINT, payloads
from mmlab.index.schema.schema import Schema, vector_name
from mmlab.index.store.engine import Row
from mmlab.items import Vectors, check_columns


@dataclass(frozen=True)
class Points:
    """N points: ids, payloads, and for each name of a vector ("" for the only one) the vectors and a row number.

    The row numbers (N,) say which row of the vectors is the point's, -1 where it has none of that name.
    """

    ids: np.ndarray
    payloads: list[dict[str, Any]]
    vectors: Mapping[str, tuple[Vectors, np.ndarray]]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, part: np.ndarray) -> list[Row]:
        """The vectors of the points at these positions, as an engine takes them."""
        if "" in self.vectors:
            vectors, number = self.vectors[""]
            return vectors.array[number[part]].tolist()
        rows: list[Row] = [{} for _ in part]
        for name, (vectors, number) in self.vectors.items():
            there = np.flatnonzero(number[part] >= 0)
            for i, row in zip(there, vectors.array[number[part][there]].tolist(), strict=True):
                rows[i][name] = row
        return rows

    def take(self, positions: Sequence[int], marks: Sequence[int]) -> "Points":
        """The points at these positions, with their fingerprints in the payload."""
        payloads = [{**self.payloads[i], FINGERPRINT: marks[i]} for i in positions]
        chosen = np.asarray(positions, dtype=int)
        vectors = {name: (rows, number[chosen]) for name, (rows, number) in self.vectors.items()}
        return Points(self.ids[chosen], payloads, vectors)

    def fingerprints(self) -> list[int]:
        """A whole number per point, of 60 bits, which changes with its payload or one of its vectors."""
        hashes = [hashlib.sha256(repr(payload).encode()) for payload in self.payloads]
        for name, (vectors, number) in self.vectors.items():
            rows, size = memoryview(vectors.array).cast("B"), 4 * vectors.space.dimension
            for i in np.flatnonzero(number >= 0).tolist():
                start = size * int(number[i])
                hashes[i].update(name.encode())
                hashes[i].update(rows[start : start + size])
        return [int(found.hexdigest()[:15], 16) for found in hashes]


def arrange(items: pd.DataFrame, spaces: Sequence[Vectors], schema: Schema) -> Points:
    """The points of one collection: the items of its modalities that have a vector in one of its spaces."""
    check_columns(items, ["item_id", *schema.fields], "items")
    held = np.logical_or.reduce([items["modality"] == modality for modality in schema.modalities])
    ours = [vectors for vectors in spaces if vectors.space in schema.spaces]
    numbers = [_numbers(vectors, items["item_id"]) for vectors in ours]
    kept = np.flatnonzero(held & (np.max(numbers, axis=0) >= 0))
    table = items[["item_id", *schema.fields]].iloc[kept].reset_index(drop=True)
    if schema.layout == "named":
        return _by_pair(table, ours, schema)
    ids = table["item_id"].to_numpy(dtype=str)
    return Points(ids, payloads(table, schema.fields), {"": (ours[0], numbers[0][kept])})


def _by_pair(table: pd.DataFrame, spaces: Sequence[Vectors], schema: Schema) -> Points:
    """The first item of every modality of a pair share a point; each further item has one of its own."""
    items = pd.Index(table["item_id"])
    first = table["pair_id"].notna() & ~table.duplicated(["pair_id", "modality"])
    group = table["pair_id"].where(first, table["item_id"])
    leads = table.assign(group=group, late=table["modality"].map(schema.modalities.index))
    leads = leads.sort_values("late", kind="stable").drop_duplicates(["group"]).set_index("group")["item_id"]
    point_of = group.map(leads).to_numpy(dtype=str)
    ids = pd.unique(point_of)
    position = pd.Series(np.arange(len(ids)), index=ids)[point_of].to_numpy()
    nested: list[dict[str, Any]] = [{} for _ in ids]
    flat = zip(position, table["modality"], items, payloads(table, schema.fields), strict=True)
    for i, modality, item, payload in flat:
        nested[i][modality] = {"item_id": item, **payload}
    vectors = {}
    for one in spaces:
        numbers = _numbers(one, table["item_id"])
        for modality in schema.modalities:
            if vector_name(one.space, modality) in schema.named:
                mine = np.flatnonzero((table["modality"] == modality) & (numbers >= 0))
                number = np.full(len(ids), -1)
                number[position[mine]] = numbers[mine]
                vectors[vector_name(one.space, modality)] = one, number
    return Points(ids, nested, vectors)


def _numbers(vectors: Vectors, ids: pd.Series) -> np.ndarray:
    """The row of each id (N,) in the vectors, -1 where it has none."""
    rows = {item: i for i, item in enumerate(vectors.ids.tolist())}
    return np.array([rows.get(item, -1) for item in ids.tolist()], dtype=int)


def flat_points(vectors: Vectors, payload: pd.DataFrame, fields: Mapping[str, str]) -> Points:
    """Row i of `payload` with vector i; ValueError where the ids are not the same, row by row."""
    check_columns(payload, ["item_id"], "payload")
    if not np.array_equal(vectors.ids, payload["item_id"].to_numpy(dtype=str)):
        raise ValueError(
            f"payload: its item_id column is to be the ids of the vectors, row by row; "
            f"found {len(payload)} rows for {len(vectors)} vectors, or another order"
        )
    return Points(vectors.ids, payloads(payload, fields), {"": (vectors, np.arange(len(vectors)))})
