"""What a caller asks of a collection -> what its engine is asked: settings filled in, filters for each modality."""

from collections.abc import Mapping
from typing import Any

from mmlab.index.schema.payload_filter import conditions
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Conditions, Search
from mmlab.items import Space

LEAST, TIMES, MOST = 100, 4, 16_384  # MMR's candidates: at least, times k, and at most, where Qdrant ends


def search_for(
    schema: Schema,
    space: Space,
    to: str | None,
    *,
    k: int,
    ef: int | None = None,
    exact: bool = False,
    **how: Any,
) -> Search:
    """The search that the schema's settings and the caller's ask for; ValueError for a number out of range."""
    for name, value in (("k", k), ("ef", ef)):
        if value is not None and value < 1:
            raise ValueError(f"search: {name} is at least 1, found {value}")
    if schema.layout == "named" and to is None:
        raise ValueError(f"search: name what to search for in the named layout, to={list(schema.modalities)}")
    named = {"using": schema.using(space, to), "part": to} if schema.layout == "named" else {}
    if schema.quantization:
        defaults = {"rescore": schema.quantization.rescore, "oversampling": schema.quantization.oversampling}
        how = defaults | {name: value for name, value in how.items() if value is not None}
    if how.get("diversity") is not None:
        how = {"candidates": min(max(LEAST, TIMES * k), MOST), **how}
    return Search(k=k, ef=ef or schema.hnsw.ef, exact=exact, **named, **how)


def filters_for(schema: Schema, where: Mapping[str, Any] | None, to: str | None) -> dict[str, Conditions]:
    """The conditions of all items, by modality in the named layout, where a point holds several."""
    if schema.layout != "named":
        return {to or "": conditions(where, schema, to)}
    return {part: conditions(where, schema, part) for part in ([to] if to else schema.modalities)}
