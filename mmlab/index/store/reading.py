"""Reads items out of the points of one collection, whatever its layout: by id, or all that meet a filter."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmlab.index.schema.collection_names import unique_uuids
from mmlab.index.schema.payload_filter import any_item
from mmlab.index.schema.schema import Schema, vector_name
from mmlab.index.store.engine import Conditions, Engine
from mmlab.items import Space

CHUNK = 1_000  # ids per filter

Place = tuple[str, str]  # the point's id and, in the named layout, the item's modality


def payloads_of(engine: Engine, name: str, schema: Schema, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The payloads of those of the items that are there."""
    if schema.layout != "named":
        return engine.payloads(name, unique_uuids(ids))
    return {payload["item_id"]: payload for _, payload in _located(engine, name, schema, ids)}


def rows_of(
    engine: Engine, name: str, schema: Schema, ids: Sequence[str], space: Space
) -> dict[str, list[float]]:
    """The vectors in `space` of those of the items that have one there."""
    if schema.layout != "named":
        return engine.rows(name, unique_uuids(ids))
    places = {payload["item_id"]: place for place, payload in _located(engine, name, schema, ids)}
    rows = engine.rows(name, list(dict.fromkeys(point for point, _ in places.values())))
    found = {item: rows[point].get(vector_name(space, part)) for item, (point, part) in places.items()}
    return {item: row for item, row in found.items() if row is not None}


def payloads_where(
    engine: Engine, name: str, schema: Schema, filters: dict[str, Conditions], ids_only: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Item id and payload of all points that meet the conditions, given by modality in the named layout."""
    named = schema.layout == "named"
    for part, met in filters.items():
        fields = ([f"{part}.item_id"] if named else []) if ids_only else None
        for point, payload, _ in engine.scroll(name, met, fields):
            yield (payload[part]["item_id"], payload[part]) if named else (point, payload)


def _located(
    engine: Engine, name: str, schema: Schema, ids: Sequence[str]
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Where each item of a named collection lies, and its payload: most points have the id of one of their items."""
    left = dict.fromkeys(unique_uuids(ids))
    for point, payload in engine.payloads(name, list(left)).items():
        for part in schema.modalities:
            if payload.get(part, {}).get("item_id") == point:
                left.pop(point)
                yield (point, part), payload[part]
    rest = list(left)
    for part in schema.modalities:
        for start in range(0, len(rest), CHUNK):
            wanted = any_item(tuple(rest[start : start + CHUNK]), part)
            for point, payload, _ in engine.scroll(name, (wanted,)):
                yield (point, part), payload[part]
