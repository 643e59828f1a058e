"""Which collections an index has in a layout, and the schema of each. Knows no engine.

unified: one collection per space, a payload field tells images and texts apart; separate: one per space and
modality; named: one collection, a point per pair with a vector for each space and modality.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlab.index.schema.collection_names import collection_name
from mmlab.index.schema.schema import LAYOUTS, Schema, fields_of, vector_name
from mmlab.items import Space, Vectors, is_among

MODALITIES = ("image", "text")  # in this order: an image leads its pair


def plan_index(
    name: str, layout: str, items: pd.DataFrame, spaces: Sequence[Vectors], **settings: Any
) -> dict[str, Schema]:
    """The collections to make for these vectors, the main space's first; `settings` are the schema's.

    Raises ValueError for an unknown layout, for no vectors, two vectors of one space, or vectors of no item.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"the layout is one of {list(LAYOUTS)}, found {layout!r}")
    held = {vectors.space: _modalities(vectors, items) for vectors in spaces}
    if len(held) != len(spaces) or not held:
        raise ValueError(f"an index needs vectors, each of a space of its own; found {list(spaces)}")
    order = sorted(held, key=lambda space: len(held[space]) < 2)  # the first with both modalities leads
    common = {"fields": fields_of(items), "layout": layout, "index": name, **settings}
    if layout == "named":
        return {collection_name(name, layout): _named(order, held, common)}
    return {
        collection_name(name, layout, *more): Schema(order[i], modalities=modalities, position=i, **common)
        for i, more, modalities in _divided(order, held, layout)
    }


def _divided(
    order: list[Space], held: Mapping[Space, tuple[str, ...]], layout: str
) -> list[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    """Position of the space, further parts of the name, modalities; the main space needs no name."""
    found = []
    for i, space in enumerate(order):
        key = (space.key,) if i else ()
        if layout == "unified":
            found.append((i, key, held[space]))
        else:
            found += [(i, (*key, modality), (modality,)) for modality in held[space]]
    return found


def _named(order: list[Space], held: Mapping[Space, tuple[str, ...]], common: dict[str, Any]) -> Schema:
    named = {vector_name(space, modality): space for space in order for modality in held[space]}
    modalities = tuple(m for m in MODALITIES if any(m in held[space] for space in order))
    return Schema(order[0], named=named, modalities=modalities, **common)


def _modalities(vectors: Vectors, items: pd.DataFrame) -> tuple[str, ...]:
    found = set(items.loc[is_among(items["item_id"], vectors.ids), "modality"])
    if not found:
        raise ValueError(f"none of the {len(vectors)} vectors in {vectors.space.key} is of one of the items")
    return tuple(modality for modality in MODALITIES if modality in found)
