"""A cluster: shards, copies of them that hold the same, and a push that is stopped and goes on.

The contract holds for three nodes of the stand-in, and of a real cluster where MMLAB_TEST_QDRANT_CLUSTER names the URLs
of its nodes, as "http://localhost:6333,http://localhost:6343,http://localhost:6353".
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from uuid import uuid4

import pytest

from mmlab.index import Cluster, Store, WrongSchema, build_index, open_index, open_store, push
from mmlab.index.build import WrongCount
from mmlab.index.engines import server_connection, server_engine
from mmlab.index.engines.server_connection import NotReady, ServerError
from tests.index.pairs import holds_the_same, make_pairs
from tests.index.qdrant_server import Cluster as StandIn
from tests.index.qdrant_server import qdrant_server

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")
REAL = os.environ.get("MMLAB_TEST_QDRANT_CLUSTER", "")
PAIRS = make_pairs(60)
POINTS = len(PAIRS.items)
SPREAD = Cluster(shards=4, replicas=2, write_consistency=2)


@pytest.fixture(autouse=True)
def quick(request, monkeypatch) -> None:
    """Against the stand-in, pauses are short."""
    if "real" not in request.node.name:
        monkeypatch.setattr(server_connection, "FIRST_PAUSE", 0.02)
        monkeypatch.setattr(server_connection, "LONGEST_PAUSE", 0.1)
        monkeypatch.setattr(server_engine, "POLL_SECONDS", 0.01)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Store:
    """A folder with an index of a name that no other test uses."""
    store = open_store(tmp_path_factory.mktemp("source"))
    build_index(store, NAME, PAIRS.items, [PAIRS.both], progress=False)
    return store


NAME = f"mmlab-test-{uuid4().hex[:12]}"
COLLECTION = f"{NAME}-unified"


@pytest.fixture(scope="module")
def stand_in() -> Iterator[tuple[StandIn, list[Store]]]:
    """Three nodes that the tests of this file use one after the other."""
    with qdrant_server(3) as cluster:
        yield cluster, [open_store(node.url) for node in cluster.nodes]


@pytest.fixture(scope="module")
def real() -> list[Store]:
    return [open_store(url) for url in REAL.split(",") if url]


@pytest.fixture(
    params=["stand-in", pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="no real cluster"))]
)
def nodes(request, stand_in, real) -> Iterator[list[Store]]:
    """A store for each node; what was made on a real cluster is dropped in the end."""
    if request.param == "stand-in":
        stand_in[0].reset()
        yield stand_in[1]
    else:
        yield real
        real[0].drop(COLLECTION)


@pytest.fixture
def cluster(stand_in) -> StandIn:
    """The nodes of the stand-in, to be damaged."""
    stand_in[0].reset()
    return stand_in[0]


@pytest.fixture
def store(stand_in) -> Store:
    """The first of them."""
    return stand_in[1][0]


def sent(source: Store, target: Store, **given) -> list[int]:
    pushed = push(source, NAME, target, batch=9, progress=False, **given)
    return pushed.report[["were_there", "sent", "deleted", "points"]].sum().tolist()


def test_every_node_answers_for_all_shards(source, nodes):
    assert sent(source, nodes[0], cluster=SPREAD) == [0, POINTS, 0, POINTS]
    here = open_index(source, NAME)
    expected = here.search(PAIRS.ask_both, "image", 5).table["item_id"].tolist()
    for store in nodes:
        there = open_index(store, NAME)
        info = store._engine._client.collection_cluster_info(COLLECTION)
        assert info.shard_count == 4
        assert len(info.local_shards) + len(info.remote_shards) == 8
        assert store.count_by_copies(COLLECTION) == (POINTS, POINTS)
        assert holds_the_same(there, here)
        assert there.search(PAIRS.ask_both, "image", 5, exact=True).table["item_id"].tolist() == expected


def test_a_cluster_is_kept_and_not_changed_in_silence(source, nodes):
    sent(source, nodes[0], cluster=SPREAD)
    assert sent(source, nodes[-1]) == [POINTS, 0, 0, POINTS]
    with pytest.raises(WrongSchema, match="cluster.shards: 4 and 2"):
        sent(source, nodes[0], cluster=Cluster(2, 2, 2))


class Stopped(Exception):
    pass


class Stopping(Store):
    """A store that is stopped after five batches."""

    def upsert_records(self, collection, records, batch, sent):
        super().upsert_records(collection, islice(records, 5 * batch), batch, sent)
        raise Stopped


def test_a_push_that_is_stopped_goes_on_through_another_node(source, nodes):
    with pytest.raises(Stopped):
        push(source, NAME, Stopping(nodes[0]._engine), cluster=SPREAD, batch=9, progress=False)
    assert sent(source, nodes[1]) == [45, POINTS - 45, 0, POINTS]
    assert nodes[2].count_by_copies(COLLECTION) == (POINTS, POINTS)


def test_copies_that_differ_are_made_alike_by_the_next_push(source, cluster, store, monkeypatch):
    """A write that too few copies took is an error, yet those that took it keep it, and the others are not told."""
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.1)

    def kill(count: int) -> None:
        if count == 15:
            cluster.nodes[1].stop()

    cluster.before_write = kill
    with pytest.raises(ServerError, match="Connection refused.*; no answer from node http://node2:6335/"):
        sent(source, store, cluster=SPREAD)
    cluster.nodes[1].start()
    held = cluster.held(COLLECTION)
    assert any(
        held[shard, node] != held[shard, other] for shard, node in held for s, other in held if s == shard
    )
    were_there, others, _, points = sent(source, store)
    assert were_there + others == points == POINTS
    assert were_there == sum(
        min(count for (shard, _), count in held.items() if shard == one) for one in range(4)
    )
    held = cluster.held(COLLECTION)
    assert all(
        held[shard, node] == held[shard, other] for shard, node in held for s, other in held if s == shard
    )


def test_copies_that_differ_in_the_end_are_an_error_with_both_counts(source, cluster, store):
    sent(source, store, cluster=SPREAD)
    shard, copies = next(iter(cluster.collections[COLLECTION].shards.items()))
    extra, _ = cluster.nodes[max(copies)].data.scroll(f"{COLLECTION}~{shard}", limit=3)
    cluster.nodes[max(copies)].data.delete(f"{COLLECTION}~{shard}", [one.id for one in extra])
    assert store.count_by_copies(COLLECTION) == (POINTS - 3, POINTS)
    assert len(store.fingerprints(COLLECTION)) == POINTS - 3
    with pytest.raises(WrongCount, match=f"holds {POINTS - 3} to {POINTS} by copy of {POINTS} points"):
        push(source, NAME, Losing(store._engine), progress=False)
    assert sent(source, store) == [POINTS - 3, 3, 0, POINTS]


class Losing(Store):
    """A store that loses what it is sent."""

    def upsert_records(self, collection, records, batch, sent):
        pass


def test_a_copy_that_is_dead_is_waited_for(source, cluster, store, capsys):
    sent(source, store, cluster=Cluster(4, 2, 1))
    cluster.nodes[2].stop()
    store.delete(COLLECTION, PAIRS.items["item_id"].iloc[:8].tolist())
    assert "Dead" in {
        state for copies in cluster.collections[COLLECTION].shards.values() for state in copies.values()
    }

    def start_when_asked() -> None:
        # asked a second time, since the first answer said that it is dead
        while [operation for _, operation, _ in cluster.asked[asked:]].count("cluster_of") < 2:
            time.sleep(0.01)
        cluster.nodes[2].start()

    asked, starter = len(cluster.asked), threading.Thread(target=start_when_asked)
    starter.start()
    assert sent(source, store) == [POINTS - 8, 8, 0, POINTS]
    starter.join()
    assert "on node http://node3:6335/ is Dead" in capsys.readouterr().err


def test_a_copy_that_stays_dead_is_named(source, cluster, store, monkeypatch):
    sent(source, store, cluster=Cluster(4, 2, 1))
    cluster.nodes[2].stop()
    store.delete(COLLECTION, PAIRS.items["item_id"].iloc[:8].tolist())
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.1)
    with pytest.raises(
        NotReady, match=r"shard \d on node http://node3:6335/ is Dead.*Start the nodes"
    ) as raised:
        sent(source, store)
    assert f"Qdrant server at {cluster.url}" in str(raised.value)
    assert open_index(store, NAME).count() == POINTS - 8  # what only reads goes on
    with suppress(NotReady):
        store.fingerprints(COLLECTION)


def test_pages_of_points_that_all_copies_have_do_not_end_at_a_gap(source, cluster, store, monkeypatch):
    """A page of what copies have in common is short where one lacks points, though more follow."""
    monkeypatch.setattr(server_engine, "SCROLL_POINTS", 10)
    sent(source, store, cluster=Cluster(1, 2, 1))
    copies = cluster.collections[COLLECTION].shards[0]
    first, _ = cluster.nodes[max(copies)].data.scroll(f"{COLLECTION}~0", limit=30)
    lost = [one.id for one in first[5:9]]
    cluster.nodes[max(copies)].data.delete(f"{COLLECTION}~0", lost)
    found = store.fingerprints(COLLECTION)
    assert set(found) == set(PAIRS.items["item_id"]) - set(lost)
