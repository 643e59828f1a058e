"""The store: collections of vectors with payload, in mmlab's nouns. It makes all checks; engines only obey.

Scores are cosines of unit vectors, in [-1, 1]. Every operation opens the store, works and closes it; inside
`with store.session():` it stays open, and with `keep_open` of `open_store` for some seconds more.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, Self, Unpack, cast

import pandas as pd

from mmlab.index.store.engine import (
    SCANNED_SHARE,
    Counts,
    Engine,
    Found,
    FoundPoints,
    FusedSearch,
    NoCollection,
    Payload,
    Row,
    Search,
    SearchOptions,
    WholeRecord,
    points_to_rankings,
)
from mmlab.index.store.layout_base import Layout, Points, check_item_ids
from mmlab.index.store.layouts import layout_of
from mmlab.index.store.payload import (
    COUNTABLE,
    FINGERPRINT,
    Conditions,
    Value,
    Where,
    check_filterable,
    json_path,
    payload_table,
)
from mmlab.index.store.schema import BYTES_PER_NUMBER, Cluster, Schema, check_collection_name
from mmlab.items import Space, Vectors
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.vectors import DENSE, SPARSE

BATCH_POINTS = 1_000  # per upsert
BATCHES_IN_MEMORY = 64  # of vectors that were read from a file
SCANNED_BYTES = 256 << 20  # of points that a filter lets through


Plan = tuple[Search, Conditions]


class Sent(NamedTuple):
    """How many points were sent, and the seconds that it took to build graphs of full segments in between."""

    points: int
    build_s: float


class Store:
    """Collections in one engine, made by `open_store`.

    Every method that takes the name of a collection raises ValueError for a name that cannot be one, and most raise
    NoCollection, which names the collections that exist.

    >>> from tempfile import TemporaryDirectory
    >>> from mmlab.index import open_store
    >>> with TemporaryDirectory() as folder:
    ...     open_store(folder).collections()
    []
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans: dict[str, tuple[Schema, tuple[Any, ...], Plan]] = {}  # the last of each collection

    def __repr__(self) -> str:
        return f"Store({self.place})"

    @property
    def place(self) -> str:
        """Which engine keeps the collections, and where."""
        return self._engine.place

    @property
    def ignores_settings(self) -> bool:
        """Whether the engine scans, whatever a schema says of graph and quantization."""
        return self._engine.ignores_settings

    @property
    def shared(self) -> bool:
        """Whether others may keep collections there as well, as on a server."""
        return self._engine.shared

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Keep the store open for a loop; while it is open, no other process can use a folder."""
        with self._engine.session():
            yield self

    def close(self) -> None:
        """Give back at once what `keep_open` of `open_store` keeps; the next session opens the store again."""
        self._engine.close()

    def collections(self) -> list[str]:
        """Return the names of the collections, sorted."""
        return self._engine.collections()

    def schema(self, collection: str) -> Schema:
        """Return the schema that the collection was created with."""
        with self.session():
            return self._engine.schema(check_collection_name(collection))

    def check(self, collection: str) -> None:
        """Raise DamagedCollection if a file of the collection is not as it was when the collection was built.

        Every byte is read. A server looks after its own files: there the schema is read.
        """
        with self.session():
            self._engine.check(check_collection_name(collection))

    def create(self, collection: str, schema: Schema) -> None:
        """Make an empty collection, or add what one with the same schema still lacks.

        Raises SpaceMismatch if it exists for another space, WrongSchema if it differs otherwise, ValueError for a
        cluster in a folder.
        """
        self.check_cluster(schema)
        with self.session():
            with suppress(NoCollection):
                self.schema(collection).check_same(schema, collection)
            self._engine.create(collection, schema, layout_of(schema).payload_indexes())

    def check_cluster(self, schema: Schema) -> None:
        """Raise ValueError if the store cannot spread a collection as the schema asks."""
        if not self.shared and schema.cluster != Cluster():
            raise ValueError(f"{self.place} is one shard on this machine; only a server has {schema.cluster}")

    def drop(self, collection: str) -> None:
        """Remove the collection and all that it holds; do nothing if it does not exist."""
        with self.session():
            if check_collection_name(collection) in self.collections():
                self._engine.drop(collection)

    def count(self, collection: str, where: Where | None = None, modality: str | None = None) -> int:
        """Return the number of items that `where` lets through, of one modality or of all."""
        with self.session():
            filters = self._layout(collection).filters(where, modality)
            return sum(self._engine.count(collection, conditions) for conditions in filters.values())

    def facets(
        self, collection: str, field: str, where: Where | None = None, modality: str | None = None
    ) -> Counts:
        """Return how many items that `where` lets through have each value of a field; see `Index.facets`.

        The engine counts where the field has a payload index; else the payloads are read.
        """
        with self.session():
            layout = self._layout(collection)
            check_filterable(field, layout.schema.filterable)
            counts: Counter[Value] = Counter()
            for part, conditions in layout.filters(where, modality).items():
                path = json_path(field, part)
                if layout.payload_indexes().get(path) in COUNTABLE:
                    counts.update(self._engine.facet(collection, path, conditions))
                else:
                    found = layout.scroll(self._engine, collection, {part: conditions})
                    counts.update(payload[field] for _, payload in found if field in payload)
        return dict(counts)

    def upsert(
        self,
        collection: str,
        points: Points,
        batch: int = BATCH_POINTS,
        progress: bool = False,
        stored: Mapping[str, int] | None = None,
    ) -> Sent:
        """Add or replace points, which `Layout.arrange` makes of items and vectors; return what was done.

        They are made batch by batch. stored: the fingerprints of what the collection holds; what it holds as it is
        here is not sent, see `Points.records`. A written batch survives the death of the process, and a loss of power
        once the session has ended. Raises SpaceMismatch for vectors of another space, ValueError for an id that is no
        uuid.
        """
        from tqdm.auto import tqdm

        check_item_ids(points.ids)
        count, sent = len(points.ids), 0
        with self.session(), tqdm(total=count, desc="upsert", unit="point", disable=not progress) as bar:
            schema = self.schema(collection)
            for vectors, _ in points.vectors.values():
                schema.check_space(vectors.space, collection)

            def changed() -> Iterator[WholeRecord]:
                nonlocal sent
                for number, start in enumerate(range(0, count, batch)):
                    if number % BATCHES_IN_MEMORY == 0:
                        points.release_memory()
                    part = slice(start, min(start + batch, count))
                    records = points.records(part, stored)
                    sent += len(records)
                    bar.update(part.stop - part.start - len(records))
                    yield from records
                points.release_memory()

            build_s = self.upsert_records(collection, changed(), batch, bar.update)
        return Sent(sent, build_s)

    def upsert_records(
        self,
        collection: str,
        records: Iterable[WholeRecord],
        batch: int,
        sent: Callable[[int], object],
    ) -> float:
        """Add or replace points as `records` yields them; call `sent` with the number of each batch that is written.

        Returns the seconds that it took to build graphs in between, see `Engine.upsert`.
        """
        records = iter(records)
        with self.session():
            return self._engine.upsert(collection, iter(lambda: list(islice(records, batch)), []), sent)

    def records(self, collection: str) -> Iterator[WholeRecord]:
        """Yield all points as they are stored: id, payload, vectors. Needs an open session."""
        return cast("Iterator[WholeRecord]", self._engine.scroll(collection, (), vectors=True))

    def point_ids(self, collection: str) -> Iterator[str]:
        """Yield the ids of all points, in their order. Needs an open session."""
        return (point for point, _, _ in self._engine.scroll(collection, (), []))

    def fingerprints(self, collection: str) -> dict[str, int]:
        """Return the fingerprint of each point by its id, -1 for one that was sent without.

        On a cluster the points that not all copies of a shard hold alike are left out: they have to be sent again.
        """
        with self.session():
            stored = self._engine.scroll_common(collection, [FINGERPRINT])
            return {point: payload.get(FINGERPRINT, -1) for point, payload, _ in stored}

    def count_by_copies(self, collection: str) -> tuple[int, int]:
        """Return how many points the copies with the fewest and with the most hold; alike, unless copies differ."""
        with self.session():
            self.schema(collection)
            return self._engine.count_by_copies(collection)

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove points; ids that do not exist are ignored."""
        wanted = check_item_ids(ids)
        with self.session():
            self.schema(collection)
            self._engine.delete(collection, wanted)

    def build(self, collection: str, progress: bool = False) -> dict[str, Any]:
        """Build the HNSW graph over all points and return `info`.

        A collection of up to `schema.hnsw.scan_kb` KB of vectors gets no graph: it is scanned. A server builds by
        itself: this waits for it, and raises TimeoutError if nothing has changed for an hour.
        """
        with self.session():
            self.schema(collection)
            self._engine.build(collection, progress)
            return self.info(collection)

    def info(self, collection: str) -> dict[str, Any]:
        """Return points, indexed_vectors, segments, disk_bytes (None on a server), and hnsw.

        hnsw: whether there are graphs that hold every point, but for as few as are scanned anyway.
        """
        with self.session():
            schema, info = self.schema(collection), self._engine.info(collection)
        rest = (info["points"] - info["indexed_vectors"]) * schema.space.dimension * BYTES_PER_NUMBER
        return {**info, "hnsw": info["indexed_vectors"] > 0 and rest <= schema.hnsw.scan_kb * 1024}

    def resident_bytes(
        self,
        collection: str,
        queries: Vectors,
        k: int = 10,
        to: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> int | None:
        """Return the memory a fresh process needs to open the collection and answer the queries.

        None on a server. The arguments are those of `search`. Raises RuntimeError if the process fails.
        """
        with self.session():
            layout = self._layout(collection, queries.space)
            search = layout.search(queries.space, to, k, **options)
            return self._engine.resident_bytes(collection, queries.array, search)

    def search(
        self,
        collection: str,
        queries: AnyVectors,
        k: int,
        where: Where | None = None,
        to: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> Found:
        """Return the `k` nearest items of each query; `.table` has query_id, item_id, rank from 1, score (float32).

        The score is a cosine of dense vectors, the sum over shared terms of sparse ones, MaxSim of late interaction.
        Queries keep their order, equal scores are in the order of the ids; a `k` beyond the collection returns all.
        `to`: the modality of the items, which the named layout needs. Raises SpaceMismatch for queries of another
        space, ValueError for k or ef below 1 and for a wrong `where`.
        """
        with self._engine.session(search=True):
            search, conditions = self._plan(collection, queries.space, k, where, to, options)
            found = self._engine.search(collection, queries, conditions, search)
            if min(map(len, found), default=k) < k:
                self._scan_further(found, collection, queries, conditions, search)
        in_order = search.diversity is not None
        return Found(
            sum(map(len, found)), lambda: points_to_rankings(queries.ids, found, search.part, in_order)
        )

    def search_fused(
        self,
        collection: str,
        queries: Sequence[AnyVectors],
        k: int,
        depth: int,
        fusion: str,
        rrf_k: int,
        where: Where | None = None,
        to: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> Found:
        """Return the `k` best items of several searches that the engine fuses, each of one query and `depth` hits deep.

        The score is that of the fusion, "rrf" with the constant `rrf_k` or "dbsf"; the query_id is that of the first.
        """
        with self._engine.session():
            layout = self._layout(collection)
            searches = tuple((one, layout.search(one.space, to, depth, **options)) for one in queries)
            search = FusedSearch(searches, fusion, rrf_k, max(k, depth))  # so that ties at k are broken by id
            points = self._engine.search_fused(collection, layout.filters(where, to)[search.part], search)
        return Found(
            min(k, len(points)), lambda: points_to_rankings(queries[0].ids, [points], search.part).head(k)
        )

    def payloads(self, collection: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by item id, without the items that do not exist."""
        with self.session():
            return self._layout(collection).payloads(self._engine, collection, ids)

    def rows(self, collection: str, ids: Sequence[str], space: Space) -> dict[str, Row]:
        """Return the vectors in `space` by item id, without the items that have none there."""
        with self.session():
            return self._layout(collection, space).rows(self._engine, collection, ids, space)

    def item_ids(self, collection: str, where: Where | None = None, modality: str | None = None) -> list[str]:
        """Return the ids of all items that `where` lets through, of one modality or of all."""
        with self.session():
            layout = self._layout(collection)
            filters = layout.filters(where, modality)
            return [item for item, _ in layout.scroll(self._engine, collection, filters, ids_only=True)]

    def items(self, collection: str, where: Where | None = None, modality: str | None = None) -> pd.DataFrame:
        """Return the payloads of all items that `where` lets through, in the order of their ids."""
        with self.session():
            layout = self._layout(collection)
            found = dict(layout.scroll(self._engine, collection, layout.filters(where, modality)))
        ids = sorted(found)
        return payload_table(ids, [found[item] for item in ids], layout.schema.fields)

    def _layout(self, collection: str, space: Space | None = None) -> Layout:
        """Return the layout of a collection; raise SpaceMismatch if it holds no vectors of the space."""
        schema = self._engine.schema(check_collection_name(collection))
        if space:
            schema.check_space(space, collection)
        return layout_of(schema)

    def _plan(
        self,
        collection: str,
        space: Space,
        k: int,
        where: Where | None,
        to: str | None,
        options: SearchOptions,
    ) -> Plan:
        """Return how to search; what was asked for in the same way just before is not planned again.

        Planning takes a tenth of a search. A collection that was opened anew is, since it may be another one.
        """
        known, asked = self._plans.get(collection), (space, k, where, to, options)
        is_plain = type(k) is int and "examples" not in options and "boost" not in options
        is_plain = is_plain and (not where or _has_words_alone(where))
        if is_plain and known and known[1] == asked and known[0] is self._engine.schema(collection):
            return known[2]
        layout = self._layout(collection, space)
        search = layout.search(space, to, k, **options)
        conditions = layout.filters(where, to)[search.part]
        if not (search.exact or self._engine.scans_few(collection)):
            search = replace(search, exact=self._are_few(collection, space, conditions))
        plan = search, conditions
        if is_plain:
            self._plans[collection] = layout.schema, (space, k, where and dict(where), to, options), plan
        return plan

    def scans(self, collection: str, space: Space, where: Where | None = None, to: str | None = None) -> bool:
        """Return whether a search scans the items of modality `to` that `where` lets through, since they are few."""
        with self.session():
            layout = self._layout(collection, space)
            return self._are_few(collection, space, layout.filters(where, to)[layout.part(to)])

    def _are_few(self, collection: str, space: Space, conditions: Conditions) -> bool:
        """Return whether the points that meet the conditions are so few that a search scans them."""
        schema = self._engine.schema(collection)
        if not conditions or space.kind != DENSE or schema.on_disk:
            return False
        kept = self._engine.count(collection, conditions, exact=False)
        if kept * BYTES_PER_NUMBER * space.dimension > SCANNED_BYTES:
            return False
        return kept < SCANNED_SHARE * self._engine.count(collection)

    def _scan_further(
        self,
        found: list[FoundPoints],
        collection: str,
        queries: AnyVectors,
        conditions: Conditions,
        search: Search,
    ) -> None:
        """Complete what was found: k points, or as many as meet the conditions, and share a term with a sparse query.

        A walk through the graph can end before it has k points, if few meet the conditions or k is near the size of
        the collection. A scan finds them.
        """
        if search.exact or queries.space.kind == SPARSE or not self._engine.count(collection):
            return
        short = [i for i, points in enumerate(found) if len(points) < search.k]
        again, scan = queries.take(queries.ids[short]), replace(search, exact=True, first="")
        scanned = self._engine.search(collection, again, conditions, scan)
        for i, points in zip(short, scanned, strict=True):
            found[i] = points


def _has_words_alone(where: Where) -> bool:
    """Return whether each field of a filter is to be one word, so that equal filters are the same."""
    return isinstance(where, dict) and all(type(value) is str for value in where.values())
