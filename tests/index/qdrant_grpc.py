"""The gRPC services of a stand-in for a Qdrant server: messages from and to what REST has, by the client's stubs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from pydantic import BaseModel
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

CONSISTENCIES = {0: "all", 1: "majority", 2: "quorum"}


class Refusal(Exception):
    """What a server refuses a request with."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Service:
    """The requests of one node, answered by a function of operation, collection, body, consistency and key."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    def ask(
        self, operation: str, context: Any, name: str = "", body: Any = None, consistency: Any = None
    ) -> Any:
        key = dict(context.invocation_metadata()).get("api-key", "")
        try:
            return self.answer(operation, name, body, consistency, key)
        except Refusal as refusal:
            context.abort(refusal.code, refusal.text)


def plain(model: BaseModel | None) -> Any:
    return None if model is None else model.model_dump(mode="json", exclude_none=True, by_alias=True)


def with_payload(point: Any) -> Any:
    """The point with an empty payload instead of none, which a message cannot tell apart."""
    return point.model_copy(update={"payload": point.payload or {}})


def own_filter(request: Any) -> Any:
    return plain(GrpcToRest.convert_filter(request.filter)) if request.HasField("filter") else None


def own_consistency(request: Any) -> str | None:
    return CONSISTENCIES[request.read_consistency.type] if request.HasField("read_consistency") else None


def selectors(request: Any) -> dict[str, Any]:
    payload = GrpcToRest.convert_with_payload_interface(request.with_payload)
    vectors = GrpcToRest.convert_with_vectors_selector(request.with_vectors)
    return {"with_payload": payload, "with_vector": vectors}


class Root(Service, messages.QdrantServicer):
    def HealthCheck(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.HealthCheckReply(**self.ask("root", context))


class Collections(Service, messages.CollectionsServicer):
    def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ListCollectionsResponse(**self.ask("names", context))

    def CollectionExists(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = self.ask("exists", context, request.collection_name)
        return messages.CollectionExistsResponse(result=messages.CollectionExists(**found))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {
            "vectors": GrpcToRest.convert_vectors_config(request.vectors_config),
            "hnsw_config": plain(GrpcToRest.convert_hnsw_config_diff(request.hnsw_config)),
            "optimizers_config": plain(GrpcToRest.convert_optimizers_config_diff(request.optimizers_config)),
            "shard_number": request.shard_number,
            "replication_factor": request.replication_factor,
            "write_consistency_factor": request.write_consistency_factor,
            "metadata": GrpcToRest.convert_payload(request.metadata),
        }
        if request.HasField("quantization_config"):
            body["quantization_config"] = plain(
                GrpcToRest.convert_quantization_config(request.quantization_config)
            )
        vectors = body["vectors"]
        named = (
            {name: plain(one) for name, one in vectors.items()}
            if isinstance(vectors, dict)
            else plain(vectors)
        )
        done = self.ask("create", context, request.collection_name, body | {"vectors": named})
        return messages.CollectionOperationResponse(result=done)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        done = self.ask("drop", context, request.collection_name)
        return messages.CollectionOperationResponse(result=done)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {
            "optimizers_config": plain(GrpcToRest.convert_optimizers_config_diff(request.optimizers_config))
        }
        done = self.ask("update", context, request.collection_name, body)
        return messages.CollectionOperationResponse(result=done)

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = models.CollectionInfo.model_validate(self.ask("get", context, request.collection_name))
        return messages.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(found))

    def CollectionClusterInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = models.CollectionClusterInfo.model_validate(
            self.ask("cluster_of", context, request.collection_name)
        )
        return RestToGrpc.convert_collection_cluster_info(found)


class Points(Service, messages.PointsServicer):
    def CreateFieldIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = messages.FieldType.Name(request.field_type).removeprefix("FieldType").lower()
        body = {"field_name": request.field_name, "field_schema": kind}
        return self.done(self.ask("make_index", context, request.collection_name, body))

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {"points": [GrpcToRest.convert_point_struct(one).model_dump() for one in request.points]}
        return self.done(self.ask("upsert", context, request.collection_name, body))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        ids = [GrpcToRest.convert_point_id(one) for one in request.points.points.ids]
        return self.done(self.ask("delete", context, request.collection_name, {"points": ids}))

    def done(self, result: Any) -> Any:
        update = RestToGrpc.convert_update_result(models.UpdateResult(**result))
        return messages.PointsOperationResponse(result=update)

    def Scroll(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {"limit": request.limit, "filter": own_filter(request), **selectors(request)}
        if request.HasField("offset"):
            body["offset"] = GrpcToRest.convert_point_id(request.offset)
        consistency = own_consistency(request)
        found = self.ask("scroll", context, request.collection_name, body, consistency)
        points = [RestToGrpc.convert_retrieved_point(with_payload(one)) for one in found["points"]]
        following = found["next_page_offset"]
        offset = RestToGrpc.convert_extended_point_id(following) if following is not None else None
        return messages.ScrollResponse(result=points, next_page_offset=offset)

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {"ids": [GrpcToRest.convert_point_id(one) for one in request.ids], **selectors(request)}
        found = self.ask("retrieve", context, request.collection_name, body)
        return messages.GetResponse(
            result=[RestToGrpc.convert_retrieved_point(with_payload(one)) for one in found]
        )

    def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        consistency = own_consistency(request)
        body = {"filter": own_filter(request)}
        found = self.ask("count_points", context, request.collection_name, body, consistency)
        return messages.CountResponse(result=messages.CountResult(**found))

    def Facet(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {"key": request.key, "filter": own_filter(request)}
        found = models.FacetResponse.model_validate(self.ask("facet", context, request.collection_name, body))
        hits = [RestToGrpc.convert_facet_value_hit(hit) for hit in found.hits]
        return messages.FacetResponse(hits=hits)

    def QueryBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = {"searches": [plain(GrpcToRest.convert_query_points(one)) for one in request.query_points]}
        found = self.ask("query", context, request.collection_name, body)
        results = [
            messages.BatchResult(
                result=[RestToGrpc.convert_scored_point(with_payload(one)) for one in answer["points"]]
            )
            for answer in found
        ]
        return messages.QueryBatchResponse(result=results)


def grpc_server(answer: Callable[..., Any]) -> grpc.Server:
    """The services of a node, not listening yet."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    messages.add_QdrantServicer_to_server(Root(answer), server)
    messages.add_CollectionsServicer_to_server(Collections(answer), server)
    messages.add_PointsServicer_to_server(Points(answer), server)
    return server
