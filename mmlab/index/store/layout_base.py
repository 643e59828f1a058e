"""Points as they are stored, and what a layout is: how points hold items, and how the items are found again."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Unpack, cast

import numpy as np
import pandas as pd

from mmlab.index.store.engine import Engine, Payload, Row, Search, SearchOptions, WholeRecord
from mmlab.index.store.payload import (
    FINGERPRINT,
    KEYWORD,
    Condition,
    Conditions,
    Where,
    json_path,
    payload_rows,
    read_boost,
    read_filter,
    without_paths,
)
from mmlab.index.store.schema import Schema
from mmlab.items import Space, check_columns, is_among
from mmlab.items.ragged_vectors import AnyVectors, pooled_space
from mmlab.items.tables import places_among
from mmlab.items.vector_files import blocks_of, release_memory, release_spare_memory
from mmlab.items.vectors import DENSE, LATE, Vectors

ITEM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

VectorRows = tuple[AnyVectors, np.ndarray]  # vectors, and the row of each item in them, -1 for none


class Payloads(Protocol):
    """The payloads of points, made when they are asked for: those of a million points are never there at once."""

    def __getitem__(self, part: slice, /) -> list[Payload]:
        """Return the payloads of the points in this part, new ones each time."""
        ...


@dataclass(frozen=True)
class ItemPayloads:
    """Payloads of points that hold one item each, in the order of a table of items."""

    table: pd.DataFrame
    fields: Mapping[str, str]

    def __getitem__(self, part: slice) -> list[Payload]:
        """Return the payloads of the items in this part of the table."""
        return payload_rows(self.table.iloc[part], self.fields)


@dataclass(frozen=True)
class Points:
    """N points: ids (N,), payloads, and for each name of a vector ("" for the only one) vectors and row numbers.

    The row numbers (N,) say which row of the vectors is the point's, -1 if it has none of that name.
    """

    ids: np.ndarray
    payloads: Payloads
    vectors: Mapping[str, VectorRows]

    def rows(self, positions: slice | np.ndarray) -> list[Row]:
        """Return the vectors of the points at these positions, as an engine takes them."""
        if list(self.vectors) == [""]:
            vectors, numbers = self.vectors[""]
            return [*vectors.rows(numbers[positions])]
        rows: list[dict[str, Any]] = [{} for _ in self.ids[positions]]
        for name, (vectors, numbers) in self.vectors.items():
            present = np.flatnonzero(numbers[positions] >= 0)
            found = vectors.rows(numbers[positions][present])
            for i, row in zip(present, found, strict=True):
                rows[i][name] = row
        return [*rows]

    def records(self, part: slice, stored: Mapping[str, int] | None = None) -> list[WholeRecord]:
        """Return id, payload and vectors of the points in this part.

        stored: the fingerprints of what a collection holds, by id; the points that it holds as they are here are left
        out, and the payloads of the others get their fingerprint.
        """
        ids, payloads = self.ids[part].tolist(), self.payloads[part]
        chosen = list(range(len(ids)))
        if stored is not None:
            fingerprints = self._fingerprints(part, payloads)
            chosen = [i for i, item in enumerate(ids) if stored.get(item) != fingerprints[i]]
            for i in chosen:
                payloads[i][FINGERPRINT] = fingerprints[i]
        rows = self.rows(part.start + np.array(chosen, dtype=int))
        return [(ids[i], payloads[i], row) for i, row in zip(chosen, rows, strict=True)]

    def fingerprints(self) -> dict[str, int]:
        """Return a whole number of 60 bits for each point by its id, which changes with its payload or its vectors.

        It is the same where the images lie elsewhere.
        """
        found: dict[str, int] = {}
        for part in blocks_of(len(self.ids)):
            found.update(
                zip(self.ids[part].tolist(), self._fingerprints(part, self.payloads[part]), strict=True)
            )
        return found

    def release_memory(self) -> None:
        """Give back the memory of vectors that were read from a file; what is needed again is read again."""
        for vectors, _ in self.vectors.values():
            if isinstance(vectors, Vectors):
                release_memory(vectors.array)
        release_spare_memory()

    def _fingerprints(self, part: slice, payloads: Sequence[Payload]) -> list[int]:
        hashes = [hashlib.sha256(repr(without_paths(payload)).encode()) for payload in payloads]
        for name, (vectors, numbers) in self.vectors.items():
            own = numbers[part]
            for i in np.flatnonzero(own >= 0).tolist():
                hashes[i].update(name.encode())
                hashes[i].update(vectors.part_bytes(int(own[i])))
        return [int(one.hexdigest()[:15], 16) for one in hashes]


class Contents(NamedTuple):
    """What one collection of an index holds; `suffix` is added to the collection's name."""

    space: Space
    modalities: tuple[str, ...]
    position: int = 0
    suffix: tuple[str, ...] = ()
    vector_spaces: Mapping[str, Space] = {}


class Layout(ABC):
    """How the points of one collection hold items: here, each item has a point of its own, under its own id.

    A part is a place in a point's payload that holds an item, "" for the payload itself.
    suffix_pattern: what may follow index and layout in the name of a collection, as a regular expression.
    """

    suffix_pattern = "(-.*)?"

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    @staticmethod
    @abstractmethod
    def divide(modalities: Mapping[Space, tuple[str, ...]]) -> list[Contents]:
        """Return the collections for the spaces and the modalities that each holds, the main space first."""

    def payload_indexes(self) -> dict[str, str]:
        """Return the payload indexes of the collection, as {path: kind}."""
        return {json_path(name): kind for name, kind in self.schema.indexed.items()}

    def holds(self, space: Space, modality: str) -> bool:
        """Return whether the collection has vectors of the space for items of the modality."""
        if space == self.schema.space:
            return modality in self.schema.modalities
        return named_vector(space, modality) in self.schema.vector_spaces

    def vector_name(self, space: Space, modality: str | None) -> str:
        """Return the name of the vector of a space and modality, "" for the dense one; raise ValueError if unknown."""
        return "" if space == self.schema.space else self._name_held(space, modality)

    def _name_held(self, space: Space, modality: str | None) -> str:
        name = named_vector(space, modality)
        if name not in self.schema.vector_spaces:
            known = list(self.schema.vector_spaces)
            raise ValueError(f"no vectors of {space.key} for {modality!r}; there are {known}")
        return name

    def part(self, modality: str | None) -> str:
        """Return the part of a payload that holds an item of the modality; raise ValueError if it needs one."""
        return ""

    def filters(self, where: Where | None, modality: str | None) -> dict[str, Conditions]:
        """Return the conditions for items of a modality, for all items without one, by the part they are about.

        Raises ValueError for a modality that is not there and for a wrong `where`, see `read_filter`.
        """
        self.schema.check_modality(modality)
        only = self.schema.modalities == (modality,)
        return {"": self._conditions(where, None if only else modality)}

    def search(self, space: Space, modality: str | None, k: int, **options: Unpack[SearchOptions]) -> Search:
        """Return the search for the `k` items of a modality that are nearest to queries of the space; ValueError."""
        part, vector = self.part(modality), self.vector_name(space, modality)
        if options.get("boost"):
            options["boost"] = read_boost(options["boost"], self.schema.filterable, part)
        if space.kind != DENSE and (options.get("examples") or options.get("boost")):
            raise ValueError(
                f"examples and boost score dense vectors, found {space.key}: leave them out, or ask another model"
            )
        found = Search.from_options(self.schema, k, vector, part, **options)
        if space.kind != LATE or found.exact:
            return found
        pooled = named_vector(pooled_space(space), modality)
        return replace(found, first=pooled) if pooled in self.schema.vector_spaces else found

    def arrange(self, items: pd.DataFrame, vectors: Sequence[AnyVectors]) -> Points:
        """Return the points of the items that belong here and have a vector in a space of the collection."""
        check_columns(items, ["item_id", *self.schema.fields], "items")
        ours = [one for one in vectors if one.space in self.schema.spaces]
        rows = [places_among(items["item_id"], one.ids) for one in ours]
        belongs = is_among(items["modality"], self.schema.modalities) & (np.max(rows, axis=0) >= 0)
        kept, table = np.flatnonzero(belongs), items[["item_id", *self.schema.fields]]
        table = table if belongs.all() else table.iloc[kept].reset_index(drop=True)
        return self._points(table, [(one, row[kept]) for one, row in zip(ours, rows, strict=True)])

    def payloads(self, engine: Engine, collection: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by item id, without the items that are not there."""
        return engine.payloads(collection, unique_item_ids(ids))

    def rows(self, engine: Engine, collection: str, ids: Sequence[str], space: Space) -> dict[str, Row]:
        """Return the dense vectors by item id, without the items that have none."""
        found = engine.rows(collection, unique_item_ids(ids))
        named = {item: row if isinstance(row, dict) else {"": row} for item, row in found.items()}
        return {item: cast("Row", row[""]) for item, row in named.items() if "" in row}

    def scroll(
        self, engine: Engine, collection: str, filters: Mapping[str, Conditions], ids_only: bool = False
    ) -> Iterator[tuple[str, Payload]]:
        """Yield id and payload of the items that meet the conditions; the payload may be empty if `ids_only`."""
        records = engine.scroll(collection, filters[""], [] if ids_only else None)
        return ((item, payload) for item, payload, _ in records)

    def _conditions(self, where: Where | None, modality: str | None, part: str = "") -> Conditions:
        """Return the conditions on the items in a part of the payload; ValueError if no field tells the modality."""
        conditions = read_filter(where, self.schema.filterable, part)
        if modality is None:
            return conditions
        if "modality" not in self.schema.filterable:
            raise ValueError("the collection's items have no field 'modality' to tell them apart by")
        return (*conditions, Condition(json_path("modality", part), KEYWORD, (modality,)))

    def _points(self, table: pd.DataFrame, vectors: Sequence[VectorRows]) -> Points:
        ids = _item_ids(table, vectors)
        arranged: dict[str, VectorRows] = {}
        for one, numbers in vectors:
            if one.space == self.schema.space:
                arranged[""] = one, numbers
                continue
            for modality in self.schema.modalities:
                if self.holds(one.space, modality):
                    own = np.where(table["modality"] == modality, numbers, -1)
                    arranged[named_vector(one.space, modality)] = one, own
        return Points(ids, ItemPayloads(table, self.schema.fields), arranged)


def _item_ids(table: pd.DataFrame, vectors: Sequence[VectorRows]) -> np.ndarray:
    """Return the ids of the items (N,): those of vectors in the same order where there are some, not a second array."""
    for one, numbers in vectors:
        if len(one.ids) == len(table) and (np.diff(numbers, prepend=-1) == 1).all():
            return one.ids
    return table["item_id"].to_numpy(dtype=str)


def named_vector(space: Space, modality: str | None) -> str:
    """Return the name that a vector of a space and modality has, where it has one."""
    return f"{space.key}-{modality}"


def check_item_ids(ids: Sequence[str] | np.ndarray) -> list[str]:
    """Return the ids if all are item ids; raise ValueError otherwise: engines would change another spelling."""
    ids = [str(item) for item in ids]
    wrong = [item for item in ids if not ITEM_ID.fullmatch(item)]
    if wrong:
        raise ValueError(
            f"an item_id is a lower-case uuid as mmlab.items.item_id makes it; found {wrong[0]!r}"
        )
    return ids


def unique_item_ids(ids: Sequence[str]) -> list[str]:
    """Return the different ids that are item ids: an engine cannot be asked for others."""
    return [item for item in dict.fromkeys(map(str, ids)) if ITEM_ID.fullmatch(item)]
