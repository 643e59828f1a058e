"""The index of a run: its collections in one layout, searched and read as if they were one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Self

import numpy as np
import pandas as pd

from mmlab.index.collections import stored_schemas
from mmlab.index.store.engine import Examples, Found, SearchOptions
from mmlab.index.store.layouts import LAYOUTS, PAIR_ORDER, layout_of
from mmlab.index.store.payload import (
    KEYWORD,
    Where,
    check_filterable,
    closest,
    payload_table,
    read_filter,
)
from mmlab.index.store.schema import BYTES_PER_NUMBER, Schema
from mmlab.index.store.store import Store
from mmlab.items import Space, Vectors
from mmlab.items.options import Number, check_value
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.vectors import LATE, SPARSE

DEEPER_FACTOR = 4  # times deeper, if the hits are of too few pairs
MAX_VALUES_SHOWN = 12  # of a field, in a message


class EmptyIndex(LookupError):
    """An index without points was searched."""


@dataclass(frozen=True, repr=False)
class Index:
    """Collections and their schemas, the main space's first; made by `build_index` and `open_index`.

    report: what `build_index` did to each collection: points that were there already, sent, deleted; seconds.
    images: the paths of images by item_id, which come before those in the store; None to take these.

    >>> from tempfile import TemporaryDirectory
    >>> from mmlab.index import build_index, open_store
    >>> space = Space("toy", "1", "projected", "", "none", 2)
    >>> ids = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
    >>> items = pd.DataFrame({"item_id": ids, "modality": "image", "label": ["cup", "shoe"]})
    >>> with TemporaryDirectory() as folder:
    ...     index = build_index(open_store(folder), "toy", items, [Vectors(ids, np.eye(2), space)], progress=False)
    ...     index.search(Vectors(["query"], [[0.6, 0.8]], space), to="image", k=2).table["item_id"].str[-1].tolist()
    ['b', 'a']
    """

    store: Store
    name: str
    layout: str
    schemas: Mapping[str, Schema]
    report: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    images: pd.Series | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.layout}, {len(self.schemas)} collections, {self.store})"

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Keep the store open for a loop, see `Store.session`."""
        with self.store.session():
            yield self

    @property
    def spaces(self) -> list[Space]:
        """The spaces that it holds vectors of, the main one first."""
        return list(dict.fromkeys(space for schema in self.schemas.values() for space in schema.spaces))

    def other_layouts(self) -> "list[Index]":
        """Return the same index in the other layouts that its store has; ignore unreadable collections."""
        layouts = sorted(set(LAYOUTS) - {self.layout})
        with self.session():
            found = {layout: stored_schemas(self.store, self.name, layout)[0] for layout in layouts}
        return [replace(self, layout=layout, schemas=schemas) for layout, schemas in found.items() if schemas]

    def in_order(self, vectors: Sequence[AnyVectors]) -> list[Any]:
        """Sort a run's vectors as the index's spaces; raise SpaceMismatch for some that it was not built from."""
        for one in vectors:
            self._check_space(one.space)
        return sorted(vectors, key=lambda one: self.spaces.index(one.space))

    def modalities(self, space: Space) -> tuple[str, ...]:
        """Return the modalities of the items that have vectors in this space."""
        return tuple(modality for modality in PAIR_ORDER if (space.key, modality) in self._names)

    def collection(self, space: Space, modality: str) -> str:
        """Return the collection with the vectors of a space for items of a modality.

        Raises SpaceMismatch for a space that the index does not have, ValueError if it holds no such items.
        """
        found = self._names.get((space.key, modality))
        if found is None:
            self._check_space(space)
            raise ValueError(
                f"index {self.name!r} has no vectors of modality {modality!r} in {space.key}; "
                f"it has {list(self.modalities(space))}"
            )
        return found

    def search(
        self,
        queries: AnyVectors,
        to: str,
        k: int,
        where: Where | None = None,
        exact: bool = False,
        ef: int | None = None,
        *,
        quantized: bool = True,
        rescore: bool | None = None,
        oversampling: float | None = None,
        diversity: float | None = None,
        group_by_pair: bool = False,
        examples: Examples | None = None,
        boost: Mapping[str, float] | None = None,
    ) -> Found:
        """Return the `k` nearest items of modality `to` of each query.

        `.table` has query_id, item_id, rank from 1 and score (float32); it is made when it is first read.

        The score is a cosine in [-1, 1] of dense vectors, the sum over shared terms of sparse ones (an item that shares
        none is no hit), MaxSim of late interaction. `where` filters, as {"label": ["cup", "mug"], "price": {"lt": 10}}:
        see `mmlab.index.store.payload`. `exact` scans all vectors; so are those of dense vectors that a filter lets
        through scanned where they are less than a fifth. `quantized=False` walks the graph by the vectors themselves;
        `ef`, `rescore` and `oversampling` override the schema's. `diversity` from 0 to 1 chooses by MMR in the engine,
        from the 100 (or 4 k) nearest. `examples` of dense vectors, wanted and not, change the score by the formulas of
        `Examples`. `boost`, as {"price": -0.01}, adds -0.01 x price to the score of the 100 (or 4 k) best; a missing
        value counts as 0. `group_by_pair` gives only the best item of each pair. Fewer than k are returned if
        `where` lets fewer through or there are fewer pairs.

        Raises SpaceMismatch for queries of a space that the index does not have, EmptyIndex, and ValueError for a wrong
        `where`, boost or k, or a `k` of more items than there are, whatever else is asked.
        """
        if diversity is not None:
            check_value("diversity", diversity, Number(0, 1))
        options: SearchOptions = {
            "exact": exact, "ef": ef, "quantized": quantized, "rescore": rescore,
            "oversampling": oversampling, "diversity": diversity,
        }  # fmt: skip
        if examples:
            options["examples"] = examples
        if boost:
            options["boost"] = boost
        name = self.collection(queries.space, to)
        if group_by_pair:
            with self.session():
                found = self._search_pairs(name, queries, to, k, where, options)
        else:
            found = self.store.search(name, queries, k, where, to, **options)
        if len(found) < k * len(queries):
            self._check_k(name, to, k)
        return found

    def search_fused(
        self,
        queries: Sequence[AnyVectors],
        to: str,
        k: int,
        depth: int,
        fusion: str = "rrf",
        rrf_k: int = 60,
        where: Where | None = None,
        exact: bool = False,
    ) -> Found:
        """Return the `k` best items of modality `to` for a query that is asked in several spaces, fused by the engine.

        `.table` is that of `search`. queries: one vector in each space; all lie in one collection. depth: hits of each
        search. fusion: "rrf" (1 / (rrf_k + rank), summed up) or "dbsf" (scores on a scale of three standard deviations
        around the mean); all searches count alike. Raises ValueError for spaces of two collections, and as `search`
        does.

        Example: `index.search_fused([dense, words], to="image", k=10, depth=100)`.
        """
        names = {self.collection(one.space, to) for one in queries}
        if len(names) > 1:
            raise ValueError(
                f"one request asks one collection, found {sorted(names)}: fuse the hits of each instead"
            )
        [name] = names
        with self.session():
            found = self.store.search_fused(name, queries, k, depth, fusion, rrf_k, where, to, exact=exact)
            if len(found) < k:
                self._check_k(name, to, k)
        return found

    def has_graph(self, space: Space, to: str) -> bool:
        """Return whether a search for items of modality `to` walks a graph; where they are few, they are scanned."""
        name = self.collection(space, to)
        with self.session():
            kilobytes = self.store.count(name) * space.dimension * BYTES_PER_NUMBER / 1024
            if kilobytes <= self.schemas[name].hnsw.scan_kb or self.store.scans(name, space, to=to):
                return False
        return not self.store.ignores_settings

    def describe_search(self, space: Space, to: str, exact: bool, ef: int | None = None) -> str:
        """Return in words how a search for items of modality `to` finds the nearest.

        Example: "exact search", or "graph search, ef = 50, scalar copies rescored".
        """
        if space.kind == SPARSE:
            return "term search"
        if exact or not self.has_graph(space, to):
            return "exact search"
        if space.kind == LATE:
            return "MaxSim of what pooled vectors find"
        schema = self.schemas[self.collection(space, to)]
        kept = schema.quantization
        copies = f", {kept.kind} copies{' rescored' if kept.rescore else ''}" if kept else ""
        return f"graph search, ef = {ef or schema.hnsw.ef}{copies}"

    def count(self, modality: str | None = None, where: Where | None = None) -> int:
        """Return the number of items that `where` lets through, of one modality or of all."""
        names = self._collections_of(modality)
        held = [one for name in names for one in self.schemas[name].modalities if modality in (None, one)]
        with self.session():
            if len(set(held)) == len(held):  # no item is in two collections
                return sum(self.store.count(name, where, modality) for name in names)
            return len({item for name in names for item in self.store.item_ids(name, where, modality)})

    def facets(self, field: str, where: Where | None = None, modality: str | None = None) -> pd.DataFrame:
        """Return the values of a field with the number of items that have each: value, count, most frequent first.

        Of the items that `where` lets through, of one modality or of all; equal counts are in the order of the values.
        Qdrant counts words, whole numbers and truth values that have a payload index, in about a millisecond; for
        other fields the payloads are read. Raises ValueError for a field that cannot be filtered by.

        Example: `index.facets("colour", {"label": "mug"}, modality="image")`.
        """
        names = self._collections_of(modality)
        held = [one for name in names for one in self.schemas[name].modalities if modality in (None, one)]
        if len(set(held)) == len(held):  # no item is in two collections
            with self.session():
                found = [self.store.facets(name, field, where, modality) for name in names]
            counts = sum(map(Counter, found), Counter())
        else:
            check_filterable(field, self.schemas[names[0]].filterable)
            counts = Counter(self.items(where, modality)[field].dropna())
        rows = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        return pd.DataFrame(rows, columns=["value", "count"])

    def check_filter(self, where: Where | None) -> None:
        """Raise ValueError, which names what is there instead, for a word in a filter that no item has.

        Only fields with a payload index are looked at, and only where words are wanted, not excluded: under a filter
        on the very words the engine counts them at once.
        """
        schema = next(iter(self.schemas.values()))
        read_filter(where, schema.filterable)
        for name, wanted in (where or {}).items():
            if isinstance(wanted, Mapping) or schema.indexed.get(name) != KEYWORD:
                continue
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            known = set(self.facets(name, {name: values})["value"])
            for value in values:
                if value not in known:
                    raise ValueError(self._no_such_value(name, value))

    def _no_such_value(self, name: str, value: str) -> str:
        known = self.facets(name)
        shown = [
            f"{row.value} ({row.count:,})" for row in known.head(MAX_VALUES_SHOWN).itertuples(index=False)
        ]
        more = f" and {len(known) - len(shown):,} more" if len(known) > len(shown) else ""
        return (
            f"where: no item has {name} {value!r}{closest(value, known['value'])}; values: "
            f"{', '.join(shown) or 'none'}{more}"
        )

    def fetch(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return the payloads in the order asked: item_id, then the items' columns; KeyError for a missing id."""
        found: dict[str, Any] = {}
        with self.session():
            for name in self.schemas:
                missing = _missing(ids, found)
                found |= self.store.payloads(name, missing) if missing else {}
        fields = next(iter(self.schemas.values())).fields
        return self._with_images(payload_table(ids, self._in_order_asked(ids, found), fields))

    def _with_images(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.images is None or "image" not in table:
            return table
        return table.assign(image=table["item_id"].map(self.images).astype("str"))

    def vectors(self, ids: Sequence[str], space: Space) -> Vectors:
        """Return the stored vectors of items in a space, in the order asked; KeyError for a missing id."""
        self._check_space(space)
        found: dict[str, Any] = {}
        with self.session():
            for name in dict.fromkeys(self.collection(space, one) for one in self.modalities(space)):
                missing = _missing(ids, found)
                found |= self.store.rows(name, missing, space) if missing else {}
        rows = np.array(self._in_order_asked(ids, found), dtype=np.float32).reshape(-1, space.dimension)
        return Vectors(np.asarray(ids, dtype=str), rows, space)

    def items(self, where: Where | None = None, modality: str | None = None) -> pd.DataFrame:
        """Return the payloads of all items that `where` lets through, in the order of their ids."""
        with self.session():
            tables = [self.store.items(name, where, modality) for name in self._collections_of(modality)]
        table = pd.concat(tables).drop_duplicates("item_id").sort_values("item_id")
        return self._with_images(table.reset_index(drop=True))

    def collections(self) -> pd.DataFrame:
        """Return a row per collection: collection, space, modality, and what `Store.info` tells."""
        with self.session():
            rows = [
                {
                    "collection": name,
                    "space": " + ".join(space.key for space in schema.spaces),
                    "modality": " + ".join(schema.modalities),
                    **self.store.info(name),
                }
                for name, schema in self.schemas.items()
            ]
        return pd.DataFrame(rows)

    def _search_pairs(
        self, name: str, queries: AnyVectors, to: str, k: int, where: Where | None, options: SearchOptions
    ) -> Found:
        """Search deeper until every query has `k` pairs or all items have been seen."""
        held = self.store.count(name, where, to)
        depth = min(DEEPER_FACTOR * k, held)
        while depth:
            found = self.store.search(name, queries, depth, where, to, **options).table
            best = self._best_of_pairs(found, k)
            if depth == held or (best.groupby("query_id").size() >= k).all():
                return Found.of_table(best)
            depth = min(DEEPER_FACTOR * depth, held)
        return self.store.search(name, queries, k, where, to, **options)

    def _best_of_pairs(self, found: pd.DataFrame, k: int) -> pd.DataFrame:
        """Return the best item of each of the `k` first pairs of every query; an item without a pair is its own."""
        payload = self.fetch(found["item_id"].unique()).set_index("item_id")
        pair = payload["pair_id"].fillna(pd.Series(payload.index, index=payload.index))
        best = found[~found.assign(pair=found["item_id"].map(pair)).duplicated(["query_id", "pair"])]
        rank = best.groupby("query_id", sort=False).cumcount() + 1
        return best.assign(rank=rank)[rank <= k].reset_index(drop=True)

    @cached_property
    def _names(self) -> dict[tuple[str, str], str]:
        """The name of the first collection with the vectors of a space for items of a modality."""
        return {
            (space.key, modality): name
            for name, schema in reversed(list(self.schemas.items()))
            for space, modality in product(schema.spaces, PAIR_ORDER)
            if layout_of(schema).holds(space, modality)
        }

    def _collections_of(self, modality: str | None) -> list[str]:
        """Return the collections with items of a modality, all without one; ValueError if there are none."""
        found = [
            name for name, schema in self.schemas.items() if modality is None or modality in schema.modalities
        ]
        if not found:
            raise ValueError(f"index {self.name!r} has no items of modality {modality!r}")
        return found

    def _check_space(self, space: Space) -> None:
        if space not in self.spaces:
            name, schema = next(iter(self.schemas.items()))
            schema.check_space(space, name)

    def _in_order_asked(self, ids: Sequence[str], found: Mapping[str, Any]) -> list[Any]:
        missing = [item for item in ids if item not in found]
        if missing:
            raise KeyError(
                f"{len(missing)} of {len(ids)} ids are not in index {self.name!r}, first {missing[0]}"
            )
        return [found[item] for item in ids]

    def _check_k(self, name: str, to: str, k: int) -> None:
        """Raise the error that says why a search returned too few: nothing is there, or less than was asked for."""
        held = self.store.count(name, modality=to)
        if not held:
            raise EmptyIndex(f"index {self.name!r} holds no {to} items: collection {name!r} is empty")
        if k > held:
            raise ValueError(
                f"k = {k} is more than the {held} {to} items of index {self.name!r}: ask for fewer"
            )


def _missing(ids: Sequence[str], found: Mapping[str, Any]) -> list[str]:
    return [item for item in dict.fromkeys(map(str, ids)) if item not in found]
