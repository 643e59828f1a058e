"""Builds the index of a run from its items and vectors, and opens it again from what is stored."""

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmlab.index.engine import NoCollection
from mmlab.index.index import Index
from mmlab.index.layouts import plan_index
from mmlab.index.points import Points, arrange
from mmlab.index.schema import LAYOUTS, OldSchema, Schema, WrongSchema
from mmlab.index.settings import Cluster, Hnsw, Quantization
from mmlab.index.store import BATCH, Store
from mmlab.items import SpaceMismatch, Vectors


def build_index(
    store: Store,
    name: str,
    items: pd.DataFrame,
    spaces: Sequence[Vectors],
    layout: str = "unified",
    hnsw: Hnsw | None = None,
    quantization: Quantization | str | None = "scalar",
    *,
    on_disk: bool = False,
    cluster: Cluster | None = None,
    batch: int = BATCH,
    progress: bool = True,
) -> Index:
    """Bring the index `name` to what the items and their vectors are, and build its graphs.

    Sends what is new or changed, deletes what has vanished and leaves the rest, so that a killed build goes on where
    it stopped and a second one sends nothing. A collection of this index with other settings is made anew.
    `quantization`, or its name (`Quantization.named`): by default int8 copies, rescored by the vectors themselves, so
    that scores are exact cosines and a query takes half the time, for a quarter more disk; None does without them.
    Raises WrongSchema for a collection that is not of this index, ValueError for vectors of no item.
    """
    quantized = Quantization.named(quantization)
    if quantized:
        quantized.warn()
    settings: dict[str, Any] = {
        "hnsw": hnsw or Hnsw(),
        "quantization": quantized,
        "on_disk": on_disk,
        "cluster": cluster or Cluster(),
    }
    schemas = plan_index(name, layout, items, spaces, **settings)
    with store.session():
        for old in _schemas(store, name, layout).keys() - schemas.keys():
            store.drop(old)
        for collection, schema in schemas.items():
            make_collection(store, collection, schema)
        report = [
            {
                "collection": collection,
                **_fill(store, collection, arrange(items, spaces, schema), batch, progress),
            }
            for collection, schema in schemas.items()
        ]
    return Index(store, name, layout, schemas, pd.DataFrame(report))


def open_index(store: Store, name: str, layout: str = "unified") -> Index:
    """The index `name` in a layout as it is stored; NoCollection says what there is instead."""
    if layout not in LAYOUTS:
        raise ValueError(f"the layout is one of {list(LAYOUTS)}, found {layout!r}")
    with store.session():
        schemas = _schemas(store, name, layout)
        if not schemas:
            raise NoCollection(f"{name} ({layout} layout)", store.collections())
    return Index(store, name, layout, schemas)


def _schemas(store: Store, name: str, layout: str) -> dict[str, Schema]:
    """The collections of the index, the main space's first."""
    found = {}
    for collection in store.collections():
        try:
            found[collection] = store.schema(collection)
        except WrongSchema:  # somebody else's
            continue
    mine = {c: schema for c, schema in found.items() if schema.index == name and schema.layout == layout}
    return dict(sorted(mine.items(), key=lambda entry: (entry[1].position, entry[0])))


def make_collection(store: Store, collection: str, schema: Schema) -> None:
    """Create the collection; one of the same index that was made otherwise, or by an older mmlab, goes first."""
    try:
        store.create(collection, schema)
    except OldSchema:
        store.drop(collection)
        store.create(collection, schema)
    except (WrongSchema, SpaceMismatch):
        if store.schema(collection).index != schema.index:
            raise
        store.drop(collection)
        store.create(collection, schema)


def _fill(store: Store, collection: str, points: Points, batch: int, progress: bool) -> dict[str, Any]:
    """Send, delete and build; how many points were there, sent and deleted, and the seconds of each part."""
    started = time.perf_counter()
    sent = store.write_changed(collection, points, batch, progress)
    filled = time.perf_counter()
    store.build(collection)
    return {**sent, "upsert_s": filled - started, "build_s": time.perf_counter() - filled}
