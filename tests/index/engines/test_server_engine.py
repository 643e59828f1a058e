"""What only a server can get wrong: no answer, secrets in the URL, collections that somebody else made."""

import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

import mmlab
from mmlab.index import Cluster, Hnsw, Quantization, WrongSchema, open_store
from mmlab.index.engines.server_engine import to_config, to_requests
from mmlab.index.store.engine import Search
from mmlab.index.store.schema import Schema
from mmlab.items import Space
from tests.index.loopback import http_server
from tests.index.qdrant_server import qdrant_server

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
INFO, EXISTS = "GET /collections/demo", "GET /collections/demo/exists"
SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)


def test_a_server_that_does_not_answer_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(
            ConnectionError, match=rf"server at http://127.0.0.1:{port} \(REST\) does not answer"
        ):
            open_store(f"http://127.0.0.1:{port}", timeout=2)


def test_a_server_that_takes_a_call_and_says_nothing_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(ConnectionError, match="does not answer.*is it running"):
            open_store(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1)
        assert time.monotonic() - started < 15


def test_schema_settings_reach_the_collection():
    """The local mode keeps what it was given of the vectors, and ignores the rest."""
    client = QdrantClient(":memory:")
    named = {"toy-image": SPACE, "other-text": replace(SPACE, dimension=2)}
    schema = Schema(SPACE, {"label": "keyword"}, "named", vector_spaces=named, modalities=("image", "text"))
    store = open_store(client)
    store.create("demo", schema)
    vectors = client.get_collection("demo").config.params.vectors
    assert {name: params.size for name, params in vectors.items()} == {"toy-image": 3, "other-text": 2}
    assert store.schema("demo") == schema
    assert store.ignores_settings


@pytest.mark.parametrize("url", ["http://me:secret@localhost:6333", "https://localhost:6333?api-key=secret"])
def test_secrets_in_the_url_are_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="into the environment as QDRANT_API_KEY") as refused:
        open_store(url)
    assert "secret@" not in str(refused.value)


def test_a_collection_that_somebody_else_made_is_not_read():
    client = QdrantClient(":memory:")
    client.create_collection("theirs", models.VectorParams(size=2, distance=models.Distance.COSINE))
    store = open_store(client)
    assert store.collections() == ["theirs"]
    with pytest.raises(WrongSchema, match="'theirs' has no schema: it was not made by mmlab"):
        store.count("theirs")


def collection(
    schema: Schema, status: str = "green", indexed: int = 0, payload_schema: dict | None = None
) -> dict:
    """What a server says of a collection of this schema, as JSON."""
    client = QdrantClient(":memory:")
    client.create_collection("demo", **to_config(schema))
    info = client.get_collection("demo").model_dump(mode="json")
    return info | {
        "status": status,
        "indexed_vectors_count": indexed,
        "points_count": 300,
        "payload_schema": payload_schema or {},
    }


def answers(exists: bool, *infos: dict) -> dict[str, list]:
    """The answers of a server, with what it says of its collection one after the other."""
    done = {"operation_id": 1, "status": "completed"}
    return {
        "GET /collections": [{"collections": []}],
        EXISTS: [{"exists": exists}],
        INFO: list(infos),
        "PUT /collections/demo/index": [done],
        "POST /collections/demo/points/count": [{"count": 300}],
    }


def over_grpc(port: int) -> QdrantClient:
    return QdrantClient("127.0.0.1", grpc_port=port, prefer_grpc=True, timeout=60, check_compatibility=False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_says_where_it_belongs(status):
    with (
        http_server(status) as server,
        pytest.raises(PermissionError, match="refuses the key: set QDRANT_API_KEY"),
    ):
        open_store(server.url)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_server_that_is_none_of_qdrants_is_told_from_one_that_is_silent(status):
    with (
        http_server(status) as server,
        pytest.raises(
            ConnectionError, match="answers, but not as a Qdrant server does.*is the URL right"
        ) as no,
    ):
        open_store(server.url)
    assert "\n" not in str(no.value)


def test_a_grpc_port_where_nobody_listens_is_named_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = QdrantClient(
        "127.0.0.1", grpc_port=port, prefer_grpc=True, timeout=60, check_compatibility=False
    )
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="does not answer: failed to connect .*; is it running"):
        open_store(client).collections()
    assert time.monotonic() - started < 15


def test_the_whole_schema_is_sent_to_the_server():
    schema = Schema(
        SPACE,
        {"label": "keyword", "size (cm)": "integer", "price": "float", "new": "bool", "text": "text"},
        hnsw=Hnsw(m=32, ef_construct=200, scan_kb=500),
        quantization=Quantization("scalar", always_ram=False),
        on_disk=True,
        cluster=Cluster(4, 3, 2),
    )
    with http_server() as server:
        server.answers = answers(False, collection(schema))
        open_store(server.url).create("demo", schema)
    (made,) = server.bodies("PUT /collections/demo")[:1]
    assert made["vectors"] == {"size": 3, "distance": "Cosine", "on_disk": True}
    assert made["hnsw_config"] == {"m": 32, "ef_construct": 200, "full_scan_threshold": 500}
    assert made["optimizers_config"] == {"indexing_threshold": 0, "default_segment_number": 1}
    assert made["quantization_config"] == {"scalar": {"type": "int8", "always_ram": False}}
    spread = ("shard_number", "replication_factor", "write_consistency_factor")
    assert [made[name] for name in spread] == [4, 3, 2]
    assert Schema.from_dict(made["metadata"]["mmlab"], "demo") == schema
    indexes = {
        body["field_name"]: body["field_schema"] for body in server.bodies("PUT /collections/demo/index")
    }
    assert indexes == {"label": "keyword", '"size (cm)"': "integer", "price": "float", "new": "bool"}


def test_grpc_carries_the_same_settings():
    """The default transport, whose messages are not those of REST."""
    hnsw, kind = Hnsw(m=32, ef_construct=200, scan_kb=500), Quantization.from_name("turbo-2")
    named = {"toy-image": SPACE, "other-text": replace(SPACE, dimension=2)}
    schema = Schema(
        SPACE, layout="named", vector_spaces=named, hnsw=hnsw, quantization=kind, cluster=Cluster(4, 3, 2)
    )
    with qdrant_server() as server:
        over_grpc(server.nodes[0].grpc_port).create_collection("demo", **to_config(schema))
    (made,) = server.bodies("create")
    spread = ("shard_number", "replication_factor", "write_consistency_factor")
    assert [made[name] for name in spread] == [4, 3, 2]
    assert made["hnsw_config"] == {"m": 32, "ef_construct": 200, "full_scan_threshold": 500}
    assert made["optimizers_config"] == {"indexing_threshold": 0, "default_segment_number": 1}
    assert made["quantization_config"] == {"turbo": {"always_ram": True, "bits": "bits2"}}
    assert {name: params["size"] for name, params in made["vectors"].items()} == {
        "toy-image": 3,
        "other-text": 2,
    }
    assert Schema.from_dict(made["metadata"]["mmlab"], "demo") == schema


def test_what_a_killed_create_left_out_is_made_up_by_the_next():
    schema = Schema(SPACE, {"label": "keyword", "price": "float", "new": "bool"})
    there = {"label": {"data_type": "keyword", "points": 0}}
    with http_server() as server:
        server.answers = answers(True, collection(schema, payload_schema=there))
        open_store(server.url).create("demo", schema)
    assert not [what for what, _ in server.asked if what == "PUT /collections/demo"]
    assert [body["field_name"] for body in server.bodies("PUT /collections/demo/index")] == ["price", "new"]


def test_a_build_is_waited_for_with_a_sign_of_life(capsys):
    """Calm is seen twice; a server that has just been started is woken."""
    schema = Schema(SPACE)
    steps = [("green", 0), ("grey", 0), ("yellow", 100), ("green", 300), ("green", 300)]
    with http_server() as server:
        infos = [collection(schema, status, indexed) for status, indexed in steps]
        server.answers = answers(True, infos[0], *infos)  # the first is asked for the schema
        built = open_store(server.url).build("demo", progress=True)
    assert built["indexed_vectors"] == 300 and built["hnsw"]
    changed = [body["optimizers_config"] for body in server.bodies("PATCH /collections/demo")]
    assert changed == [{"indexing_threshold": 256}, {}]  # graphs are asked for, then the server is woken
    assert "build demo: 300 vectors in the graph" in capsys.readouterr().err


def test_a_build_that_does_not_go_on_is_given_up_and_named(monkeypatch):
    schema = Schema(SPACE)
    monkeypatch.setattr("mmlab.index.engines.server_engine.MAX_STALLED_SECONDS", 0.6)
    with http_server() as server:
        server.answers = answers(True, collection(schema, "yellow", 100))
        store = open_store(server.url)
        with pytest.raises(
            TimeoutError, match="stopped waiting for the graphs of 'demo'.*'yellow' with 100 .*of 300 points"
        ):
            store.build("demo")
        server.answers[INFO] = [collection(schema, "red")]
        with pytest.raises(RuntimeError, match="the server cannot build 'demo'"):
            store.build("demo")


def test_only_the_files_of_the_server_import_its_client():
    package = Path(mmlab.__file__).parent
    imports = re.compile(r"(from|import) qdrant_client\b")
    importing = [file for file in package.rglob("*.py") if imports.search(file.read_text(encoding="utf-8"))]
    assert {file.relative_to(package).as_posix() for file in importing} == {
        "index/engines/server_connection.py",
        "index/engines/server_engine.py",
    }


@pytest.mark.parametrize("name", ["scalar", "product-32", "binary", "turbo-2"])
def test_every_quantization_is_in_the_words_of_the_client(name):
    schema = Schema(SPACE, quantization=Quantization.from_name(name))
    found = to_config(schema)["quantization_config"].model_dump(exclude_none=True)
    ram = {"always_ram": True}
    assert (
        found
        == {
            "scalar": {"scalar": {"type": "int8", **ram}},
            "product-32": {"product": {"compression": "x32", **ram}},
            "binary": {"binary": ram},
            "turbo-2": {"turbo": {"bits": "bits2", **ram}},
        }[name]
    )


@pytest.mark.parametrize(
    ("options", "ignored"),
    [({}, False), ({"quantized": False}, True), ({"exact": True}, True)],
)
def test_quantized_copies_are_ignored_if_asked_and_by_exact_search(options, ignored):
    search = Search(k=3, ef=9, rescore=True, oversampling=2.0, **options)
    params = to_requests(search, None)([1.0, 0.0, 0.0], None).params
    assert params.quantization.ignore is ignored
    assert (params.quantization.rescore, params.quantization.oversampling) == (True, 2.0)
    assert (params.hnsw_ef, params.exact) == (9, options.get("exact", False))
