"""Copies an index with its schemas from one store to another, as from a folder to a server; resumable."""

import pandas as pd

from mmlab.index.build import open_index
from mmlab.index.collections import check_related, make_collections
from mmlab.index.index import Index
from mmlab.index.schema.index_settings import Cluster
from mmlab.index.store.store import BATCH, Store


class PushFailed(RuntimeError):
    """After a push both sides do not hold the same number of points."""


def push(
    source: Store,
    name: str,
    target: Store,
    layout: str = "unified",
    *,
    cluster: Cluster | None = None,
    replace: bool = False,
    batch: int = BATCH,
    progress: bool = True,
) -> Index:
    """Copy the index `name` to the target and build its graphs there; returns it with a `report` per collection.

    Points that the target has already, by their fingerprints, are not sent again, and what the source no longer has
    is deleted. `cluster`: shards, replicas and write consistency on a server; without it the target's collections keep
    theirs. What the target holds under the index's name with other settings or other points stays unless `replace`.
    Raises NoCollection where there is no such index, WrongSchema for what is not to be replaced and for another
    index's collection, PushFailed if the counts of both sides differ in the end.
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
    from tqdm.auto import tqdm

    wanted, there = source.fingerprints(collection), target.fingerprints(collection)
    kept = {point for point, mark in wanted.items() if mark >= 0 and there.get(point) == mark}
    records = (record for record in source.records(collection) if record[0] not in kept)
    waiting: list = []
    with tqdm(
        total=len(wanted), initial=len(kept), desc=collection, unit="point", disable=not progress
    ) as bar:
        for record in records:
            waiting.append(record)
            if len(waiting) == batch:
                target.put(collection, waiting)
                bar.update(len(waiting))
                waiting.clear()
        target.put(collection, waiting)
        bar.update(len(waiting))
    vanished = sorted(there.keys() - wanted.keys())
    for start in range(0, len(vanished), batch):
        target.delete(collection, vanished[start : start + batch])
    points = target.build(collection, progress)["points"]
    if points != len(wanted):
        raise PushFailed(
            f"collection {collection!r}: {len(wanted):,} points here, {points:,} there after the push; "
            "is somebody else writing? Push again"
        )
    return {
        "were_there": len(kept),
        "sent": len(wanted) - len(kept),
        "deleted": len(vanished),
        "points": points,
    }
