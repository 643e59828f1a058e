"""Settings of an index: the HNSW graph, quantized copies, and how a cluster spreads a collection."""

import warnings
from dataclasses import dataclass

from mmlab.items.options import Whole, check_value
from mmlab.items.parameter_table import check_values

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
