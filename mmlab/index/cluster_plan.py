"""A Qdrant cluster on paper: bytes, memory, nodes, hours and cost of a number of items, each with its source.

Bytes are counted part by part; the write-ahead log, up to 64 MB a shard, is left out. GB are 10**9 bytes. A number that
nobody has measured says "guess".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2, nan
from typing import Any, NamedTuple

import pandas as pd

from mmlab.index.store.schema import BYTES_PER_NUMBER, Quantization
from mmlab.items.options import Number, Whole, check_value
from mmlab.items.parameter_table import check_values
from mmlab.items.sentences import count

CAPACITY = "https://qdrant.tech/documentation/capacity-planning/"
QUANTIZED = "https://qdrant.tech/documentation/manage-data/quantization/"
SCALING = "https://qdrant.tech/documentation/scaling/horizontal-scaling/"
CHECKLIST = "https://qdrant.tech/documentation/cloud/production-checklist/"
MEASURED = "tests/bench/plan.py"
ID_DISK_BYTES, ID_MEMORY_BYTES = 30, 100  # of an item: ids and versions
HEADROOM = 1.5  # "we multiply everything by 1.5": versions of points, and segments while they are optimized
LEAST_NODES = 3  # of a cluster with replicas, so that it works on while one is down
SHARDS_PER_NODE = 2
LATE_DIMENSION = 128  # of ColBERT, ColPali and ColQwen2
SECONDS_PER_HOUR = 3600
POSITIVE = Number(0, 1e15, above=True)
COLUMNS = ("quantity", "each_bytes", "amount", "unit", "cost", "source")


class Rate(NamedTuple):
    """A number that a plan is made with, and where it is from."""

    value: float
    source: str


# projection_dim, or hidden_size, in the config.json of the model
DIMENSIONS = {
    "demo": 128,
    "openai/clip-vit-base-patch32": 512,
    "openai/clip-vit-base-patch16": 512,
    "openai/clip-vit-large-patch14": 768,
    "google/siglip-base-patch16-224": 768,
    "sentence-transformers/all-MiniLM-L6-v2": 384,
    "sentence-transformers/all-mpnet-base-v2": 768,
}
RATES = {
    "embed_per_second": Rate(300, "guess, of one GPU: give --embed-rate or --from RUN"),
    "upload_per_second": Rate(2_000, "guess: give --upload-rate or --from RUN"),
    "query_ms": Rate(3, "guess, of one core and one shard: give --query-ms or --from RUN"),
    "payload_bytes": Rate(270, f"of items without captions, {MEASURED}; with --from RUN those of the run"),
    "field_bytes": Rate(175, f"of six fields, {MEASURED}"),
    "bm25_bytes": Rate(90, "words of a pair, tests/bench/words.py"),
    "sparse_bytes": Rate(960, "guess: 120 terms of 8 bytes"),
    "tokens": Rate(128, "guess: give --tokens or --from RUN"),
    "links": Rate(80, f"at most 2 m, and more where m is small for payload indexes, {MEASURED}"),
}


class Prices(NamedTuple):
    """What the user pays, in any currency; NaN where it is not given."""

    gpu_hour: float = nan
    ram_gb_month: float = nan
    disk_gb_month: float = nan


class Part(NamedTuple):
    """What a collection holds of an item: bytes on the disk, bytes in memory, and the source."""

    disk: float
    memory: float
    source: str


Line = tuple[str, float, float, str, float, str]  # COLUMNS


@dataclass(frozen=True)
class ClusterPlan:
    """A collection of so many items on a Qdrant cluster; made by `plan_cluster`.

    items: images and texts together, each a point. dimension: of the dense vectors. retrievers: of "dense", "bm25",
    "sparse" and "late". quantization, hnsw_m, on_disk: as of 03_index. replicas: copies of each shard. node_ram_gb:
    memory of a node. qps: queries a second, 0 to leave them out. rates: what is known better than RATES.

    Raises ValueError for a number that cannot be, and for an unknown retriever or quantization.

    >>> plan = ClusterPlan(1_000_000, 512, quantization="none", replicas=1)
    >>> float(plan.table().set_index("quantity").loc["dense vectors", "amount"])
    2.048
    """

    items: int
    dimension: int
    retrievers: Sequence[str] = ("dense",)
    quantization: str = "scalar"
    hnsw_m: int = 64
    on_disk: bool = False
    replicas: int = 2
    node_ram_gb: float = 64
    qps: float = 0
    rates: Mapping[str, Rate] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)

    def __post_init__(self) -> None:
        check_value("items", self.items, Whole(1, 10**15))
        check_value("dimension", self.dimension, Whole(1, 65_536))
        check_value("replicas", self.replicas, Whole(1, 100))
        check_value("node_ram_gb", self.node_ram_gb, POSITIVE)
        check_value("qps", self.qps, Number(0, 1e9))
        for name, rate in self.rates.items():
            check_value(name, rate.value, POSITIVE)
        for name, price in self.prices._asdict().items():
            if price == price:
                check_value(name, price, Number(0, 1e15))
        check_values(retrievers=list(self.retrievers), quantization=self.quantization)
        check_values(hnsw_m=self.hnsw_m, on_disk=self.on_disk)

    def rate(self, name: str) -> Rate:
        """Return one of the rates: what is known better, else that of RATES."""
        return self.rates.get(name, RATES[name])

    def parts(self) -> dict[str, Part]:
        """Return what a copy of the collection holds of an item, by name."""
        row, share = float(BYTES_PER_NUMBER * self.dimension), 0.0 if self.on_disk else 1.0
        found = {"dense vectors": Part(row, share * row, f"4 bytes a number, {CAPACITY}")}
        if copy := Quantization.from_name(self.quantization):
            size = row * quantized_share(copy)
            source = f"{quantized_share(copy):.4g} of float32, {QUANTIZED}"
            found[f"quantized copies, {self.quantization}"] = Part(size, size, source)
        links, bits = max(self.rate("links").value, 2 * self.hnsw_m), log2(self.items + 1)
        source = f"{links:g} links of {bits:.3g} bits an item: {self.rate('links').source}"
        found["graph"] = Part(links * bits / 8, share * links * bits / 8, source)
        found["payload"] = Part(self.rate("payload_bytes").value, 0.0, self.rate("payload_bytes").source)
        found["ids"] = Part(ID_DISK_BYTES, ID_MEMORY_BYTES, f"ids and versions, {MEASURED}")
        kept = {"payload indexes": "field_bytes"}
        kept |= {
            f"{kind} postings": f"{kind}_bytes" for kind in ("bm25", "sparse") if kind in self.retrievers
        }
        for name, known in kept.items():
            found[name] = Part(self.rate(known).value, self.rate(known).value, self.rate(known).source)
        if "late" in self.retrievers:
            found["late vectors"] = self._late(share)
        return found

    def _late(self, share: float) -> Part:
        """Return the rows of the tokens and their mean, which is for the first stage."""
        tokens = self.rate("tokens")
        size = (tokens.value + 1) * LATE_DIMENSION * BYTES_PER_NUMBER
        return Part(size, share * size, f"{tokens.value:g} rows of 128 and their mean: {tokens.source}")

    @property
    def disk_gb(self) -> float:
        """The disk of one copy, without headroom."""
        return self.items * sum(part.disk for part in self.parts().values()) / 1e9

    @property
    def memory_gb(self) -> float:
        """The memory of one copy, without headroom."""
        return self.items * sum(part.memory for part in self.parts().values()) / 1e9

    @property
    def nodes(self) -> int:
        """How many nodes have the memory for all copies; with replicas 3 at least, and as many as replicas."""
        needed = ceil(self.memory_gb * HEADROOM * self.replicas / self.node_ram_gb)
        return max(needed, self.replicas, LEAST_NODES if self.replicas > 1 else 1)

    @property
    def shards(self) -> int:
        """Into how many shards the collection is divided."""
        return SHARDS_PER_NODE * self.nodes if self.nodes > 1 else 1

    @property
    def sentence(self) -> str:
        """The plan in a sentence."""
        table = self.table()
        guesses = table.loc[table["source"].str.contains("guess"), "quantity"].tolist()
        more = f" Guesses, not measured: {', '.join(guesses)}." if guesses else ""
        return (
            f"{count(self.items, 'item')} of {self.dimension} dimensions: {count(self.nodes, 'node')} of "
            f"{self.node_ram_gb:g} GB, {count(self.shards, 'shard')} in {count(self.replicas, 'copy')}, "
            f"{self.disk_gb:,.4g} GB on the disk of a copy.{more}"
        )

    def table(self) -> pd.DataFrame:
        """Return the plan: quantity, each_bytes (of an item), amount, unit, cost (NaN without a price), source."""
        lines = [*self._bytes(), *self._cluster(), *self._work()]
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def _bytes(self) -> Iterator[Line]:
        for name, part in self.parts().items():
            place = "GB on disk and in memory" if part.memory else "GB on disk"
            yield name, part.disk, part.disk * self.items / 1e9, place, nan, part.source
        yield "disk of a copy", nan, self.disk_gb, "GB", nan, "all parts"
        source = f"the parts in memory; of ids {ID_MEMORY_BYTES} bytes, {MEASURED}"
        yield "memory of a copy", nan, self.memory_gb, "GB", nan, source

    def _cluster(self) -> Iterator[Line]:
        copies = f"{count(self.replicas, 'copy')} x 1.5 for what is optimized, cost a month, {CAPACITY}"
        disk, memory = (one * HEADROOM * self.replicas for one in (self.disk_gb, self.memory_gb))
        yield "disk of the cluster", nan, disk, "GB", disk * self.prices.disk_gb_month, copies
        yield "memory of the cluster", nan, memory, "GB", memory * self.prices.ram_gb_month, copies
        least = f"of {self.node_ram_gb:g} GB, with replicas {LEAST_NODES} at least, {SCALING}"
        yield "nodes", nan, self.nodes, "nodes", nan, least
        yield "memory in use of a node", nan, memory / self.nodes, "GB", nan, "memory of the cluster by nodes"
        yield "shards", nan, self.shards, "shards", nan, f"{SHARDS_PER_NODE} a node, {CHECKLIST}"

    def _work(self) -> Iterator[Line]:
        embed, upload = self.rate("embed_per_second"), self.rate("upload_per_second")
        hours = self.items / embed.value / SECONDS_PER_HOUR
        source = f"{embed.value:,.4g} items a second: {embed.source}"
        yield "embedding", nan, hours, "GPU hours", hours * self.prices.gpu_hour, source
        hours = self.items / upload.value / SECONDS_PER_HOUR
        yield "upload", nan, hours, "hours", nan, f"{upload.value:,.4g} points a second: {upload.source}"
        if self.qps:
            query = self.rate("query_ms")
            cores = self.qps * self.shards * query.value / 1000
            asked = f"{self.qps:g} a second x {self.shards} shards x {query.value:.3g} ms: {query.source}"
            yield "queries", nan, cores, "cores", nan, asked
            yield "queries, of a node", nan, cores / self.nodes, "cores", nan, "cores by nodes"


def plan_cluster(
    items: int,
    settings: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
    rates: Mapping[str, Rate] | None = None,
) -> ClusterPlan:
    """Return the plan of a cluster by the settings of `mmlab plan`, which go before what a run has `known`.

    settings: fields of `ClusterPlan`; rates by the names of RATES and prices by those of `Prices`, as numbers;
    retrievers also as one text; model in place of the dimension.

    Raises ValueError as `ClusterPlan` does, for an unknown setting, and where the dimension is not known.

    >>> plan_cluster(1000, {"model": "demo", "retrievers": "dense,bm25", "tokens": 50}).rate("tokens")
    Rate(value=50, source='as given')
    """
    given = {**(known or {}), **settings}
    if isinstance(given.get("retrievers"), str):
        given["retrievers"] = [one.strip() for one in given["retrievers"].split(",")]
    own = {name: Rate(given.pop(name), "as given") for name in RATES if name in given}
    prices = Prices(**{name: given.pop(name) for name in Prices._fields if name in given})
    model = given.pop("model", None)
    if "dimension" not in settings and model is not None:
        given["dimension"] = _model_dimension(model, (known or {}).get("dimension"))
    if "dimension" not in given:
        raise ValueError("dimension: expected --dimension, --model or --from RUN; found none of them")
    if unknown := sorted(set(given) - set(ClusterPlan.__dataclass_fields__)):
        raise ValueError(
            f"plan: expected settings of ClusterPlan, rates or prices; found {', '.join(unknown)}"
        )
    return ClusterPlan(items, **given, rates={**(rates or {}), **own}, prices=prices)


def _model_dimension(model: str, known: int | None) -> int:
    if model in DIMENSIONS:
        return DIMENSIONS[model]
    if known is None:
        raise ValueError(
            f"model: the dimension of {model!r} is not known here: give --dimension, or --from RUN"
        )
    return known


def quantized_share(copy: Quantization) -> float:
    """Return how large a quantized copy is beside float32.

    >>> [quantized_share(Quantization(*one)) for one in (("scalar",), ("product", 16), ("binary",), ("turbo", 2))]
    [0.25, 0.0625, 0.03125, 0.0625]
    """
    return 1 / copy.size if copy.kind == "product" else copy.size / 32
