"""mmlab's schema, filters and searches in the words of qdrant_edge."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mmlab.index.schema.fields import BOOL, FLOAT, INTEGER, KEYWORD
from mmlab.index.schema.payload_filter import Condition
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Conditions, Search

if TYPE_CHECKING:
    from qdrant_edge import EdgeConfig, Filter, QueryRequest


def config_of(schema: Schema) -> "EdgeConfig":
    """The configuration of a shard that is made for this schema."""
    from qdrant_edge import (
        Distance,
        EdgeConfig,
        EdgeOptimizersConfig,
        EdgeVectorParams,
        HnswIndexConfig,
        Memory,
    )

    hnsw = schema.hnsw

    def vector(size: int) -> EdgeVectorParams:
        # Cosine, not Dot: unit rows are unit to 1e-3 only, and the engine then scores exact cosines.
        memory = Memory.Cold if schema.on_disk else Memory.Cached
        return EdgeVectorParams(size=size, distance=Distance.Cosine, memory=memory)

    named = {name: vector(space.dimension) for name, space in schema.named.items()}
    return EdgeConfig(
        vectors=named or vector(schema.space.dimension),
        hnsw_config=HnswIndexConfig(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=hnsw.scan_kb
        ),
        quantization_config=_quantization(schema),
        optimizers=EdgeOptimizersConfig(indexing_threshold=hnsw.scan_kb, default_segment_number=1),
    )


def _quantization(schema: Schema) -> Any:
    import qdrant_edge as edge

    if schema.quantization is None:
        return None
    kind, size = schema.quantization.kind, schema.quantization.size
    memory = edge.Memory.Pinned if schema.quantization.always_ram else edge.Memory.Cold
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, memory=memory)
    if kind == "product":
        return edge.ProductQuantizationConfig(getattr(edge.CompressionRatio, f"X{size}"), memory=memory)
    if kind == "binary":
        return edge.BinaryQuantizationConfig(memory=memory)
    return edge.TurboQuantQuantizationConfig(
        bits=getattr(edge.TurboQuantBitSize, f"Bits{size}"), memory=memory
    )


def field_type(kind: str) -> Any:
    """The type of the payload index of a field."""
    from qdrant_edge import PayloadSchemaType as Type

    return {KEYWORD: Type.Keyword, INTEGER: Type.Integer, FLOAT: Type.Float, BOOL: Type.Bool}[kind]


def requests(how: Search, met: "Filter | None") -> "Callable[[list[float]], QueryRequest]":
    """A function from a row to its request; what all rows share is made once."""
    from qdrant_edge import Mmr, QuantizationSearchParams, Query, QueryRequest, SearchParams

    quantization = QuantizationSearchParams(
        ignore=how.exact or not how.quantized, rescore=how.rescore, oversampling=how.oversampling
    )
    common: dict[str, Any] = {"limit": how.k, "filter": met}
    common["params"] = SearchParams(hnsw_ef=how.ef, exact=how.exact, quantization=quantization)
    if how.part:
        common["with_payload"] = [f"{how.part}.item_id"]
    using = how.using or None
    if how.diversity is None:
        return lambda row: QueryRequest(query=Query.Nearest(row, using=using), **common)
    return lambda row: QueryRequest(query=Mmr(row, 1 - how.diversity, how.candidates, using=using), **common)


def filter_of(conditions: Conditions) -> "Filter | None":
    """The filter that lets through what meets all conditions, None for all points."""
    from qdrant_edge import Filter

    if not conditions:
        return None
    met = [_met(condition) for condition in conditions if not condition.negated]
    unmet = [_met(condition) for condition in conditions if condition.negated]
    return Filter(must=met or None, must_not=unmet or None)


def _met(condition: Condition) -> Any:
    from qdrant_edge import FieldCondition, Filter, MatchAny, MatchValue, RangeFloat

    path, values = condition.path, condition.values
    if condition.bounds:
        return FieldCondition(path, range=RangeFloat(**condition.bounds))
    if condition.kind in (KEYWORD, INTEGER):
        return FieldCondition(path, match=MatchAny(list(values)))
    if condition.kind == FLOAT:  # Qdrant matches no floats
        return Filter(should=[FieldCondition(path, range=RangeFloat(gte=v, lte=v)) for v in values])
    # qdrant_edge 0.9 takes Python's True for the integer 1, but numpy's for a bool.
    return Filter(should=[FieldCondition(path, match=MatchValue(np.bool_(value))) for value in values])
