"""How a collection is indexed, kept and spread: the HNSW graph, quantization and, on a server, the cluster."""

import warnings
from dataclasses import dataclass
from typing import Any, Self

QUANTIZATIONS = {  # kind: its sizes, the default one first
    "scalar": (8,),  # bits of a number
    "product": (16, 4, 8, 32, 64),  # times smaller than float32
    "binary": (1,),  # bits of a number
    "turbo": (4, 1, 2, 8),  # bits of a number
}


class BinaryWarning(UserWarning):
    """Binary quantization loses most of the recall of CLIP-like vectors."""


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
            _check_number("hnsw", name, getattr(self, name), least)


@dataclass(frozen=True)
class Quantization:
    """Smaller copies of the vectors that a search looks at first; exact search never does.

    kind: scalar (int8), product, binary or turbo (TurboQuant, arXiv:2504.19874).
    size: bits of a number, for product the times that a vector shrinks; None: the kind's default.
    always_ram: keep the copies in memory, also where the vectors themselves stay on disk.
    rescore, oversampling: what a search does unless it says otherwise: take `oversampling` times k candidates by
    their copies and rank them by the vectors themselves.
    """

    kind: str
    size: int | None = None
    always_ram: bool = True
    rescore: bool = True
    oversampling: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in QUANTIZATIONS:
            raise ValueError(f"quantization: one of {['none', *QUANTIZATIONS]}, found {self.kind!r}")
        sizes = QUANTIZATIONS[self.kind]
        if self.size is None:
            object.__setattr__(self, "size", sizes[0])
        if self.size not in sizes:
            raise ValueError(
                f"quantization: the size of {self.kind} is one of {sorted(sizes)}, found {self.size!r}"
            )
        if not 1 <= self.oversampling <= 100:
            raise ValueError(f"quantization: oversampling lies in [1, 100], found {self.oversampling!r}")

    def warn(self) -> None:
        """BinaryWarning for binary quantization, which does not suit CLIP-like vectors."""
        if self.kind == "binary":
            warnings.warn(
                "binary quantization of CLIP-like vectors: without rescoring a recall of 0.99 falls to 0.48-0.60 "
                "(published). Rescore with oversampling and look at the recall, or use scalar",
                BinaryWarning,
                stacklevel=3,
            )

    @classmethod
    def named(cls, name: "str | Quantization | None", **more: Any) -> Self | None:
        """The quantization of a parameter such as "none", "scalar", "product", "product-32" or "turbo-2".

        `more`: always_ram, rescore and oversampling, where they are not the defaults.
        """
        if name is None or isinstance(name, Quantization):
            return name
        kind, dash, size = name.partition("-")
        if dash and not size.isdecimal():
            raise ValueError(f"quantization: a kind and a size, as 'product-32'; found {name!r}")
        return None if name == "none" else cls(kind, int(size) if size else None, **more)


@dataclass(frozen=True)
class Cluster:
    """How a server spreads a collection; a folder is always one shard.

    shards: parts that lie on different nodes; replicas: copies of each part; write_consistency: copies that must
    have a point before its write is acknowledged.
    """

    shards: int = 1
    replicas: int = 1
    write_consistency: int = 1

    def __post_init__(self) -> None:
        for name in ("shards", "replicas", "write_consistency"):
            _check_number("cluster", name, getattr(self, name), 1)
        if self.write_consistency > self.replicas:
            raise ValueError(
                f"cluster: write_consistency {self.write_consistency} is more than the {self.replicas} replicas "
                "that there are"
            )


def _check_number(what: str, name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{what}: {name} is a whole number from {least}, found {value!r}")
