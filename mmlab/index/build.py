"""Open a store, build the index of a run in it, open that index again, and push it to another store.

A second push sends only what the target does not have yet.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.index.collections import (
    check_related,
    find_damage,
    make_collections,
    plan_index,
    stored_schemas,
)
from mmlab.index.index import Index
from mmlab.index.store.engine import NoCollection
from mmlab.index.store.layout_base import Points
from mmlab.index.store.layouts import LAYOUTS, layout_of
from mmlab.index.store.payload import without_paths
from mmlab.index.store.schema import UNREADABLE, Cluster, Hnsw, Quantization, Schema
from mmlab.index.store.store import BATCH_POINTS, Store
from mmlab.items import is_among
from mmlab.items.options import Whole, check_value
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors, TokenVectors

if TYPE_CHECKING:
    from mmlab.index.engines.server_connection import QdrantClient

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*|[^/\\]+:\d+([/?].*)?|:memory:", re.IGNORECASE)


def open_store(
    location: "str | os.PathLike[str] | QdrantClient",
    *,
    wait: float = 10.0,
    keep_open: float = 0.0,
    timeout: int = 60,
    grpc_port: int | None = None,
    connections: int = 4,
) -> Store:
    """Open the store at a folder (Qdrant Edge) or at an http(s):// URL (Qdrant server or cluster).

    A folder need not exist yet; a relative one starts at the project folder. `wait`: seconds to wait for another
    process that has the store open, before StoreTaken. `keep_open`: seconds that a folder which is only read stays
    open for the next question; another process that wants it gets it at once all the same.

    A server is asked at the URL's port, over REST, and then over gRPC where port 6334 belongs to the same server as a
    URL's 6333, or at `grpc_port`. `timeout`: seconds for an answer. Its key comes from the environment, QDRANT_API_KEY.
    What it fails at for a while is tried again, up to 5 minutes. `connections`: batches of points that are sent at a
    time, at most; fewer while the server refuses some or becomes slow. A QdrantClient is taken as it is.

    Raises ValueError for a text that is neither, such as "localhost:6333", ConnectionError if no server answers or
    `grpc_port` is not its own, PermissionError if it refuses the key.

    >>> open_store("/tmp/my-store")
    Store(Qdrant Edge at /tmp/my-store)
    """
    if isinstance(location, str) and location.lower().startswith(("http://", "https://")):
        from mmlab.index.engines.server_connection import connect
        from mmlab.index.engines.server_engine import ServerEngine

        check_value("connections", connections, Whole(1, 64))
        return Store(ServerEngine(connect(location, timeout, grpc_port), connections))
    if isinstance(location, str | os.PathLike):
        from mmlab.index.engines.edge_engine import EdgeEngine

        _check_folder(location)
        return Store(EdgeEngine(location, wait, keep_open))
    from mmlab.index.engines.server_connection import Connection
    from mmlab.index.engines.server_engine import ServerEngine

    return Store(ServerEngine(Connection(location, "a Qdrant client that was handed over")))


def _check_folder(location: "str | os.PathLike[str]") -> None:
    """Raise ValueError for an address that would become a folder of that name."""
    if isinstance(location, str) and (not location or ADDRESS.fullmatch(location)):
        found = location.rpartition("@")[2].partition("?")[0]  # repeat no secret
        raise ValueError(
            "a store is a folder, or a Qdrant server by the http(s):// URL of its REST port, as "
            f"http://localhost:6333; found {found!r}"
        )


def open_index(store: Store, name: str, layout: str = "unified") -> Index:
    """Open the index `name` in a layout as it is stored.

    Raises NoCollection, which says what there is instead, and WrongSchema or OldSchema for a collection of its names
    that cannot be read: without it the index would answer as if it held less.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     open_index(open_store(folder), "photos")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    NoCollection: no collection 'photos (unified layout)'; the store has []. Build it with 03_index first
    """
    check_values(layout=layout)
    with store.session():
        schemas, unreadable = stored_schemas(store, name, layout)
        for error in unreadable.values():
            raise error
        if not schemas:
            raise NoCollection(f"{name} ({layout} layout)", store.collections())
    return Index(store, name, layout, schemas)


def build_index(
    store: Store,
    name: str,
    items: pd.DataFrame,
    vectors: Sequence[AnyVectors],
    layout: str = "unified",
    hnsw: Hnsw | None = None,
    quantization: Quantization | str | None = "scalar",
    *,
    on_disk: bool = False,
    cluster: Cluster | None = None,
    replace: bool | None = None,
    batch: int = BATCH_POINTS,
    progress: bool = True,
) -> Index:
    """Bring the index `name` to what the items and their vectors are, and build its graphs.

    Sends what is new or changed, deletes what has vanished and leaves the rest, so that a killed build goes on where
    it stopped and a second one sends nothing. A collection whose files are damaged is dropped and built anew; the
    column damage of the report tells what was found.

    items: a table with item_id (lower-case uuid), modality and further columns, which become payload fields.
    vectors: the vectors of items, one object per space: dense ones, and beside those of the main space weighted terms
    (`SparseVectors`) and a row for each token (`TokenVectors`, with their means for a first stage).
    layout: unified, separate or named.
    quantization: or its name, see `Quantization.from_name`. The default, int8 copies rescored by the vectors
    themselves, gives scores that are exact cosines in half the time, for a quarter more disk; None goes without.
    A server is sent no paths of images: they are those of this machine.
    cluster: without it a server keeps how it has spread the collections.
    replace: whether a collection of this index with other settings or other points is made anew, and one of another
    layout dropped. None does so in a folder, which is the run's own, and not on a server.

    Raises WrongSchema if `replace` does not allow it and for a collection that is not of this index, ValueError for
    vectors of no item, WrongCount if a copy on a server lacks points in the end. Example: see `Index`.
    """
    quantization = Quantization.from_name(quantization)
    if quantization:
        quantization.warn()
    pooled = [one.pooled() for one in vectors if isinstance(one, TokenVectors)]
    vectors = [*vectors, *pooled]
    replace = not store.shared if replace is None else replace
    items = items.assign(image=None) if store.shared and "image" in items else items
    with store.session():
        planned = plan_index(name, layout, items, vectors, hnsw, quantization, on_disk)
        damage = find_damage(store, planned)
        for collection in damage if replace else ():
            store.drop(collection)
        schemas = make_collections(store, planned, cluster, replace)
        report = []
        for collection, schema in schemas.items():
            points = layout_of(schema).arrange(items, vectors)
            if not replace:
                check_related(store, collection, points.ids.tolist())
            done = _fill(store, collection, points, batch, progress)
            report.append({"collection": collection, **done, "damage": damage.get(collection, "")})
        if replace:
            for other in sorted(set(LAYOUTS) - {layout}):
                current = plan_index(name, other, items, vectors, hnsw, quantization, on_disk)
                _drop_if_outdated(store, name, other, current, items, vectors)
    return Index(store, name, layout, schemas, pd.DataFrame(report))


def _drop_if_outdated(
    store: Store,
    name: str,
    layout: str,
    current: Mapping[str, Schema],
    items: pd.DataFrame,
    vectors: Sequence[AnyVectors],
) -> None:
    """Drop an index in another layout that has other settings, items or vectors than the one that was just built."""
    stored, unreadable = stored_schemas(store, name, layout)
    points = {
        one: layout_of(schema).arrange(items, vectors) for one, schema in stored.items() if one in current
    }
    same = all(current.get(one) == schema for one, schema in stored.items()) and all(
        store.fingerprints(one) == own.fingerprints() for one, own in points.items()
    )
    spoilt = [one for one, error in unreadable.items() if isinstance(error, UNREADABLE)]
    for collection in [*spoilt, *(() if same else stored)]:
        store.drop(collection)


def _fill(
    store: Store, collection: str, points: Points, batch: int, progress: bool
) -> dict[str, int | float]:
    """Send, delete and build; return how many points were there, sent and deleted, and the seconds of each part."""
    started = time.perf_counter()
    counts = write_changed(store, collection, points, batch, progress)
    filled = time.perf_counter()
    store.build(collection, progress)
    check_count(store, collection, len(points.ids))
    built, between = time.perf_counter() - filled, counts["build_s"]
    return {**counts, "upsert_s": filled - started - between, "build_s": built + between}


class WrongCount(RuntimeError):
    """A collection, or a copy of one of its shards, does not hold the points that were sent to it."""


def check_count(store: Store, collection: str, wanted: int) -> None:
    """Raise WrongCount unless the collection holds as many points as wanted, in every copy of its shards."""
    least, most = store.count_by_copies(collection)
    if (least, most) != (wanted, wanted):
        held = f"{least:,}" if least == most else f"{least:,} to {most:,} by copy"
        raise WrongCount(
            f"collection {collection!r} at {store.place} holds {held} of {wanted:,} points; is another process "
            "writing? Do the same again; where it stays so, make the collection anew with replace"
        )


def write_changed(
    store: Store, collection: str, points: Points, batch: int = BATCH_POINTS, progress: bool = False
) -> dict[str, int | float]:
    """Bring a collection to these points: send new and changed ones, delete all others.

    Returns how many points `were_there` unchanged, were `sent` and `deleted`, and the seconds `build_s` of the graphs
    that were built in between. What has been sent when the process dies is not sent again.
    """
    with store.session():
        stored = store.fingerprints(collection)
        sent = store.upsert(collection, points, batch, progress, stored)
        vanished = sorted(np.array(list(stored), dtype=str)[~is_among(stored, points.ids)].tolist())
        for start in range(0, len(vanished), batch):
            store.delete(collection, vanished[start : start + batch])
    counts = {"were_there": len(points.ids) - sent.points, "sent": sent.points, "deleted": len(vanished)}
    return {**counts, "build_s": sent.build_s}


def push(
    source: Store,
    name: str,
    target: Store,
    layout: str = "unified",
    *,
    cluster: Cluster | None = None,
    replace: bool = False,
    batch: int = BATCH_POINTS,
    progress: bool = True,
) -> Index:
    """Copy the index `name` to the target, build its graphs there and return it, with a `report` per collection.

    Points that the target has already, by their fingerprints, are not sent again; what the source no longer has is
    deleted. cluster: shards, replicas and write consistency on a server; without it the target's collections keep
    theirs. replace: make anew what the target holds under the index's name with other settings or other points.

    Raises NoCollection if there is no such index, WrongSchema for a collection that may not be replaced and for one
    of another index, WrongCount if the target does not hold as many points in the end, in every copy.

    Example: `push(open_store("data/runs/demo/store"), "demo", open_store("http://localhost:6333"))`.
    """
    index = open_index(source, name, layout)
    with source.session(), target.session():
        schemas = make_collections(target, index.schemas, cluster, replace)
        if not replace:
            for collection in schemas:
                check_related(target, collection, source.point_ids(collection))
        report = [
            {"collection": collection, **_copy(source, target, collection, batch, progress)}
            for collection in schemas
        ]
    return Index(target, name, layout, schemas, pd.DataFrame(report))


def _copy(source: Store, target: Store, collection: str, batch: int, progress: bool) -> dict[str, int]:
    """Bring a collection of the target to what the source has, and build it; return the counts."""
    wanted, present = source.fingerprints(collection), target.fingerprints(collection)
    kept = {
        point
        for point, fingerprint in wanted.items()
        if fingerprint >= 0 and present.get(point) == fingerprint
    }
    _send(source, target, collection, kept, len(wanted), batch, progress)
    vanished = sorted(present.keys() - wanted.keys())
    for start in range(0, len(vanished), batch):
        target.delete(collection, vanished[start : start + batch])
    points = target.build(collection, progress)["points"]
    check_count(target, collection, len(wanted))
    sent = len(wanted) - len(kept)
    return {"were_there": len(kept), "sent": sent, "deleted": len(vanished), "points": points}


def _send(
    source: Store, target: Store, collection: str, kept: set[str], total: int, batch: int, progress: bool
) -> None:
    """Send all points but those that are kept, in batches, on a server several at a time."""
    from tqdm.auto import tqdm

    wanted = (record for record in source.records(collection) if record[0] not in kept)
    records = (
        ((one, without_paths(payload), row) for one, payload, row in wanted) if target.shared else wanted
    )
    with tqdm(total=total, initial=len(kept), desc=collection, unit="point", disable=not progress) as bar:
        target.upsert_records(collection, records, batch, bar.update)
