"""Collections: those of an index, planned for a layout, found again and made in a store; any, read out of a server.

What exists of an index is replaced only if it may be: a run owns its folder, but on a server, which is shared,
another user's index may have the same name.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.index.store.engine import NoCollection
from mmlab.index.store.layouts import LAYOUTS, PAIR_ORDER
from mmlab.index.store.payload import FINGERPRINT, payload_fields
from mmlab.index.store.schema import (
    COLLECTION_NAME,
    UNREADABLE,
    Cluster,
    DamagedCollection,
    Hnsw,
    Quantization,
    Schema,
    WrongSchema,
)
from mmlab.index.store.store import Store
from mmlab.items import is_among
from mmlab.items.files import replacing
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.vectors import DENSE

# http(s)://host:6333/collections/NAME, also behind a path of a proxy
COLLECTION_URL = re.compile(r"(https?://[^/?#\s]+(?:/[^?#\s]*?)?)/collections/([^/?#\s]+)/?", re.IGNORECASE)
POINTS_PER_PAGE, PAGES_PER_PART = 1000, 10
ANSWER_SECONDS = 60  # that a server has for one page, before it is asked again
DOWNLOAD = "download.json"  # how far a download has come
VECTOR = "vector"
REPLACE_HINT = (
    "If it is yours and may go, say so: replace=True, mmlab run -p replace=true, mmlab push --replace. If it is "
    "somebody else's, give your run another name"
)


def plan_index(
    name: str,
    layout: str,
    items: pd.DataFrame,
    vectors: Sequence[AnyVectors],
    hnsw: Hnsw | None = None,
    quantization: Quantization | None = None,
    on_disk: bool = False,
) -> dict[str, Schema]:
    """Return the schemas of the collections to make for these vectors, by name, the main space's first.

    Raises ValueError for an unknown layout, for no dense vectors, for two vectors of one space, or for vectors of no
    item.
    """
    check_values(layout=layout)
    held = {one.space: _modalities(one, items) for one in vectors}
    if len(held) != len(vectors) or not any(space.kind == DENSE for space in held):
        raise ValueError(f"an index needs dense vectors, each of a space of its own; found {list(vectors)}")
    # the first dense one with both modalities, all others beside it
    main_first = sorted(held, key=lambda space: (space.kind != DENSE, len(held[space]) < 2))
    fields, graph = payload_fields(items), hnsw or Hnsw()
    return {
        collection_name(name, layout, *contents.suffix): Schema(
            contents.space, fields, layout, graph, quantization, on_disk,
            vector_spaces=contents.vector_spaces, modalities=contents.modalities,
            index=name, position=contents.position,
        )
        for contents in LAYOUTS[layout].divide({space: held[space] for space in main_first})
    }  # fmt: skip


def _modalities(vectors: AnyVectors, items: pd.DataFrame) -> tuple[str, ...]:
    found = set(items.loc[is_among(items["item_id"], vectors.ids), "modality"])
    if not found:
        raise ValueError(f"none of the {len(vectors)} vectors in {vectors.space.key} is of one of the items")
    return tuple(modality for modality in PAIR_ORDER if modality in found)


def collection_name(index: str, layout: str, *suffix: str) -> str:
    """Return the collection of an index in a layout, such as "demo-unified"; hash what makes no valid name."""
    plain = "-".join((index, layout, *suffix))
    if COLLECTION_NAME.fullmatch(plain):
        return plain
    digest = hashlib.sha256("/".join((index, *suffix)).encode()).hexdigest()[:8]
    end = "-".join((digest, layout, *(part[-8:] for part in suffix)))
    return f"{_hashed_start(index, len(end))}-{end}"


def _hashed_start(index: str, end_length: int) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", f"r-{index.lower()}")[: min(40, 62 - end_length)]


def _may_belong(collection: str, index: str, layout: str) -> bool:
    """Return whether `collection_name` may have given this name; all that is known if a schema is unreadable."""
    suffix = LAYOUTS[layout].suffix_pattern
    if re.fullmatch(re.escape(f"{index}-{layout}") + suffix, collection):
        return True
    hashed = re.fullmatch(rf"(.+)-[0-9a-f]{{8}}-{layout}{suffix}", collection)
    return hashed is not None and hashed[1] == _hashed_start(index, len(collection) - hashed.end(1) - 1)


def stored_schemas(store: Store, name: str, layout: str) -> tuple[dict[str, Schema], dict[str, WrongSchema]]:
    """Return the collections of an index, the main space's first, and the errors of those that are unreadable."""
    found, unreadable = {}, {}
    for collection in store.collections():
        try:
            schema = store.schema(collection)
        except WrongSchema as error:
            if _may_belong(collection, name, layout):
                unreadable[collection] = error
            continue
        if schema.index == name and schema.layout == layout:
            found[collection] = schema
    return dict(sorted(found.items(), key=lambda entry: (entry[1].position, entry[0]))), unreadable


def find_damage(store: Store, collections: Iterable[str]) -> dict[str, str]:
    """Return those of the collections whose files are damaged, each with what was found; every byte is read."""
    found = {}
    for collection in collections:
        try:
            store.check(collection)
        except DamagedCollection as error:
            found[collection] = str(error)
        except (NoCollection, WrongSchema):
            continue
    return found


def make_collections(
    store: Store, schemas: Mapping[str, Schema], cluster: Cluster | None, replace: bool
) -> dict[str, Schema]:
    """Make the collections of one index that do not exist, and return the schemas that they then have.

    Without a `cluster` each keeps the one that it has. A collection of the index that has another schema, or is no
    part of it any more, is dropped; if it has points, only with `replace`. Raises WrongSchema, before anything is
    dropped, for a collection that may not be replaced, and for one of another index.
    """
    with store.session():
        planned = {name: _with_cluster(store, name, schema, cluster) for name, schema in schemas.items()}
        for schema in planned.values():
            store.check_cluster(schema)
        obsolete = _left_over(store, planned) | _made_otherwise(store, planned)
        for collection, reason in obsolete.items():
            if not replace and _has_points(store, collection):
                raise WrongSchema(
                    f"collection {collection!r} in {store} is not replaced: {reason}. {REPLACE_HINT}"
                )
        for collection in obsolete:
            store.drop(collection)
        for collection, schema in planned.items():
            store.create(collection, schema)
    return planned


def check_related(store: Store, collection: str, ids: Iterable[str]) -> None:
    """Raise WrongSchema if the collection holds points and none of them has one of these ids: it is another's."""
    ours, count = set(ids), 0
    with store.session():
        for point in store.point_ids(collection):
            if point in ours:
                return
            count += 1
    if count:
        raise WrongSchema(
            f"collection {collection!r} in {store} is not replaced: none of its {count:,} points is of the index "
            f"that is to go there. {REPLACE_HINT}"
        )


def _with_cluster(store: Store, collection: str, schema: Schema, cluster: Cluster | None) -> Schema:
    """Return the schema with the cluster that is given, else with that of the stored collection, else as it is."""
    try:
        return with_changes(schema, cluster=cluster or store.schema(collection).cluster)
    except (NoCollection, WrongSchema):
        return schema


def _left_over(store: Store, planned: Mapping[str, Schema]) -> dict[str, str]:
    """Return the collections that are no part of the index any more, each with the reason."""
    some = next(iter(planned.values()))
    found, unreadable = stored_schemas(store, some.index, some.layout)
    reasons = {
        name: f"it holds vectors of {schema.space.key}, of which none are given"
        for name, schema in found.items()
    }
    reasons |= {name: str(error) for name, error in unreadable.items() if isinstance(error, UNREADABLE)}
    return {name: reason for name, reason in reasons.items() if name not in planned}


def _made_otherwise(store: Store, planned: Mapping[str, Schema]) -> dict[str, str]:
    """Return the collections of the index that have another schema, each with what differs."""
    found = {}
    for collection, schema in planned.items():
        try:
            stored = store.schema(collection)
        except NoCollection:
            continue
        except UNREADABLE as error:
            found[collection] = str(error)
            continue
        if stored.index != schema.index:
            stored.check_same(schema, collection)
        if differences := stored.differences(schema):
            found[collection] = f"they differ in {differences} (stored, given)"
    return found


def _has_points(store: Store, collection: str) -> bool:
    try:
        return store.count(collection) > 0
    except UNREADABLE:  # nothing more can be read
        return True


def is_collection(dataset: str) -> bool:
    """Return whether this is the URL of a collection of a Qdrant server.

    >>> is_collection("http://localhost:6333/collections/photos"), is_collection("photos/")
    (True, False)
    """
    return bool(COLLECTION_URL.fullmatch(dataset))


def download_collection(url: str, folder: Path, most: int | None = None) -> Path:
    """Read the points of a Qdrant collection, payload and dense vectors, into Parquet files of a folder; return it.

    url: see `is_collection`; the key comes from QDRANT_API_KEY. most: read so many pages at most. A download that was
    interrupted goes on where it stopped; one that was complete begins again, and files that would be the same stay.
    A vector that has a name is in the column NAME_vector, the only one without in the column vector.

    Raise ValueError where the server has none of this name, ConnectionError or PermissionError where it does not
    answer or refuses the key.
    """
    from mmlab.index.engines.server_connection import ServerError, connect

    server, name = COLLECTION_URL.fullmatch(url).groups()  # type: ignore[union-attr]
    connection = connect(server, ANSWER_SECONDS, None)
    known = [one.name for one in connection.get_collections().collections]
    if name not in known:
        raise ValueError(f"{connection.place} has no collection {name!r}: expected one of {known[:20]}")
    done = _downloaded(folder, url)
    try:
        _go_on(connection, name, folder, done, most)
    except (ConnectionError, ServerError) as error:
        raise type(error)(
            f"{error}; {done['points']:,} points are read and stay: the same again goes on"
        ) from error
    held = connection.count(name, exact=True).count
    if most is None and done["points"] < held:
        raise ServerError(
            f"{connection.place}: {done['points']:,} of {held:,} points came: do the same again"
        )
    return folder


def _downloaded(folder: Path, url: str) -> dict[str, Any]:
    """Return how far a download has come, that of an empty folder where none is under way."""
    try:
        done: dict[str, Any] = json.loads((folder / DOWNLOAD).read_text())
        if done["url"] == url and done["next"] is not None:
            return done
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"url": url, "points": 0, "parts": 0, "next": None}


def _go_on(connection: Any, name: str, folder: Path, done: dict[str, Any], most: int | None) -> None:
    """Read the pages that are left, a file for ten of them; `done` is written after each file."""
    config = connection.get_collection(name).config
    vectors = config.params.vectors
    sizes = {"": vectors} if hasattr(vectors, "size") else (vectors or {})
    sizes = {own: one.size for own, one in sizes.items() if not one.multivector_config}
    if not sizes:
        raise ValueError(f"collection {name}: expected dense vectors, found none")
    space = ((config.metadata or {}).get("mmlab") or {}).get("space")
    metadata = {"space": json.dumps(space)} if space else {}
    for points, following in _parts(connection, name, done["next"], most):
        table = _to_table(points, sizes).replace_schema_metadata(metadata)
        _write_part(table, folder / f"points-{done['parts']:05}.parquet")
        done |= {"points": done["points"] + len(points), "parts": done["parts"] + 1, "next": following}
        with replacing(folder / DOWNLOAD) as temporary:
            temporary.write_text(json.dumps(done))
    for left in sorted(folder.glob("points-*.parquet"))[done["parts"] :]:
        left.unlink()


def _parts(connection: Any, name: str, offset: Any, most: int | None) -> Iterator[tuple[list[Any], Any]]:
    """Yield the points of ten pages, and where the next ones begin: None at the end."""
    points: list[Any] = []
    for page in range(1, most + 1) if most else iter(int, 1):
        found, offset = connection.scroll(
            name, limit=POINTS_PER_PAGE, offset=offset, with_payload=True, with_vectors=True
        )
        points += found
        last = offset is None or page == most
        if points and (last or len(points) >= PAGES_PER_PART * POINTS_PER_PAGE):
            yield points, offset
            points = []
        if last:
            return


def _to_table(points: Sequence[Any], sizes: Mapping[str, int]) -> pa.Table:
    fields = dict.fromkeys(name for point in points for name in point.payload or {} if name != FINGERPRINT)
    columns = {"id": pa.array([str(point.id) for point in points])}
    columns |= {
        name: _payload_column([(point.payload or {}).get(name) for point in points]) for name in fields
    }
    for name, size in sizes.items():
        given = [
            point.vector.get(name) if isinstance(point.vector, dict) else point.vector for point in points
        ]
        rows = np.array([row if row else [0.0] * size for row in given], dtype=np.float32)
        missing = pa.array([not row for row in given])
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), size, mask=missing)
        columns[f"{name}_{VECTOR}" if name else VECTOR] = lists
    return pa.table(columns)


def _payload_column(values: list[Any]) -> pa.Array:
    """Return the values of a payload field: of their one type, else as text."""
    types = {type(value) for value in values if value is not None}
    if types in ({bool}, {int}, {float}, {str}):
        return pa.array(values)
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())


def _write_part(table: pa.Table, path: Path) -> None:
    """Write a table whole; a file that holds just the same stays as it is."""
    from pyarrow.parquet import write_table

    with replacing(path) as temporary:
        write_table(table, temporary)
        same = path.is_file() and path.read_bytes() == temporary.read_bytes()
        if same:
            found = path.stat()
            os.utime(temporary, ns=(found.st_atime_ns, found.st_mtime_ns))
