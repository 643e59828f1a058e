"""What a collection holds, declared before it is filled: its space, payload fields and index settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import pandas as pd

from mmlab.index.fields import DTYPES, FILTERABLE, kind_of
from mmlab.items import Space, SpaceMismatch

LAYOUTS = ("unified",)
FORMAT = 1


class WrongSchema(ValueError):
    """A collection was made with another schema, or holds none that can be read."""


@dataclass(frozen=True)
class Hnsw:
    """Settings of the HNSW graph (Malkov and Yashunin, 2018, arXiv:1603.09320).

    m: edges per node; ef_construct: candidates looked at when a node is inserted; ef: candidates looked at by
    a search, unless the search says otherwise.
    scan_kb: up to so many KB of vectors are scanned exactly: a collection this small gets no graph, and a
    filter that leaves this little does not walk it. A scan of 256 KB takes less time than a walk.
    The graph is drawn at random: two builds over the same vectors answer a little differently.
    """

    m: int = 64
    ef_construct: int = 128
    ef: int = 50
    scan_kb: int = 256

    def __post_init__(self) -> None:
        # Servers refuse m = 0 for a graph, ef_construct below 4 and a full_scan_threshold below 10.
        for name, least in (("m", 1), ("ef_construct", 4), ("ef", 1), ("scan_kb", 10)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"hnsw: {name} is a whole number from {least}, found {value!r}")


@dataclass(frozen=True)
class Schema:
    """A collection's space, its payload fields as {name: kind}, its layout and index settings.

    Kinds: keyword, integer, float, bool (filterable, with a payload index) and text (kept, not filterable).
    """

    space: Space
    fields: Mapping[str, str] = field(default_factory=dict)
    layout: str = "unified"
    hnsw: Hnsw = field(default_factory=Hnsw)

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"schema: the layout is one of {list(LAYOUTS)}, found {self.layout!r}")
        for name, kind in self.fields.items():
            if (
                not isinstance(name, str)
                or not name.strip()
                or any(c in name for c in '"\\')
                or name == "item_id"
            ):
                raise ValueError(
                    f"schema: a field is named by text without quotes, not 'item_id'; found {name!r}"
                )
            if kind not in DTYPES:
                raise ValueError(f"schema: field {name!r} is one of {list(DTYPES)}, found {kind!r}")

    @property
    def filterable(self) -> dict[str, str]:
        """The fields that `where` may name, and their kinds."""
        return {name: kind for name, kind in self.fields.items() if kind in FILTERABLE}

    def check_space(self, space: Space, collection: str) -> None:
        """Raise SpaceMismatch, naming what differs and what to do, unless `space` is the collection's."""
        if space == self.space:
            return
        try:
            self.space.check_same(space)
        except SpaceMismatch as error:
            raise SpaceMismatch(
                f"collection {collection!r} holds vectors of {self.space.key}, these are of {space.key}: "
                f"{error} (stored, given). Embed with {self.space.model}, use another collection, or drop this"
            ) from None

    def check_same(self, other: "Schema", collection: str) -> None:
        """Raise SpaceMismatch or WrongSchema, naming each setting that differs, unless both are the same."""
        self.check_space(other.space, collection)
        mine, theirs = _flat(self), _flat(other)
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        if names:
            told = "; ".join(
                f"{name}: {mine.get(name, 'absent')} and {theirs.get(name, 'absent')}" for name in names
            )
            raise WrongSchema(
                f"collection {collection!r} is there with another schema; they differ in {told} "
                f"(stored, given). Drop it first, store.drop({collection!r}), or use another collection name"
            )

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain dicts, for JSON."""
        return {
            "format": FORMAT,
            "space": self.space.to_dict(),
            "fields": dict(self.fields),
            "layout": self.layout,
            "hnsw": asdict(self.hnsw),
        }

    @classmethod
    def from_dict(cls, stored: Any, collection: str) -> Self:
        """The schema that `to_dict` wrote; WrongSchema where it is anything else."""
        try:
            if stored["format"] != FORMAT:
                raise ValueError(f"format {stored['format']!r}, expected {FORMAT}")
            space, hnsw = Space.from_dict(stored["space"]), Hnsw(**stored["hnsw"])
            return cls(space, dict(stored["fields"]), stored["layout"], hnsw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WrongSchema(
                f"collection {collection!r} has no schema that this version of mmlab can read "
                f"({type(error).__name__}: {error}); drop it and build it again"
            ) from error


def schema_for(items: pd.DataFrame, space: Space, hnsw: Hnsw | None = None) -> Schema:
    """The unified schema of an items table: each column but item_id is a payload field of a matching kind."""
    fields = {name: kind_of(items[name]) for name in items.columns if name != "item_id"}
    return Schema(space, fields, hnsw=hnsw or Hnsw())


def _flat(schema: Schema) -> dict[str, Any]:
    parts = schema.to_dict()
    nested = {f"{part}.{name}": value for part in ("fields", "hnsw") for name, value in parts[part].items()}
    return {"layout": schema.layout, **nested}
