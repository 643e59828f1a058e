"""Builds the index of a run from its items and vectors, and opens it again from what is stored."""

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmlab.index.collections import check_related, make_collections, stored_schemas
from mmlab.index.index import Index
from mmlab.index.schema.index_settings import Cluster, Hnsw, Quantization
from mmlab.index.schema.schema import LAYOUTS
from mmlab.index.store.engine import NoCollection
from mmlab.index.store.layouts import plan_index
from mmlab.index.store.points import Points, arrange
from mmlab.index.store.store import BATCH, Store
from mmlab.items import Vectors


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
    replace: bool | None = None,
    batch: int = BATCH,
    progress: bool = True,
) -> Index:
    """Bring the index `name` to what the items and their vectors are, and build its graphs.

    Sends what is new or changed, deletes what has vanished and leaves the rest, so that a killed build goes on where
    it stopped and a second one sends nothing. Without a `cluster` a server keeps how it has spread the collections.
    `quantization`, or its name (`Quantization.named`): by default int8 copies, rescored by the vectors themselves, so
    that scores are exact cosines and a query takes half the time, for a quarter more disk; None does without them.
    A collection of this index with other settings or other points is made anew where `replace` allows it: None does
    so in a folder, which is the run's own, and not on a server. Raises WrongSchema where it does not and for a
    collection that is not of this index, ValueError for vectors of no item.
    """
    quantized = Quantization.named(quantization)
    if quantized:
        quantized.warn()
    settings: dict[str, Any] = {"hnsw": hnsw or Hnsw(), "quantization": quantized, "on_disk": on_disk}
    replace = not store.shared if replace is None else replace
    with store.session():
        planned = plan_index(name, layout, items, spaces, **settings)
        schemas = make_collections(store, planned, cluster, replace)
        report = []
        for collection, schema in schemas.items():
            points = arrange(items, spaces, schema)
            if not replace:
                check_related(store, collection, points.ids.tolist())
            report.append({"collection": collection, **_fill(store, collection, points, batch, progress)})
    return Index(store, name, layout, schemas, pd.DataFrame(report))


def open_index(store: Store, name: str, layout: str = "unified") -> Index:
    """The index `name` in a layout as it is stored; NoCollection says what there is instead.

    Raises WrongSchema or OldSchema for a collection of its names that cannot be read: without it the index would
    answer as if it held less.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"the layout is one of {list(LAYOUTS)}, found {layout!r}")
    with store.session():
        schemas, unreadable = stored_schemas(store, name, layout)
        for error in unreadable.values():
            raise error
        if not schemas:
            raise NoCollection(f"{name} ({layout} layout)", store.collections())
    return Index(store, name, layout, schemas)


def _fill(store: Store, collection: str, points: Points, batch: int, progress: bool) -> dict[str, Any]:
    """Send, delete and build; how many points were there, sent and deleted, and the seconds of each part."""
    started = time.perf_counter()
    sent = write_changed(store, collection, points, batch, progress)
    filled = time.perf_counter()
    store.build(collection, progress)
    return {**sent, "upsert_s": filled - started, "build_s": time.perf_counter() - filled}


def write_changed(
    store: Store, collection: str, points: Points, batch: int = BATCH, progress: bool = False
) -> dict[str, int]:
    """Bring a collection to these points: send new and changed ones, delete all others.

    Returns how many points `were_there` unchanged, were `sent` and `deleted`. What has been sent when the process dies
    is not sent again.
    """
    with store.session():
        stored = store.fingerprints(collection)
        marks = points.fingerprints()
        ids = points.ids.tolist()
        changed = [i for i, item in enumerate(ids) if stored.get(item) != marks[i]]
        store.write(collection, points.take(changed, marks), batch, progress)
        vanished = sorted(stored.keys() - set(ids))
        for start in range(0, len(vanished), batch):
            store.delete(collection, vanished[start : start + batch])
    return {"were_there": len(ids) - len(changed), "sent": len(changed), "deleted": len(vanished)}
