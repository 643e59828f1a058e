"""Copy an index with its schemas from one store to another, as from a folder to a server; a second push goes on."""

from itertools import islice

import pandas as pd

from mmlab.index.build import open_index
from mmlab.index.collections import check_related, make_collections
from mmlab.index.index import Index
from mmlab.index.schema.index_settings import Cluster
from mmlab.index.store.store import BATCH_POINTS, Store


class PushFailed(RuntimeError):
    """The two sides do not hold the same number of points after a push."""


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
    of another index, PushFailed if the counts of both sides differ in the end.

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
    if points != len(wanted):
        raise PushFailed(
            f"collection {collection!r}: {len(wanted):,} points here, {points:,} there after the push; "
            "is another process writing? Push again"
        )
    sent = len(wanted) - len(kept)
    return {"were_there": len(kept), "sent": sent, "deleted": len(vanished), "points": points}


def _send(
    source: Store, target: Store, collection: str, kept: set[str], total: int, batch: int, progress: bool
) -> None:
    """Send all points but those that are kept, in batches."""
    from tqdm.auto import tqdm

    records = (record for record in source.records(collection) if record[0] not in kept)
    with tqdm(total=total, initial=len(kept), desc=collection, unit="point", disable=not progress) as bar:
        while part := list(islice(records, batch)):
            target.upsert_records(collection, part)
            bar.update(len(part))
