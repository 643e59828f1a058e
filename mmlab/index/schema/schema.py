"""What a collection holds, declared before it is filled: its spaces, payload fields and index settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import pandas as pd

from mmlab.index.schema.fields import DTYPES, FILTERABLE, FINGERPRINT, KEYWORD, NOT_INDEXED, kind_of, path
from mmlab.index.schema.index_settings import Cluster, Hnsw, Quantization
from mmlab.items import Space, SpaceMismatch
from mmlab.items.options import OPTIONS

LAYOUTS = OPTIONS["layout"]
DISTANCE = "cosine"  # of unit rows, for every space
FORMAT = 2


class WrongSchema(ValueError):
    """A collection was made with another schema, or holds none that can be read."""


class OldSchema(WrongSchema):
    """A collection was made by an older version of mmlab."""


@dataclass(frozen=True)
class Schema:
    """A collection's spaces, its payload fields as {name: kind}, its layout and index settings.

    Kinds: keyword, integer, float, bool (filterable, mostly with a payload index) and text (kept, not filterable).
    space: of the one vector that a point has; in the named layout, of the main one.
    named: in the named layout a point's vectors, as {"<space key>-<modality>": space}.
    modalities: of the items that it holds, where that is declared; index, position: the index that it is part
    of, and the place of its space there, the main one 0.
    on_disk: read vectors from disk when they are needed, instead of keeping them in memory.
    """

    space: Space
    fields: Mapping[str, str] = field(default_factory=dict)
    layout: str = "unified"
    hnsw: Hnsw = field(default_factory=Hnsw)
    quantization: Quantization | None = None
    on_disk: bool = False
    cluster: Cluster = field(default_factory=Cluster)
    named: Mapping[str, Space] = field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    index: str = ""
    position: int = 0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"schema: the layout is one of {list(LAYOUTS)}, found {self.layout!r}")
        if bool(self.named) != (self.layout == "named"):
            raise ValueError(f"schema: only the named layout names its vectors, found {list(self.named)}")
        for name, kind in self.fields.items():
            if not isinstance(name, str) or not name.strip() or set(name) & set('"\\'):
                raise ValueError(f"schema: a field is named by text without quotes, found {name!r}")
            if name in ("item_id", FINGERPRINT):
                raise ValueError(f"schema: a field is not called {name!r}: that is mmlab's own")
            if kind not in DTYPES:
                raise ValueError(f"schema: field {name!r} is one of {list(DTYPES)}, found {kind!r}")

    @property
    def filterable(self) -> dict[str, str]:
        """The fields that `where` may name, and their kinds."""
        return {name: kind for name, kind in self.fields.items() if kind in FILTERABLE}

    @property
    def spaces(self) -> list[Space]:
        """The spaces of the vectors, the main one first."""
        return list(dict.fromkeys([self.space, *self.named.values()]))

    def indexed(self) -> dict[str, str]:
        """The payload indexes, as {path: kind}; in the named layout, of the fields of every modality."""
        kinds = {name: kind for name, kind in self.filterable.items() if name not in NOT_INDEXED}
        if self.layout != "named":
            return {path(name): kind for name, kind in kinds.items()}
        kinds["item_id"] = KEYWORD
        return {path(name, part): kind for part in self.modalities for name, kind in kinds.items()}

    def using(self, space: Space, modality: str | None) -> str:
        """The name of the vector of a space and modality, "" where points have one vector; ValueError."""
        if self.layout != "named":
            return ""
        name = vector_name(space, modality)
        if name not in self.named:
            raise ValueError(f"no vectors of {space.key} for {modality!r}; there are {list(self.named)}")
        return name

    def check_space(self, space: Space, collection: str) -> None:
        """Raise SpaceMismatch, naming what differs and what to do, unless `space` is one of the collection's."""
        if space == self.space or space in self.named.values():
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
        if told := self.differences(other):
            raise WrongSchema(
                f"collection {collection!r} is there with another schema; they differ in {told} "
                f"(stored, given). Drop it first, store.drop({collection!r}), or use another collection name"
            )

    def differences(self, other: "Schema") -> str:
        """Each setting that differs with this schema's value and the other's, "" where there is none."""
        mine, theirs = _flat(self.to_dict()), _flat(other.to_dict())
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return "; ".join(
            f"{name}: {mine.get(name, 'absent')} and {theirs.get(name, 'absent')}" for name in names
        )

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain dicts, for JSON."""
        return {
            "format": FORMAT,
            "space": self.space.to_dict(),
            "distance": DISTANCE,
            "fields": dict(self.fields),
            "layout": self.layout,
            "hnsw": asdict(self.hnsw),
            "quantization": asdict(self.quantization) if self.quantization else None,
            "on_disk": self.on_disk,
            "cluster": asdict(self.cluster),
            "named": {name: space.to_dict() for name, space in self.named.items()},
            "modalities": list(self.modalities),
            "index": self.index,
            "position": self.position,
        }

    @classmethod
    def from_dict(cls, stored: Any, collection: str) -> Self:
        """The schema that `to_dict` wrote; OldSchema or WrongSchema where it is anything else."""
        if isinstance(stored, Mapping) and stored.get("format") in range(1, FORMAT):
            raise OldSchema(
                f"collection {collection!r} was made by an older mmlab: run 03_index again, or drop it"
            )
        try:
            if stored["format"] != FORMAT or stored["distance"] != DISTANCE:
                raise ValueError(f"format {stored['format']!r}, expected {FORMAT} with {DISTANCE} distance")
            quantization = stored["quantization"]
            return cls(
                space=Space.from_dict(stored["space"]),
                fields=dict(stored["fields"]),
                layout=stored["layout"],
                hnsw=Hnsw(**stored["hnsw"]),
                quantization=Quantization(**quantization) if quantization else None,
                on_disk=bool(stored["on_disk"]),
                cluster=Cluster(**stored["cluster"]),
                named={name: Space.from_dict(space) for name, space in stored["named"].items()},
                modalities=tuple(stored["modalities"]),
                index=str(stored["index"]),
                position=int(stored["position"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WrongSchema(
                f"collection {collection!r} has no schema that this version of mmlab can read "
                f"({type(error).__name__}: {error}); drop it and build it again"
            ) from error


def vector_name(space: Space, modality: str | None) -> str:
    """The name of a point's vector in the named layout."""
    return f"{space.key}-{modality}"


def fields_of(items: pd.DataFrame) -> dict[str, str]:
    """The payload fields of an items table: each column but item_id, with a matching kind."""
    return {name: kind_of(items[name]) for name in items.columns if name != "item_id"}


def describe_fields(schema: Schema) -> pd.DataFrame:
    """The payload fields for reading: payload field, type, filter ("indexed", "scanned" or "" for none)."""
    indexed = set(schema.indexed())
    rows = []
    for name, kind in schema.fields.items():
        paths = {path(name, part) for part in (schema.modalities if schema.layout == "named" else ("",))}
        found = "indexed" if paths & indexed else "scanned" if name in schema.filterable else ""
        rows.append({"payload field": name, "type": kind, "filter": found})
    return pd.DataFrame(rows)


def schema_for(items: pd.DataFrame, space: Space, hnsw: Hnsw | None = None) -> Schema:
    """The schema of one collection for an items table with vectors of one space."""
    return Schema(space, fields_of(items), hnsw=hnsw or Hnsw())


def _flat(stored: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested dict as one of dotted names."""
    found: dict[str, Any] = {}
    for name, value in stored.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found
