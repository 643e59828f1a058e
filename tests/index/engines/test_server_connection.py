"""Which port is spoken to, what is tried again, and what is said of what goes wrong."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from qdrant_client import QdrantClient

from mmlab.index import Store, build_index, open_index, open_store, push
from mmlab.index.engines import server_connection, server_engine
from mmlab.index.engines.server_connection import ServerError
from mmlab.index.store.layout_base import Points
from mmlab.index.store.schema import Schema
from mmlab.items import Space, Vectors, unit_rows
from tests.index.pairs import holds_the_same, make_pairs
from tests.index.qdrant_server import DISK_FULL, UNREACHABLE, Cluster, Refusal, qdrant_server

pytestmark = [
    pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
PAIRS = make_pairs(20)
POINTS = 36  # of PAIRS in their joint space
INTERNAL, UNAVAILABLE = grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Pauses of hundredths of a second, and no patience beyond a few seconds."""
    for module, name, value in (
        (server_connection, "FIRST_PAUSE", 0.02),
        (server_connection, "LONGEST_PAUSE", 0.1),
        (server_connection, "MAX_RETRY_SECONDS", 5.0),
        (server_connection, "MAX_QUESTION_SECONDS", 0.3),
        (server_engine, "POLL_SECONDS", 0.01),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Store:
    """A folder with the index "demo"."""

    store = open_store(tmp_path_factory.mktemp("source"))
    build_index(store, "demo", PAIRS.items, [PAIRS.both], progress=False)
    return store


@pytest.fixture(scope="module")
def shared(source) -> Iterator[tuple[Cluster, dict[str, Store]]]:
    """A server that the tests of this file use one after the other, reached over each of the transports."""
    with qdrant_server() as server:
        stores = {"REST": reached(server, False), "gRPC": reached(server, True)}
        for store in stores.values():
            sent(source, store)  # a gRPC port is known once there is a collection
            server.reset()
        yield server, stores


@pytest.fixture
def server(shared) -> Cluster:
    """The server, with nothing in it."""
    shared[0].reset()
    return shared[0]


@pytest.fixture(params=["REST", "gRPC"])
def target(request, shared, server) -> Store:
    return shared[1][request.param]


def reached(server: Cluster, over_grpc: bool, **given) -> Store:
    return open_store(server.url, grpc_port=server.nodes[0].grpc_port if over_grpc else None, **given)


def sent(source: Store, target: Store, **given) -> list[int]:
    pushed = push(source, "demo", target, batch=6, progress=False, **given)
    return pushed.report[["were_there", "sent", "deleted"]].sum().tolist()


@pytest.fixture
def usual_ports(monkeypatch):
    """Take the ports of two servers for 6333 and 6334."""

    def take(rest: Cluster, over_grpc: Cluster) -> str:
        monkeypatch.setattr(server_connection, "REST_PORT", rest.nodes[0].port)
        monkeypatch.setattr(server_connection, "GRPC_PORT", over_grpc.nodes[0].grpc_port)
        return rest.url

    return take


@pytest.mark.parametrize("version", ["1.18.3", "1.17.0"])
def test_points_go_to_the_server_of_the_url_though_another_has_the_grpc_port(
    source, usual_ports, monkeypatch, version
):
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    with qdrant_server(key="secret") as ours, qdrant_server(key="secret", version=version) as theirs:
        target = open_store(usual_ports(ours, theirs))
        assert sent(source, target) == [0, POINTS, 0]
        assert ours.held("demo-unified") == {(0, 0): POINTS}
        assert theirs.collections == {}
        assert target.place == f"Qdrant server at {ours.url} (REST)"
        if version == "1.17.0":  # a stranger is not shown the key
            assert theirs.keys == {""}


def test_a_port_that_is_not_6333_is_asked_by_rest_alone(source, server):
    target = open_store(server.url)
    assert sent(source, target) == [0, POINTS, 0]
    assert "(REST)" in repr(target)


def test_grpc_takes_over_where_both_ports_are_one_servers(source, server, usual_ports):
    port = server.nodes[0].grpc_port
    url = usual_ports(server, server)
    first, place = open_store(url), f"Qdrant server at {url} (gRPC, port {port})"
    assert "(REST)" in first.place  # empty, there is nothing to know it by
    assert sent(source, first) == [0, POINTS, 0]
    assert first.place == open_store(url).place == place
    asked = len(server.asked)
    assert holds_the_same(open_index(open_store(url), "demo"), open_index(source, "demo"))
    assert len(server.asked) > asked


def test_a_grpc_port_that_is_named_must_be_the_servers(source, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(
            ConnectionError, match="is not the gRPC port of the Qdrant server at .*: failed to connect"
        ):
            open_store(server.url, grpc_port=unused.getsockname()[1])
    with qdrant_server(version="1.17.0") as other, pytest.raises(ConnectionError, match="of another version"):
        open_store(server.url, grpc_port=other.nodes[0].grpc_port)
    sent(source, open_store(server.url))
    with qdrant_server() as other:
        port = other.nodes[0].grpc_port
        with pytest.raises(
            ConnectionError, match=rf"not the gRPC port of .*\(gRPC, port {port}\): Not found"
        ):
            open_store(server.url, grpc_port=port)
        sent(source, open_store(other.url))
        with pytest.raises(ConnectionError, match="another server answers there"):
            open_store(server.url, grpc_port=port)


def test_the_grpc_port_in_the_url_says_so(server):
    with pytest.raises(ConnectionError, match="is it running, and is this its REST port"):
        open_store(f"http://127.0.0.1:{server.nodes[0].grpc_port}", timeout=2)


@pytest.mark.parametrize(
    ("refusal", "error", "message"),
    [
        (
            Refusal(INTERNAL, DISK_FULL),
            ServerError,
            r"^the disk of Qdrant server at .* is full \(.*\): free some",
        ),
        (
            Refusal(INTERNAL, UNREACHABLE),
            ServerError,
            "could not do it now .*Connection refused.*: look at its nodes",
        ),
        (Refusal(UNAVAILABLE, "node 2 restarts"), (ServerError, ConnectionError), "node 2 restarts"),
        (
            Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Wrong input: no"),
            ServerError,
            "could not do it: Wrong input: no",
        ),
    ],
)
def test_what_a_server_cannot_do_is_one_sentence(
    source, server, target, monkeypatch, refusal, error, message
):
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.05)
    server.failures = [refusal] * 20
    with pytest.raises(error, match=message) as raised:
        sent(source, target)
    assert "\n" not in str(raised.value)
    assert f"Qdrant server at {server.url}" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "over_grpc", "message"),
    [
        ("reader", False, r"for reading only \(Forbidden: .*\): set QDRANT_API_KEY to one that may write"),
        ("reader", True, r"for reading only \(Forbidden: .*\): set QDRANT_API_KEY to one that may write"),
        ("wrong", False, "refuses the key: set QDRANT_API_KEY in the environment"),
        ("", True, "refuses the key: set QDRANT_API_KEY in the environment"),
    ],
)
def test_a_key_that_may_only_read_is_told_from_a_wrong_one(
    source, server, monkeypatch, key, over_grpc, message
):
    sent(source, open_store(server.url))
    server.key, server.read_key = "writer", "reader"
    monkeypatch.setenv("QDRANT_API_KEY", key)
    with pytest.raises(PermissionError, match=message) as refused:
        reached(server, over_grpc).drop("demo-unified")
    assert ("gRPC" in str(refused.value)) == (over_grpc and key == "reader")
    assert list(server.collections) == ["demo-unified"]


def test_a_single_point_that_is_too_large_says_so(source, target, server, monkeypatch):
    if "gRPC" in target.place:
        pytest.skip("gRPC has no such limit")
    server.largest_body = 1_000
    with pytest.raises(
        ServerError, match="takes no request this large .*raise its service.max_request_size_mb"
    ):
        sent(source, target)


def test_batches_are_cut_by_bytes(server):
    """1,000 points of 4,096 numbers are some 80 MB of JSON; a server takes 32 MB. 8,000,000 / (22 * 4,096) = 88."""
    server.largest_body = server_engine.MAX_REQUEST_BYTES
    space, target = Space("wide", "1", "projected", "", "none", 4_096), open_store(server.url)
    ids = [f"00000000-0000-0000-0000-{i:012x}" for i in range(100)]
    rows = unit_rows(np.random.default_rng(0).standard_normal((100, 4_096)))
    target.create("wide", Schema(space))
    target.upsert(
        "wide", Points(np.array(ids), [{}] * 100, {"": (Vectors(ids, rows, space), np.arange(100))})
    )
    assert [len(body["points"]) for body in server.bodies("upsert")] == [88, 12]
    largest = max(len(json.dumps(body, separators=(",", ":"))) for body in server.bodies("upsert"))
    assert 0.9 * server_engine.MAX_REQUEST_BYTES < largest < server_engine.MAX_REQUEST_BYTES


def test_what_may_pass_is_tried_again_and_said(source, target, server, capsys):
    server.failures = [
        Refusal(UNAVAILABLE, "Shard temporarily unavailable: recovers"),
        Refusal(
            INTERNAL, "Service internal error: Consistency of this update is not guaranteed. Please retry."
        ),
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Rate limiting exceeded: too many writes"),
    ]
    assert sent(source, target) == [0, POINTS, 0]
    said = capsys.readouterr().err
    assert said.count("Trying again in 0.") == 3
    assert "recovers" in said and "Please retry" in said and "too many writes" in said


def test_a_server_that_restarts_does_not_end_a_push(source, server, target, capsys):
    def restart(count: int) -> None:
        if count == 12:
            server.before_write = lambda _: None
            threading.Thread(target=restarting).start()
            time.sleep(0.2)

    def restarting() -> None:
        server.nodes[0].stop()
        time.sleep(0.3)
        server.nodes[0].start()

    server.before_write = restart
    assert sent(source, target)[1] == POINTS
    assert server.held("demo-unified") == {(0, 0): POINTS}
    assert "does not answer" in capsys.readouterr().err


def test_a_collection_whose_answer_was_lost_is_there(source, target, server):
    server.lost = ["create", "make_index", "upsert"]
    assert sent(source, target) == [0, POINTS, 0]
    assert server.held("demo-unified") == {(0, 0): POINTS}


def test_a_server_that_is_gone_is_given_up_and_named(source, server, target, monkeypatch):
    sent(source, target)
    index = open_index(target, "demo")
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.1)
    server.nodes[0].stop()
    started = time.monotonic()
    with (
        target.session(),
        pytest.raises(ConnectionError, match=f"at {server.url} .*does not answer.*is it running"),
    ):
        index.search(PAIRS.ask_both, "image", 3)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("over_grpc", [False, True])
def test_a_slow_server_is_waited_for_as_long_as_asked(source, server, monkeypatch, over_grpc):
    target = reached(server, over_grpc, timeout=1)
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.1)
    server.slow = 1.3
    with pytest.raises(ConnectionError, match="does not answer: (timed out|Deadline Exceeded)"):
        target.collections()


def test_a_client_that_never_had_an_answer_is_not_patient(monkeypatch):
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 60.0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = QdrantClient(port=unused.getsockname()[1], check_compatibility=False)
        started = time.monotonic()
        with pytest.raises(ConnectionError, match="a Qdrant client that was handed over does not answer"):
            open_store(client).collections()
    assert time.monotonic() - started < 5


def test_graphs_are_put_off_until_all_points_are_there(source, target, server):
    """Built while points come, a graph is built several times over."""
    sent(source, target)
    done = [(what, body) for _, what, body in server.asked if what in ("create", "upsert", "update")]
    assert [what for what, _ in done] == ["create", *["upsert"] * 6, "update"]
    assert done[0][1]["optimizers_config"] == {"indexing_threshold": 0, "default_segment_number": 1}
    assert done[-1][1]["optimizers_config"] == {"indexing_threshold": 256}
    assert sent(source, target) == [POINTS, 0, 0]
    assert len(server.bodies("update")) == 1


def test_a_server_answers_as_the_folder_it_was_filled_from(source, target, server):
    """It gives the fields of a schema back in another order."""
    sent(source, target)
    here, there = open_index(source, "demo"), open_index(target, "demo")
    assert holds_the_same(there, here)
    asked = {"label": ["cup"]}
    found, expected = (
        one.search(PAIRS.ask_both, "text", 5, asked)["item_id"].tolist() for one in (there, here)
    )
    assert found == expected
    assert there.facets("label").equals(here.facets("label"))
    texts = []
    for index in (here, there):
        with pytest.raises(ValueError, match="no filterable field 'colour'") as wrong:
            index.items({"colour": "red"})
        texts.append(str(wrong.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("asked", "seconds"), [("1", 1.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)])
def test_a_server_that_asks_to_wait_is_waited_for(source, shared, server, capsys, asked, seconds):
    """A time in place of seconds is no number: the pause is then that of any refusal."""
    server.retry_after = asked
    server.failures = [Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many requests")]
    started = time.perf_counter()
    assert sent(source, shared[1]["REST"]) == [0, POINTS, 0]
    assert time.perf_counter() - started >= seconds
    assert f"Trying again in {seconds:.1f} s" in capsys.readouterr().err
