"""What a layout is: how the points of a collection hold its items, and how they are found again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Unpack

import numpy as np
import pandas as pd

from mmlab.index.schema.fields import KEYWORD, NOT_INDEXED, json_path, payload_rows
from mmlab.index.schema.payload_filter import Condition, Conditions, Where, read_filter
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Engine, Payload, Row, Search, SearchOptions
from mmlab.index.store.points import Points, unique_item_ids
from mmlab.items import Space, Vectors, check_columns, is_among, places_among

VectorRows = tuple[Vectors, np.ndarray]  # vectors, and the row of each item in them, -1 for none


class Contents(NamedTuple):
    """What one collection of an index holds; `suffix` is added to the collection's name."""

    space: Space
    modalities: tuple[str, ...]
    position: int = 0
    suffix: tuple[str, ...] = ()
    vector_spaces: Mapping[str, Space] = {}


class Layout:
    """How the points of one collection hold items: here, each item has a point of its own, under its own id.

    A part is a place in a point's payload that holds an item, "" for the payload itself.
    suffix_pattern: what may follow index and layout in the name of a collection, as a regular expression.
    """

    suffix_pattern = "(-.*)?"

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    @staticmethod
    def divide(modalities: Mapping[Space, tuple[str, ...]]) -> list[Contents]:
        """Return the collections for the spaces and the modalities that each holds, the main space first."""
        raise NotImplementedError

    def payload_indexes(self) -> dict[str, str]:
        """Return the payload indexes of the collection, as {path: kind}."""
        return {json_path(name): kind for name, kind in indexed_fields(self.schema).items()}

    def holds(self, space: Space, modality: str) -> bool:
        """Return whether the collection has vectors of the space for items of the modality."""
        return space in self.schema.spaces and modality in self.schema.modalities

    def vector_name(self, space: Space, modality: str | None) -> str:
        """Return the name of the vector of a space and modality, "" if a point has one; raise ValueError."""
        return ""

    def part(self, modality: str | None) -> str:
        """Return the part of a payload that holds an item of the modality; raise ValueError if it needs one."""
        return ""

    def filters(self, where: Where | None, modality: str | None) -> dict[str, Conditions]:
        """Return the conditions for items of a modality, for all items without one, by the part they are about.

        Raises ValueError for a modality that is not there and for a wrong `where`, see `read_filter`.
        """
        check_modality(self.schema, modality)
        conditions = read_filter(where, self.schema.filterable)
        if modality is not None and self.schema.modalities != (modality,):
            conditions += modality_condition(self.schema, modality)
        return {"": conditions}

    def search(self, space: Space, modality: str | None, k: int, **options: Unpack[SearchOptions]) -> Search:
        """Return the search for the `k` items of a modality that are nearest to queries of the space; ValueError."""
        part, vector = self.part(modality), self.vector_name(space, modality)
        return Search.from_options(self.schema, k, vector, part, **options)

    def arrange(self, items: pd.DataFrame, vectors: Sequence[Vectors]) -> Points:
        """Return the points of the items that belong here and have a vector in a space of the collection."""
        check_columns(items, ["item_id", *self.schema.fields], "items")
        ours = [one for one in vectors if one.space in self.schema.spaces]
        rows = [places_among(items["item_id"], one.ids) for one in ours]
        belongs = is_among(items["modality"], self.schema.modalities) & (np.max(rows, axis=0) >= 0)
        kept = np.flatnonzero(belongs)
        table = items[["item_id", *self.schema.fields]].iloc[kept].reset_index(drop=True)
        return self._points(table, [(one, row[kept]) for one, row in zip(ours, rows, strict=True)])

    def payloads(self, engine: Engine, collection: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by item id, without the items that are not there."""
        return engine.payloads(collection, unique_item_ids(ids))

    def rows(self, engine: Engine, collection: str, ids: Sequence[str], space: Space) -> dict[str, Row]:
        """Return the vectors of a space by item id, without the items that have none."""
        return engine.rows(collection, unique_item_ids(ids))

    def scroll(
        self, engine: Engine, collection: str, filters: Mapping[str, Conditions], ids_only: bool = False
    ) -> Iterator[tuple[str, Payload]]:
        """Yield id and payload of the items that meet the conditions; the payload may be empty if `ids_only`."""
        records = engine.scroll(collection, filters[""], [] if ids_only else None)
        return ((item, payload) for item, payload, _ in records)

    def _points(self, table: pd.DataFrame, vectors: Sequence[VectorRows]) -> Points:
        ids = table["item_id"].to_numpy(dtype=str)
        return Points(ids, payload_rows(table, self.schema.fields), {"": vectors[0]})


def indexed_fields(schema: Schema) -> dict[str, str]:
    """Return the fields that have a payload index, and their kinds."""
    return {name: kind for name, kind in schema.filterable.items() if name not in NOT_INDEXED}


def check_modality(schema: Schema, modality: str | None) -> None:
    """Raise ValueError if the collection is known to hold no items of the modality."""
    if modality is not None and schema.modalities and modality not in schema.modalities:
        raise ValueError(f"no items of modality {modality!r}; there are {list(schema.modalities)}")


def modality_condition(schema: Schema, modality: str, part: str = "") -> Conditions:
    """Return the condition that an item is of the modality; ValueError if there is no field that says so."""
    if "modality" not in schema.filterable:
        raise ValueError("the collection's items have no field 'modality' to tell them apart by")
    return (Condition(json_path("modality", part), KEYWORD, (modality,)),)
