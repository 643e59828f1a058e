"""mmlab's schemas, filters and searches in the terms of qdrant_client, and its errors as Python's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qdrant_client import models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import (
    FieldCondition,
    Filter,
    MatchAny,
    MatchValue,
    PayloadSchemaType,
    QueryRequest,
    Range,
    VectorParams,
)
from qdrant_client.models import PayloadSchemaType as Type

from mmlab.index.schema.payload import BOOL, FLOAT, INTEGER, KEYWORD, Conditions
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import FilterTerms, Search, translate_filter

METADATA = "mmlab"  # the schema's key in a collection's metadata
API_KEY = "QDRANT_API_KEY"
FILTER_TERMS = FilterTerms(Filter, FieldCondition, MatchAny, MatchValue, Range)


def to_config(schema: Schema) -> dict[str, Any]:
    """Return the arguments of `create_collection` for this schema, which goes into the metadata."""
    hnsw, cluster = schema.hnsw, schema.cluster
    named = {name: _vector_params(space.dimension, schema) for name, space in schema.vector_spaces.items()}
    return {
        "vectors_config": named or _vector_params(schema.space.dimension, schema),
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


def _vector_params(dimension: int, schema: Schema) -> "VectorParams":
    return models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=schema.on_disk)


def _quantization(schema: Schema) -> Any:
    if schema.quantization is None:
        return None
    kind, size = schema.quantization.kind, schema.quantization.size
    ram: dict[str, Any] = {"always_ram": schema.quantization.always_ram}
    if kind == "scalar":
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, **ram)
        )
    if kind == "product":
        return models.ProductQuantization(
            product=models.ProductQuantizationConfig(compression=models.CompressionRatio(f"x{size}"), **ram)
        )
    if kind == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(**ram))
    return models.TurboQuantization(
        turbo=models.TurboQuantQuantizationConfig(bits=models.TurboQuantBitSize(f"bits{size}"), **ram)
    )


def to_index_type(kind: str) -> "PayloadSchemaType":
    """Return the type of a payload index for a field of this kind."""
    return {KEYWORD: Type.KEYWORD, INTEGER: Type.INTEGER, FLOAT: Type.FLOAT, BOOL: Type.BOOL}[kind]


def to_requests(search: Search, filter: "Filter | None") -> "Callable[[list[float]], QueryRequest]":
    """Return a function from a row to its request; what all rows share is made once."""
    quantization = models.QuantizationSearchParams(
        ignore=search.exact or not search.quantized,
        rescore=search.rescore,
        oversampling=search.oversampling,
    )
    common: dict[str, Any] = {"limit": search.k, "filter": filter, "using": search.vector or None}
    common["params"] = models.SearchParams(hnsw_ef=search.ef, exact=search.exact, quantization=quantization)
    common["with_payload"] = [f"{search.part}.item_id"] if search.part else False
    if search.diversity is None:
        return lambda row: models.QueryRequest(query=row, **common)
    mmr = models.Mmr(diversity=search.diversity, candidates_limit=search.candidates)
    return lambda row: models.QueryRequest(query=models.NearestQuery(nearest=row, mmr=mmr), **common)


def to_filter(conditions: Conditions) -> "Filter | None":
    """Return the filter that lets through what meets all conditions, None for all points."""
    return translate_filter(conditions, FILTER_TERMS)


@contextmanager
def plain_errors(place: str) -> Iterator[None]:
    """Raise the client's errors of connection and permission as Python's own, saying what to do; others pass."""
    import grpc
    from pydantic import ValidationError

    try:
        yield
    except ResponseHandlingException as error:
        if isinstance(error.source, ValidationError):
            raise not_qdrant(place, error.source.errors()[0]["msg"]) from error
        raise _no_answer(place, str(error)) from error
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise _refused(place) from error
        raise
    except grpc.RpcError as error:
        code = error.code()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise _no_answer(place, code.name) from error
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise _refused(place) from error
        raise


def not_qdrant(place: str, found: str) -> ConnectionError:
    """Return the error for a server that is none of Qdrant's."""
    return ConnectionError(f"{place} answers, but not as a Qdrant server does: {found}; is the URL right?")


def _no_answer(place: str, found: str) -> ConnectionError:
    return ConnectionError(f"{place} does not answer: {found}; is it running?")


def _refused(place: str) -> PermissionError:
    return PermissionError(f"{place} refuses the key: set {API_KEY} in the environment")
