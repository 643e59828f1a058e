"""The layouts of an index: which collections it has, and which point of them holds an item.

unified: one collection per space, in which a payload field tells images and texts apart. separate: one collection per
space and modality. named: one collection, in which a pair is a point with a vector for each space and modality.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from mmlab.index.store.engine import Engine, Payload, Row
from mmlab.index.store.layout_base import (
    Contents,
    Layout,
    Points,
    VectorRows,
    named_vector,
    unique_item_ids,
)
from mmlab.index.store.payload import KEYWORD, Condition, Conditions, Where, json_path, payload_rows
from mmlab.index.store.schema import Schema
from mmlab.items import Space
from mmlab.items.tables import places_among
from mmlab.items.vectors import DENSE

MAX_FILTER_IDS = 1_000
PAIR_ORDER = ("image", "text")  # a point has the id of its image, without one of its text


class UnifiedLayout(Layout):
    """One collection per space."""

    @staticmethod
    def divide(modalities: Mapping[Space, tuple[str, ...]]) -> list[Contents]:
        """Return a collection per dense space; that of the main space has all other vectors beside, and no suffix."""
        dense = {space: held for space, held in modalities.items() if space.kind == DENSE}
        beside = _named({space: held for space, held in modalities.items() if space not in dense})
        return [
            Contents(space, held, i, (space.key,), {}) if i else Contents(space, held, vector_spaces=beside)
            for i, (space, held) in enumerate(dense.items())
        ]


class SeparateLayout(Layout):
    """One collection per space and modality."""

    suffix_pattern = "(-.*)?-(image|text)"

    @staticmethod
    def divide(modalities: Mapping[Space, tuple[str, ...]]) -> list[Contents]:
        """Return a collection per space and modality."""
        return [
            Contents(
                one.space,
                (modality,),
                one.position,
                (*one.suffix, modality),
                {name: space for name, space in one.vector_spaces.items() if name.endswith(f"-{modality}")},
            )
            for one in UnifiedLayout.divide(modalities)
            for modality in one.modalities
        ]


class NamedLayout(Layout):
    """One collection: the first image and the first text of a pair share a point, a further item has its own.

    A point has the id of its image, without one of its text. The payload holds each item under its modality.
    """

    suffix_pattern = ""

    @staticmethod
    def divide(modalities: Mapping[Space, tuple[str, ...]]) -> list[Contents]:
        """Return the one collection, with a named vector for each space and modality."""
        named = _named(modalities)
        every = tuple(one for one in PAIR_ORDER if any(one in held for held in modalities.values()))
        return [Contents(next(iter(modalities)), every, vector_spaces=named)]

    def payload_indexes(self) -> dict[str, str]:
        """Return the payload indexes under every modality, of the item's id too."""
        kinds = {**self.schema.indexed, "item_id": KEYWORD}
        return {
            json_path(name, part): kind for part in self.schema.modalities for name, kind in kinds.items()
        }

    def holds(self, space: Space, modality: str) -> bool:
        """Return whether there is a vector of this name."""
        return named_vector(space, modality) in self.schema.vector_spaces

    def vector_name(self, space: Space, modality: str | None) -> str:
        """Return the name of the vector; raise ValueError if points have none of the space and modality."""
        return self._name_held(space, modality)

    def part(self, modality: str | None) -> str:
        """Return the modality, which is needed: one point holds items of several."""
        if modality is None:
            known = list(self.schema.modalities)
            raise ValueError(f"search: the named layout needs the modality to search for, to={known}")
        return modality

    def filters(self, where: Where | None, modality: str | None) -> dict[str, Conditions]:
        """Return the conditions under each modality, or under the one that is given."""
        self.schema.check_modality(modality)
        parts = [modality] if modality else self.schema.modalities
        return {part: self._conditions(where, part, part) for part in parts}

    def payloads(self, engine: Engine, collection: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by item id."""
        return {payload["item_id"]: payload for _, _, payload in self._locate(engine, collection, ids)}

    def rows(self, engine: Engine, collection: str, ids: Sequence[str], space: Space) -> dict[str, Row]:
        """Return the vectors of a space by item id."""
        names = {
            payload["item_id"]: (point, named_vector(space, part))
            for point, part, payload in self._locate(engine, collection, ids)
        }
        found: dict[str, Row] = {}
        rows = engine.rows(collection, list(dict.fromkeys(point for point, _ in names.values())))
        for item, (point, name) in names.items():
            row = rows[point]
            if isinstance(row, dict) and name in row:
                found[item] = cast("Row", row[name])
        return found

    def scroll(
        self, engine: Engine, collection: str, filters: Mapping[str, Conditions], ids_only: bool = False
    ) -> Iterator[tuple[str, Payload]]:
        """Yield id and payload of the items, one modality after the other."""
        for part, conditions in filters.items():
            fields = [json_path("item_id", part)] if ids_only else None
            for _, payload, _ in engine.scroll(collection, conditions, fields):
                yield payload[part]["item_id"], payload[part]

    def _locate(
        self, engine: Engine, collection: str, ids: Sequence[str]
    ) -> Iterator[tuple[str, str, Payload]]:
        """Yield point, part and payload of each item: most points have the id of one of their items."""
        remaining = dict.fromkeys(unique_item_ids(ids))
        for point, payload in engine.payloads(collection, list(remaining)).items():
            for part in self.schema.modalities:
                if payload.get(part, {}).get("item_id") == point:
                    remaining.pop(point)
                    yield point, part, payload[part]
        rest = list(remaining)
        for part in self.schema.modalities:
            for start in range(0, len(rest), MAX_FILTER_IDS):
                wanted = tuple(rest[start : start + MAX_FILTER_IDS])
                condition = Condition(json_path("item_id", part), KEYWORD, wanted)
                for point, payload, _ in engine.scroll(collection, (condition,)):
                    yield point, part, payload[part]

    def _points(self, table: pd.DataFrame, vectors: Sequence[VectorRows]) -> Points:
        point_ids = _pair_points(table, self.schema.modalities)
        ids = pd.unique(point_ids)
        positions = places_among(point_ids, ids)
        named: dict[str, VectorRows] = {}
        for one, rows in vectors:
            for part in self.schema.modalities:
                if self.holds(one.space, part):
                    mine = np.flatnonzero((table["modality"] == part) & (rows >= 0))
                    numbers = np.full(len(ids), -1)
                    numbers[positions[mine]] = rows[mine]
                    named[named_vector(one.space, part)] = one, numbers
        order = np.argsort(positions, kind="stable")
        payloads = PairPayloads(table, self.schema.fields, order, positions[order])
        return Points(ids, payloads, named)


@dataclass(frozen=True)
class PairPayloads:
    """Payloads of points that hold the items of a pair, each under its modality.

    order: the rows of the table of items by their point; points: the position of each of these rows' point.
    """

    table: pd.DataFrame
    fields: Mapping[str, str]
    order: np.ndarray
    points: np.ndarray

    def __getitem__(self, part: slice) -> list[Payload]:
        """Return the payloads of the points in this part."""
        own = slice(*np.searchsorted(self.points, (part.start, part.stop)))
        table, positions = self.table.iloc[self.order[own]], self.points[own] - part.start
        last = int(self.points[-1]) + 1 if len(self.points) else 0
        payloads: list[Payload] = [{} for _ in range(min(part.stop, last) - part.start)]
        flat = payload_rows(table, self.fields)
        for i, place, item, payload in zip(positions, table["modality"], table["item_id"], flat, strict=True):
            payloads[i][place] = {"item_id": item, **payload}
        return payloads


LAYOUTS: dict[str, type[Layout]] = {
    "unified": UnifiedLayout,
    "separate": SeparateLayout,
    "named": NamedLayout,
}


def layout_of(schema: Schema) -> Layout:
    """Return the layout of a collection with this schema."""
    return LAYOUTS[schema.layout](schema)


def describe_fields(schema: Schema) -> pd.DataFrame:
    """Return the payload fields as a table: payload field, type, filter ("indexed", "scanned" or "" for none)."""
    indexed, filterable = schema.indexed, schema.filterable
    rows = [
        (name, kind, "indexed" if name in indexed else "scanned" if name in filterable else "")
        for name, kind in schema.fields.items()
    ]
    return pd.DataFrame(rows, columns=["payload field", "type", "filter"])


def _named(modalities: Mapping[Space, tuple[str, ...]]) -> dict[str, Space]:
    """Return the spaces by the names of their vectors, one for each modality that they hold."""
    return {named_vector(space, one): space for space, held in modalities.items() for one in held}


def _pair_points(table: pd.DataFrame, modalities: Sequence[str]) -> np.ndarray:
    """Return the id of each row's point (N,): the first item of every modality of a pair share one."""
    first = table["pair_id"].notna() & ~table.duplicated(["pair_id", "modality"])
    group = table["pair_id"].where(first, table["item_id"])
    leads = table.assign(group=group, order=table["modality"].map(modalities.index))
    leads = leads.sort_values("order", kind="stable").drop_duplicates(["group"]).set_index("group")["item_id"]
    return group.map(leads).to_numpy(dtype=str)
