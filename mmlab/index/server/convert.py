"""mmlab's schema, filters and searches in the words of qdrant-client."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmlab.index.schema.fields import BOOL, FLOAT, INTEGER, KEYWORD
from mmlab.index.schema.payload_filter import Condition
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Conditions, Search

if TYPE_CHECKING:
    from qdrant_client.models import Filter, QueryRequest

METADATA = "mmlab"  # the schema's key in a collection's metadata


def config_of(schema: Schema) -> dict[str, Any]:
    """The arguments of `create_collection` for this schema, which goes into the metadata."""
    from qdrant_client import models

    hnsw, cluster = schema.hnsw, schema.cluster

    def vector(size: int) -> models.VectorParams:
        return models.VectorParams(size=size, distance=models.Distance.COSINE, on_disk=schema.on_disk)

    named = {name: vector(space.dimension) for name, space in schema.named.items()}
    return {
        "vectors_config": named or vector(schema.space.dimension),
        "hnsw_config": models.HnswConfigDiff(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=hnsw.scan_kb
        ),
        "quantization_config": _quantization(schema),
        "optimizers_config": models.OptimizersConfigDiff(indexing_threshold=hnsw.scan_kb),
        "shard_number": cluster.shards,
        "replication_factor": cluster.replicas,
        "write_consistency_factor": cluster.write_consistency,
        "metadata": {METADATA: schema.to_dict()},
    }


def _quantization(schema: Schema) -> Any:
    from qdrant_client import models

    if schema.quantization is None:
        return None
    kind, size = schema.quantization.kind, schema.quantization.size
    ram = {"always_ram": schema.quantization.always_ram}
    if kind == "scalar":
        return models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8", **ram))
    if kind == "product":
        return models.ProductQuantization(
            product=models.ProductQuantizationConfig(compression=f"x{size}", **ram)
        )
    if kind == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(**ram))
    return models.TurboQuantization(turbo=models.TurboQuantQuantizationConfig(bits=f"bits{size}", **ram))


def field_type(kind: str) -> Any:
    """The type of the payload index of a field."""
    from qdrant_client.models import PayloadSchemaType as Type

    return {KEYWORD: Type.KEYWORD, INTEGER: Type.INTEGER, FLOAT: Type.FLOAT, BOOL: Type.BOOL}[kind]


def requests(how: Search, met: "Filter | None") -> "Callable[[list[float]], QueryRequest]":
    """A function from a row to its request; what all rows share is made once."""
    from qdrant_client import models

    quantization = models.QuantizationSearchParams(
        ignore=how.exact or not how.quantized, rescore=how.rescore, oversampling=how.oversampling
    )
    common: dict[str, Any] = {"limit": how.k, "filter": met, "using": how.using or None}
    common["params"] = models.SearchParams(hnsw_ef=how.ef, exact=how.exact, quantization=quantization)
    common["with_payload"] = [f"{how.part}.item_id"] if how.part else False
    if how.diversity is None:
        return lambda row: models.QueryRequest(query=row, **common)
    mmr = models.Mmr(diversity=how.diversity, candidates_limit=how.candidates)
    return lambda row: models.QueryRequest(query=models.NearestQuery(nearest=row, mmr=mmr), **common)


def filter_of(conditions: Conditions) -> "Filter | None":
    """The filter that lets through what meets all conditions, None for all points."""
    from qdrant_client.models import Filter

    if not conditions:
        return None
    met = [_met(condition) for condition in conditions if not condition.negated]
    unmet = [_met(condition) for condition in conditions if condition.negated]
    return Filter(must=met or None, must_not=unmet or None)


def _met(condition: Condition) -> Any:
    from qdrant_client.models import FieldCondition, Filter, MatchAny, MatchValue, Range

    path, values = condition.path, condition.values
    if condition.bounds:
        return FieldCondition(key=path, range=Range(**condition.bounds))
    if condition.kind in (KEYWORD, INTEGER):
        return FieldCondition(key=path, match=MatchAny(any=list(values)))
    if condition.kind == FLOAT:  # Qdrant matches no floats
        return Filter(should=[FieldCondition(key=path, range=Range(gte=v, lte=v)) for v in values])
    return Filter(should=[FieldCondition(key=path, match=MatchValue(value=value)) for value in values])
