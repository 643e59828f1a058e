"""Makes the collections of an index. What is there of the index already goes only where it may.

A run owns its folder; a server is shared, and somebody else's index may have the same name there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace as with_changes

from mmlab.index.schema.collection_names import may_be_of
from mmlab.index.schema.index_settings import Cluster
from mmlab.index.schema.schema import OldSchema, Schema, WrongSchema
from mmlab.index.store.engine import NoCollection
from mmlab.index.store.store import Store

REPLACE = (
    "If it is yours and may go, say so: replace=True, mmlab run -p replace=true, mmlab push --replace. If it is "
    "somebody else's, give your run another name"
)


def stored_schemas(store: Store, name: str, layout: str) -> tuple[dict[str, Schema], dict[str, WrongSchema]]:
    """The collections of an index, the main space's first; and the errors of those that cannot be read, by name."""
    found, unreadable = {}, {}
    for collection in store.collections():
        try:
            schema = store.schema(collection)
        except WrongSchema as error:
            if may_be_of(collection, name, layout):
                unreadable[collection] = error
            continue
        if schema.index == name and schema.layout == layout:
            found[collection] = schema
    return dict(sorted(found.items(), key=lambda entry: (entry[1].position, entry[0]))), unreadable


def make_collections(
    store: Store, schemas: Mapping[str, Schema], cluster: Cluster | None, replace: bool
) -> dict[str, Schema]:
    """Make the collections of one index where they are not there, and return the schemas that they then have.

    Without a `cluster` each keeps the one that it has. What is there of the index with another schema, or is no part
    of it any more, is dropped; if it has points, only with `replace`. Raises WrongSchema, before anything is
    dropped, for what is not to be, and for a collection of another index.
    """
    with store.session():
        wanted = {name: _spread(store, name, schema, cluster) for name, schema in schemas.items()}
        for schema in wanted.values():
            store.check_cluster(schema)
        in_the_way = _left_over(store, wanted) | _made_otherwise(store, wanted)
        for collection, why in in_the_way.items():
            if not replace and _has_points(store, collection):
                raise WrongSchema(f"collection {collection!r} in {store} is not replaced: {why}. {REPLACE}")
        for collection in in_the_way:
            store.drop(collection)
        for collection, schema in wanted.items():
            store.create(collection, schema)
    return wanted


def check_related(store: Store, collection: str, ids: Iterable[str]) -> None:
    """Raise WrongSchema where the collection holds points and none of them is one of these: it is another's."""
    ours, seen = set(ids), 0
    with store.session():
        for point in store.point_ids(collection):
            if point in ours:
                return
            seen += 1
    if seen:
        raise WrongSchema(
            f"collection {collection!r} in {store} is not replaced: none of its {seen:,} points is of the index "
            f"that is to go there. {REPLACE}"
        )


def _spread(store: Store, collection: str, schema: Schema, cluster: Cluster | None) -> Schema:
    """The schema with the cluster that is asked for, else with that of the collection there, else as it is."""
    try:
        cluster = cluster or store.schema(collection).cluster
    except (NoCollection, WrongSchema):
        return schema
    return with_changes(schema, cluster=cluster)


def _left_over(store: Store, wanted: Mapping[str, Schema]) -> dict[str, str]:
    """The collections of the index that are no part of it any more, each with why it is in the way."""
    some = next(iter(wanted.values()))
    found, unreadable = stored_schemas(store, some.index, some.layout)
    why = {
        name: f"it holds vectors of {schema.space.key}, of which none are given"
        for name, schema in found.items()
    }
    why |= {name: str(error) for name, error in unreadable.items() if isinstance(error, OldSchema)}
    return {name: told for name, told in why.items() if name not in wanted}


def _made_otherwise(store: Store, wanted: Mapping[str, Schema]) -> dict[str, str]:
    """The collections of the index that have another schema, each with what differs."""
    found = {}
    for collection, schema in wanted.items():
        try:
            stored = store.schema(collection)
        except NoCollection:
            continue
        except OldSchema as error:
            found[collection] = str(error)
            continue
        if stored.index != schema.index:
            stored.check_same(schema, collection)
        if differing := stored.differences(schema):
            found[collection] = f"they differ in {differing} (stored, given)"
    return found


def _has_points(store: Store, collection: str) -> bool:
    try:
        return store.count(collection) > 0
    except OldSchema:  # it cannot be looked into
        return True
