"""mmlab's schemas, filters and searches in the terms of qdrant_edge."""

from collections.abc import Callable
from typing import Any

import numpy as np
import qdrant_edge as edge
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    MatchAny,
    MatchValue,
    Memory,
    Mmr,
    PayloadSchemaType,
    QuantizationSearchParams,
    Query,
    QueryRequest,
    RangeFloat,
    SearchParams,
)
from qdrant_edge import PayloadSchemaType as Type

from mmlab.index.schema.payload import BOOL, FLOAT, INTEGER, KEYWORD, Conditions
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import FilterTerms, Search, translate_filter

# qdrant_edge 0.9 takes Python's True for the integer 1, but numpy's for a bool.
FILTER_TERMS = FilterTerms(Filter, FieldCondition, MatchAny, MatchValue, RangeFloat, np.bool_)


def to_config(schema: Schema) -> "EdgeConfig":
    """Return the configuration of a shard for this schema."""
    hnsw = schema.hnsw
    named = {name: _vector_params(space.dimension, schema) for name, space in schema.vector_spaces.items()}
    return EdgeConfig(
        vectors=named or _vector_params(schema.space.dimension, schema),
        hnsw_config=HnswIndexConfig(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=hnsw.scan_kb
        ),
        quantization_config=_quantization(schema),
        optimizers=EdgeOptimizersConfig(indexing_threshold=hnsw.scan_kb, default_segment_number=1),
    )


def _vector_params(dimension: int, schema: Schema) -> "EdgeVectorParams":
    # Cosine, not Dot: unit rows are unit to 1e-3 only, and the engine then scores exact cosines.
    memory = Memory.Cold if schema.on_disk else Memory.Cached
    return EdgeVectorParams(size=dimension, distance=Distance.Cosine, memory=memory)


def _quantization(schema: Schema) -> Any:
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


def to_index_type(kind: str) -> "PayloadSchemaType":
    """Return the type of a payload index for a field of this kind."""
    return {KEYWORD: Type.Keyword, INTEGER: Type.Integer, FLOAT: Type.Float, BOOL: Type.Bool}[kind]


def to_requests(search: Search, filter: "Filter | None") -> "Callable[[list[float]], QueryRequest]":
    """Return a function from a row to its request; what all rows share is made once."""
    quantization = QuantizationSearchParams(
        ignore=search.exact or not search.quantized,
        rescore=search.rescore,
        oversampling=search.oversampling,
    )
    common: dict[str, Any] = {"limit": search.k, "filter": filter}
    common["params"] = SearchParams(hnsw_ef=search.ef, exact=search.exact, quantization=quantization)
    if search.part:
        common["with_payload"] = [f"{search.part}.item_id"]
    vector, diversity, candidates = search.vector or None, search.diversity, search.candidates
    if diversity is None:
        return lambda row: QueryRequest(query=Query.Nearest(row, using=vector), **common)
    return lambda row: QueryRequest(query=Mmr(row, 1 - diversity, candidates, using=vector), **common)


def to_filter(conditions: Conditions) -> "Filter | None":
    """Return the filter that lets through what meets all conditions, None for all points."""
    return translate_filter(conditions, FILTER_TERMS)
