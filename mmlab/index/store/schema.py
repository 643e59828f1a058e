"""What a collection holds, declared before it is filled: its spaces, payload fields and index settings."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

from mmlab.index.store.payload import DTYPES, FILTERABLE, FINGERPRINT, NOT_INDEXED
from mmlab.items import Space, SpaceMismatch
from mmlab.items.options import Whole, check_value
from mmlab.items.parameter_table import check_values
from mmlab.items.vectors import DENSE, SPARSE

DEFAULT_SIZES = {
    "scalar": 8,
    "product": 16,
    "binary": 1,
    "turbo": 4,
}  # bits a number; product: times smaller than float32


class BinaryWarning(UserWarning):
    """Binary quantization loses most of the recall of CLIP-like vectors."""


@dataclass(frozen=True)
class Hnsw:
    """Settings of the HNSW graph (Malkov and Yashunin, 2018, arXiv:1603.09320).

    m: edges per node, from 1. ef_construct: candidates that are compared when a node is inserted, from 4.
    ef: candidates that a search compares unless it names its own number, from 1.
    scan_kb: up to this many KB of vectors are scanned exactly, from 10. A collection this small gets no graph, and a
    filter that leaves this little does not walk it: a scan of 256 KB takes less time than a walk.
    The graph is drawn at random: two builds over the same vectors differ a little in their answers.

    Raises ValueError for a number below its range.

    >>> Hnsw(m=16)
    Hnsw(m=16, ef_construct=128, ef=50, scan_kb=256)
    """

    m: int = 64
    ef_construct: int = 128
    ef: int = 50
    scan_kb: int = 256

    def __post_init__(self) -> None:
        # Servers refuse m = 0 for a graph, ef_construct below 4 and a full_scan_threshold below 10.
        check_values(hnsw_m=self.m, hnsw_ef_construct=self.ef_construct, ef=self.ef)
        check_value("scan_kb", self.scan_kb, Whole(10))


@dataclass(frozen=True)
class Quantization:
    """Smaller copies of the vectors, which a search compares first; exact search never uses them.

    kind: scalar (int8), product, binary or turbo (TurboQuant, arXiv:2504.19874).
    size: bits per number; for product, how many times a vector shrinks. 0 stands for the kind's default.
    always_ram: keep the copies in memory, also where the vectors themselves stay on disk.
    rescore, oversampling: what a search does unless it says otherwise. It takes `oversampling` times k candidates by
    their copies, in [1, 100], and ranks them by the vectors themselves.

    Raises ValueError for an unknown kind, size or oversampling.

    >>> Quantization("product").size
    16
    """

    kind: str
    size: int = 0
    always_ram: bool = True
    rescore: bool = True
    oversampling: float = 2.0

    def __post_init__(self) -> None:
        if self.size == 0:
            object.__setattr__(self, "size", DEFAULT_SIZES.get(self.kind, 0))
        check_values(
            quantization=f"{self.kind}-{self.size}",
            always_ram=self.always_ram,
            rescore=self.rescore,
            oversampling=self.oversampling,
        )

    def warn(self) -> None:
        """Warn with BinaryWarning if the quantization is binary, which does not suit CLIP-like vectors."""
        if self.kind == "binary":
            warnings.warn(
                "binary quantization of CLIP-like vectors: without rescoring, recall falls from 0.99 to 0.48-0.60 "
                "(published). Rescore with oversampling and check the recall, or use scalar",
                BinaryWarning,
                stacklevel=3,
            )

    @classmethod
    def from_name(
        cls,
        name: "str | Quantization | None",
        *,
        always_ram: bool = True,
        rescore: bool = True,
        oversampling: float = 2.0,
    ) -> "Quantization | None":
        """Return the quantization of a name such as "none", "scalar", "product-32" or "turbo-2".

        A Quantization and None are returned as they are. Raises ValueError for an unknown kind or size.

        >>> Quantization.from_name("product-32").size
        32
        """
        if name is None or isinstance(name, Quantization):
            return name
        check_values(quantization=name)
        kind, _, size = name.partition("-")
        return None if name == "none" else cls(kind, int(size or 0), always_ram, rescore, oversampling)


@dataclass(frozen=True)
class Cluster:
    """How a server spreads a collection; a collection in a folder is always one shard.

    shards: parts, which lie on different nodes. replicas: copies of each part. write_consistency: copies that must
    hold a point before its write is acknowledged. All are whole numbers from 1.

    Raises ValueError for a smaller number, and for a write_consistency above the replicas.

    >>> Cluster(shards=4, replicas=2)
    Cluster(shards=4, replicas=2, write_consistency=1)
    """

    shards: int = 1
    replicas: int = 1
    write_consistency: int = 1

    def __post_init__(self) -> None:
        for name in ("shards", "replicas", "write_consistency"):
            check_value(name, getattr(self, name), Whole(1))
        if self.write_consistency > self.replicas:
            raise ValueError(
                f"cluster: write_consistency {self.write_consistency} is more than the {self.replicas} replicas"
            )


BYTES_PER_NUMBER = 4  # of a vector
DISTANCE = "cosine"  # of unit rows, for every space
FORMAT = 2
COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class WrongSchema(ValueError):
    """A collection was made with another schema, or has none that can be read."""


class OldSchema(WrongSchema):
    """A collection was made by an older version of mmlab."""


class DamagedCollection(WrongSchema):
    """Files of a collection are not what was written: it can only be dropped and built anew."""


UNREADABLE = (OldSchema, DamagedCollection)  # of what can only be made anew


@dataclass(frozen=True)
class Schema:
    """What one collection holds: spaces, payload fields as {name: kind}, layout and index settings.

    Kinds: keyword, integer, float, bool (filterable, most with a payload index) and text (stored, not filterable).
    space: of the one dense vector that a point has; in the named layout, of the main one.
    vector_spaces: the vectors that have a name, as {"<space key>-<modality>": space}: all in the named layout; in the
    others those beside the dense one, weighted terms and a row for each token.
    on_disk: read vectors from disk when they are needed, instead of keeping them in memory.
    modalities: of the items that the collection holds, where that is declared.
    index, position: the index that the collection is part of, and the place of its space there; the main one is 0.

    Raises ValueError for an unknown layout or kind, and for a field name that cannot be stored.

    >>> Schema(Space("clip", "1", "projected", "", "none", 512), {"label": "keyword", "text": "text"}).filterable
    {'label': 'keyword'}
    """

    space: Space
    fields: Mapping[str, str] = field(default_factory=dict)
    layout: str = "unified"
    hnsw: Hnsw = field(default_factory=Hnsw)
    quantization: Quantization | None = None
    on_disk: bool = False
    cluster: Cluster = field(default_factory=Cluster)
    vector_spaces: Mapping[str, Space] = field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    index: str = ""
    position: int = 0

    def __post_init__(self) -> None:
        check_values(layout=self.layout)
        named = [name for name, space in self.vector_spaces.items() if space.kind == DENSE]
        if bool(named) != (self.layout == "named"):
            raise ValueError(f"schema: only the named layout names its dense vectors, found {named}")
        for name, kind in self.fields.items():
            _check_field(name, kind)

    @cached_property
    def filterable(self) -> dict[str, str]:
        """The fields that a filter may name, and their kinds."""
        return {name: kind for name, kind in self.fields.items() if kind in FILTERABLE}

    @cached_property
    def indexed(self) -> dict[str, str]:
        """The fields that have a payload index, and their kinds."""
        return {name: kind for name, kind in self.filterable.items() if name not in NOT_INDEXED}

    @property
    def spaces(self) -> list[Space]:
        """The spaces of the vectors, the main one first."""
        return list(dict.fromkeys([self.space, *self.vector_spaces.values()]))

    @property
    def dense_vectors(self) -> dict[str, Space]:
        """The spaces of rows by the name of the vector, "" for the one without: a row, or one for each token."""
        unnamed = {} if self.layout == "named" else {"": self.space}
        return unnamed | {name: one for name, one in self.vector_spaces.items() if one.kind != SPARSE}

    @property
    def sparse_vectors(self) -> dict[str, Space]:
        """The spaces of weighted terms by the name of the vector."""
        return {name: one for name, one in self.vector_spaces.items() if one.kind == SPARSE}

    def check_space(self, space: Space, collection: str) -> None:
        """Raise SpaceMismatch, naming what differs and what to do, unless `space` is one of the collection's."""
        if space == self.space or space in self.vector_spaces.values():
            return
        try:
            self.space.check_same(space)
        except SpaceMismatch as error:
            raise SpaceMismatch(
                f"collection {collection!r} holds vectors of {self.space.key}, these are of {space.key}: "
                f"{error} (stored, given). Embed with {self.space.model}, use another collection, or drop this"
            ) from None

    def check_modality(self, modality: str | None) -> None:
        """Raise ValueError if the collection is known to hold no items of the modality."""
        if modality is not None and self.modalities and modality not in self.modalities:
            raise ValueError(f"no items of modality {modality!r}; there are {list(self.modalities)}")

    def check_same(self, other: "Schema", collection: str) -> None:
        """Raise SpaceMismatch or WrongSchema, naming each setting that differs, unless both are the same."""
        self.check_space(other.space, collection)
        if differences := self.differences(other):
            raise WrongSchema(
                f"collection {collection!r} exists with another schema; they differ in {differences} "
                f"(stored, given). Drop it first, store.drop({collection!r}), or use another collection name"
            )

    def differences(self, other: "Schema") -> str:
        """Return each setting that differs, with this schema's value and the other's; "" if there is none."""
        mine, theirs = ({**one.to_dict(), "order": {}} for one in (self, other))
        mine, theirs = _flatten(mine), _flatten(theirs)
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return "; ".join(
            f"{name}: {mine.get(name, 'absent')} and {theirs.get(name, 'absent')}" for name in names
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain dicts, for JSON; `order` keeps that of names, which a server may change."""
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
            "named": {name: space.to_dict() for name, space in self.vector_spaces.items()},
            "modalities": list(self.modalities),
            "index": self.index,
            "position": self.position,
            "order": {"fields": list(self.fields), "named": list(self.vector_spaces)},
        }

    @classmethod
    def from_dict(cls, stored: Any, collection: str) -> Self:
        """Return the schema that `to_dict` wrote; raise OldSchema or WrongSchema for anything else."""
        if isinstance(stored, Mapping) and stored.get("format") in range(1, FORMAT):
            raise OldSchema(
                f"collection {collection!r} was made by an older mmlab: run 03_index again, or drop it"
            )
        try:
            return cls(**_schema_arguments(stored))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WrongSchema(
                f"collection {collection!r} has no schema that this version of mmlab can read "
                f"({type(error).__name__}: {error}); drop it and build it again"
            ) from error


def is_newer(stored: Any) -> bool:
    """Return whether a later version of mmlab wrote this schema."""
    return isinstance(stored, Mapping) and isinstance(stored.get("format"), int) and stored["format"] > FORMAT


def check_collection_name(name: str) -> str:
    """Return the name of a collection if it is a valid one; raise ValueError otherwise."""
    if not isinstance(name, str) or not COLLECTION_NAME.fullmatch(name):
        raise ValueError(
            "the name of a collection is 1 to 63 of a-z, 0-9, '-' and '_', a letter or digit first; "
            f"found {name!r}"
        )
    return name


def _schema_arguments(stored: Any) -> dict[str, Any]:
    if stored["format"] != FORMAT or stored["distance"] != DISTANCE:
        raise ValueError(
            f"found format {stored['format']!r} with {stored['distance']!r} distance, expected {FORMAT} "
            f"with {DISTANCE!r}"
        )
    quantization = stored["quantization"]
    return {
        "space": Space.from_dict(stored["space"]),
        "fields": _in_order(stored, "fields"),
        "layout": stored["layout"],
        "hnsw": Hnsw(**stored["hnsw"]),
        "quantization": Quantization(**quantization) if quantization else None,
        "on_disk": bool(stored["on_disk"]),
        "cluster": Cluster(**stored["cluster"]),
        "vector_spaces": {name: Space.from_dict(space) for name, space in _in_order(stored, "named").items()},
        "modalities": tuple(stored["modalities"]),
        "index": str(stored["index"]),
        "position": int(stored["position"]),
    }


def _in_order(stored: Any, name: str) -> dict[str, Any]:
    """Return a part of a stored schema in the order that it was written in; one without `order` as it is."""
    part = stored[name]
    order = dict.fromkeys(stored.get("order", {}).get(name, ()))
    return {key: part[key] for key in order | part}


def _check_field(name: object, kind: str) -> None:
    if not isinstance(name, str) or not name.strip() or set(name) & set('"\\'):
        raise ValueError(f"schema: the name of a field is text without quotes, found {name!r}")
    if name in ("item_id", FINGERPRINT):
        raise ValueError(f"schema: a field cannot be called {name!r}: mmlab uses that name itself")
    if kind not in DTYPES:
        raise ValueError(f"schema: the kind of field {name!r} is one of {list(DTYPES)}, found {kind!r}")


def _flatten(stored: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return a nested dict as one dict with dotted names."""
    found: dict[str, Any] = {}
    for name, value in stored.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found
