"""Batches by several threads: all arrive, few are in memory, and a server that has too much to do is sent fewer."""

import threading
from collections.abc import Iterator

import grpc
import pytest

from mmlab.index import build_index, open_store, push
from mmlab.index.engines import server_connection, server_engine
from mmlab.index.engines import server_connection as server_upload
from mmlab.index.engines.server_connection import Pace, send_all
from tests.index.pairs import make_pairs
from tests.index.qdrant_grpc import Refusal
from tests.index.qdrant_server import qdrant_server

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")
PAIRS = make_pairs(60)
POINTS = len(PAIRS.items)
SECONDS = 20  # that a thread waits for others, where something is wrong


def test_refusals_halve_the_requests_and_answers_add_them_again(monkeypatch):
    times = iter([10.0, 20.0, 30.0])
    monkeypatch.setattr(server_upload.time, "monotonic", lambda: next(times))
    pace = Pace(8)
    pace.refused(5.0)
    assert pace.allowed == 4
    pace.refused(6.0)  # sent before 10.0, when the limit was lowered: the same trouble
    assert pace.allowed == 4
    pace.refused(11.0)
    assert pace.allowed == 2
    pace.refused(21.0)
    assert pace.allowed == 1
    for expected in (2, 2, 2, 3):  # 1, 2, 2.5, 2.9, 3.24...
        pace.answered(31.0, 0.1)
        assert pace.allowed == expected
    for _ in range(50):
        pace.answered(31.0, 0.1)
    assert pace.allowed == 8


def test_answers_that_take_ever_longer_halve_the_requests():
    """One after the other, four requests of a second each take four; twice as long is slow."""
    pace = Pace(4)
    pace.answered(1.0, 1.0)
    pace.answered(1.0, 8.0)
    assert pace.allowed == 4
    pace.answered(1.0, 8.5)
    assert pace.allowed == 2


def test_what_takes_less_than_a_second_is_not_slow():
    pace = Pace(4)
    pace.answered(1.0, 0.001)
    pace.answered(1.0, 0.9)
    assert pace.allowed == 4


def test_several_are_on_their_way_at_once_and_no_more_are_made():
    together, made, sent = threading.Barrier(3), [], []

    def batches() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            assert len(made) - len(sent) <= 4  # three on their way, and this one
            yield number

    def send(number: int) -> int:
        together.wait(SECONDS)  # broken, unless three come at the same time
        return number

    stop = threading.Event()
    send_all(batches(), send, sent.append, Pace(3), stop)
    assert sorted(sent) == list(range(9))
    assert not stop.is_set()


def test_the_first_error_ends_the_others():
    stop, made = threading.Event(), []

    def send(number: int) -> int:
        if number == 1:
            raise ValueError("no room")
        assert stop.wait(SECONDS)  # as a request that would be tried again for long
        raise TimeoutError

    with pytest.raises(ValueError, match="no room"):
        send_all(iter(lambda: made.append(0) or len(made), 100), send, made.append, Pace(4), stop)
    assert len(made) <= 5


def test_one_at_a_time_is_sent_by_the_caller():
    threads = []
    send_all(
        [1, 2],
        lambda one: threads.append(threading.current_thread()) or one,
        print,
        Pace(1),
        threading.Event(),
    )
    assert threads == [threading.current_thread()] * 2


@pytest.fixture
def source(tmp_path):
    store = open_store(tmp_path)
    build_index(store, "up", PAIRS.items, [PAIRS.both], progress=False)
    return store


@pytest.fixture(scope="module")
def servers():
    with qdrant_server() as cluster:
        yield cluster


@pytest.fixture
def server(servers, monkeypatch):
    servers.reset()
    monkeypatch.setattr(server_connection, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(server_connection, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(server_engine, "POLL_SECONDS", 0.01)
    return servers


@pytest.fixture
def paces(monkeypatch) -> list[list[int]]:
    """The numbers of requests that were allowed after each answer and refusal, a list for each upload."""
    found: list[list[int]] = []

    class Recorded(Pace):
        def __init__(self, most: int) -> None:
            super().__init__(most)
            self.seen = [most]
            found.append(self.seen)

        def answered(self, started: float, seconds: float) -> None:
            super().answered(started, seconds)
            self.seen.append(self.allowed)

        def refused(self, started: float) -> None:
            super().refused(started)
            self.seen.append(self.allowed)

    monkeypatch.setattr(server_engine, "Pace", Recorded)
    return found


def push_to(server, source, **given) -> list[int]:
    pushed = push(source, "up", open_store(server.url, **given), batch=6, progress=False)
    return pushed.report[["were_there", "sent", "points"]].iloc[0].tolist()


def test_a_server_that_refuses_now_and_then_gets_all_points_and_fewer_at_once(server, source, paces, capsys):
    upserts = iter(range(1_000))

    def refuse(_: int) -> None:
        if server.asked[-1][1] == "upsert" and next(upserts) in (5, 9):
            server.failures.append(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many requests"))

    server.before_write = refuse
    assert push_to(server, source) == [0, POINTS, POINTS]
    assert min(paces[0]) <= 2
    assert "could not do it now (Too many requests)" in capsys.readouterr().err


def test_a_server_that_becomes_slow_is_sent_fewer_at_once(server, source, paces, monkeypatch):
    monkeypatch.setattr(server_upload, "SLOW_SECONDS", 0.1)

    def slow_down(count: int) -> None:
        server.slow = 0.6 if 14 < count < 24 else 0.0  # eight times a quick answer, on slow machines too

    server.before_write = slow_down
    assert push_to(server, source) == [0, POINTS, POINTS]
    assert paces[0][0] == 4
    assert min(paces[0]) == 1


def test_a_server_that_stops_is_one_message_and_the_next_push_sends_the_rest(server, source, monkeypatch):
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.3)
    stopping = threading.Thread(target=server.nodes[0].stop)

    def stop_once(count: int) -> None:
        if count == 15:
            server.before_write = lambda _: None
            stopping.start()

    server.before_write = stop_once
    with pytest.raises(ConnectionError, match=f"Qdrant server at {server.url}.* does not answer"):
        push_to(server, source)
    stopping.join()
    server.nodes[0].start()
    held = server.held("up-unified")[0, 0]
    assert 0 < held < POINTS
    server.asked.clear()
    assert push_to(server, source) == [held, POINTS - held, POINTS]
    again = [point["id"] for body in server.bodies("upsert") for point in body["points"]]
    assert len(again) == len(set(again)) == POINTS - held


def test_an_index_is_built_on_a_server_by_several_requests(server, paces):
    build_index(
        open_store(server.url, connections=3), "up", PAIRS.items, [PAIRS.both], batch=6, progress=False
    )
    assert server.held("up-unified") == {(0, 0): POINTS}
    assert paces[0][0] == 3


@pytest.mark.parametrize("connections", [0, 65])
def test_a_number_of_connections_that_cannot_be_is_refused(connections):
    with pytest.raises(
        ValueError, match=f"connections: expected a whole number from 1 to 64, found {connections}"
    ):
        open_store("http://127.0.0.1:1", connections=connections)
