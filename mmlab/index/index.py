"""The index of a run: its collections in one layout, searched and read as if they were one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from mmlab.index.collections import stored_schemas
from mmlab.index.grouping import best_of_pair
from mmlab.index.schema.collection_names import in_order
from mmlab.index.schema.fields import payload_table
from mmlab.index.schema.schema import LAYOUTS, Schema, vector_name
from mmlab.index.store.store import Store
from mmlab.items import Space, Vectors


class EmptyIndex(LookupError):
    """A search in an index without points."""


@dataclass(frozen=True, repr=False)
class Index:
    """Collections and their schemas, the main space's first. Made by `build_index` and `open_index`.

    report: what `build_index` did to each collection: points that were there already, sent, deleted; seconds.
    """

    store: Store
    name: str
    layout: str
    schemas: Mapping[str, Schema]
    report: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)

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
        """The same index in the other layouts that its store holds it in; what cannot be read is passed over."""
        layouts = sorted(set(LAYOUTS) - {self.layout})
        with self.session():
            found = {layout: stored_schemas(self.store, self.name, layout)[0] for layout in layouts}
        return [replace(self, layout=layout, schemas=held) for layout, held in found.items() if held]

    def in_order(self, vectors: Sequence[Vectors]) -> list[Vectors]:
        """A run's vectors in the order of the index's spaces; SpaceMismatch for some that it was not built from."""
        name, schema = next(iter(self.schemas.items()))
        for one in vectors:
            if one.space not in self.spaces:
                schema.check_space(one.space, name)
        return sorted(vectors, key=lambda one: self.spaces.index(one.space))

    def modalities(self, space: Space) -> tuple[str, ...]:
        """The modalities of the items that have vectors in this space."""
        return tuple(m for m in ("image", "text") if self._holding(space, m))

    def collection(self, space: Space, to: str) -> str:
        """The collection with the vectors of a space for items of modality `to`.

        Raises SpaceMismatch for a space that the index has not, ValueError where it holds no such items.
        """
        if space not in self.spaces:
            name, schema = next(iter(self.schemas.items()))
            schema.check_space(space, name)
        found = self._holding(space, to)
        if not found:
            raise ValueError(
                f"index {self.name!r} has no vectors of modality {to!r} in {space.key}; "
                f"it has {list(self.modalities(space))}"
            )
        return found[0]

    def search(
        self,
        queries: Vectors,
        to: str,
        k: int,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        ef: int | None = None,
        *,
        quantized: bool = True,
        rescore: bool | None = None,
        oversampling: float | None = None,
        diversity: float | None = None,
        group_by_pair: bool = False,
    ) -> pd.DataFrame:
        """The `k` nearest items of modality `to` of each query: query_id, item_id, rank from 1, score float32.

        `exact` scans all vectors; `quantized=False` walks the graph by the vectors themselves; `rescore` and
        `oversampling` override the schema's. `diversity` from 0 to 1 chooses by MMR in the engine, from the 100 (or
        4 k) nearest. `group_by_pair` gives the best item of each pair only. Fewer than k come back where `where`
        lets fewer through or there are fewer pairs. Raises SpaceMismatch for queries of a space that the index has not,
        EmptyIndex, and ValueError for a wrong `where` or k, or a `k` of more items than there are, whatever else is
        asked.
        """
        if diversity is not None and not 0 <= diversity <= 1:
            raise ValueError(f"diversity lies in [0, 1], found {diversity}")
        name = self.collection(queries.space, to)
        how: dict[str, Any] = {"quantized": quantized, "rescore": rescore, "oversampling": oversampling}
        how |= {"where": where, "exact": exact, "ef": ef, "diversity": diversity}
        with self.session():
            if group_by_pair:
                found = best_of_pair(self, queries, to, k, how)
            else:
                found = self.store.search(name, queries, k, to=to, **how)
            if len(found) < k * len(queries):
                self._check_reach(name, to, k)
        return found

    def count(self, to: str | None = None, where: Mapping[str, Any] | None = None) -> int:
        """The number of items, of modality `to` where it is given, that `where` lets through."""
        with self.session():
            names = self._of(to)
            if len(names) == 1 or (self.layout == "separate" and len(self.spaces) == 1):
                return sum(self.store.count(name, where, to) for name in names)
            return len({item for name in names for item in self.store.item_ids(name, where, to)})

    def fetch(self, ids: Sequence[str]) -> pd.DataFrame:
        """The payloads in the order asked: item_id, then the items' columns; KeyError names a missing id."""
        found: dict[str, dict[str, Any]] = {}
        with self.session():
            for name in self.schemas:
                left = [item for item in dict.fromkeys(map(str, ids)) if item not in found]
                found |= self.store.payloads(name, left) if left else {}
        return payload_table(ids, in_order(ids, found, self.name), self._fields())

    def vectors(self, ids: Sequence[str], space: Space) -> Vectors:
        """The stored vectors of items in a space, in the order asked; KeyError names a missing id."""
        found: dict[str, list[float]] = {}
        with self.session():
            names = dict.fromkeys(self.collection(space, to) for to in self.modalities(space))
            for name in names or [self.collection(space, "image")]:
                left = [item for item in dict.fromkeys(map(str, ids)) if item not in found]
                found |= self.store.rows(name, left, space) if left else {}
        rows = np.array(in_order(ids, found, self.name), dtype=np.float32).reshape(-1, space.dimension)
        return Vectors(np.asarray(ids, dtype=str), rows, space)

    def items(self, where: Mapping[str, Any] | None = None, to: str | None = None) -> pd.DataFrame:
        """The payloads of all items that `where` lets through, in the order of their ids."""
        with self.session():
            tables = [self.store.items(name, where, to) for name in self._of(to)]
        table = pd.concat(tables).drop_duplicates("item_id").sort_values("item_id")
        return table.reset_index(drop=True)

    def collections(self) -> pd.DataFrame:
        """One row per collection: collection, space, modality, points, vectors, hnsw, disk_bytes and more of `info`."""
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

    def _holding(self, space: Space, to: str) -> list[str]:
        return [
            name
            for name, schema in self.schemas.items()
            if space in schema.spaces and to in schema.modalities
            if schema.layout != "named" or vector_name(space, to) in schema.named
        ]

    def _of(self, to: str | None) -> list[str]:
        """The collections with items of a modality, all of them without one; ValueError where there are none."""
        found = [name for name, schema in self.schemas.items() if to is None or to in schema.modalities]
        if not found:
            raise ValueError(f"index {self.name!r} has no items of modality {to!r}")
        return found

    def _fields(self) -> Mapping[str, str]:
        return next(iter(self.schemas.values())).fields

    def _check_reach(self, name: str, to: str, k: int) -> None:
        """Why a search came back short: nothing is there, or less than was asked for."""
        held = self.store.count(name, to=to)
        if not held:
            raise EmptyIndex(f"index {self.name!r} holds no {to} items: collection {name!r} is empty")
        if k > held:
            raise ValueError(
                f"k = {k} is more than the {held} {to} items of index {self.name!r}: ask for fewer"
            )
