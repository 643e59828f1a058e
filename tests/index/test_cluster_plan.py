"""A cluster on paper: the arithmetic by hand, and the bytes of real indexes."""

import os
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from mmlab.index import Hnsw, build_index, open_store
from mmlab.index.cluster_plan import RATES, ClusterPlan, Prices, Rate, plan_cluster
from mmlab.items import Space, Vectors, unit_rows
from tests.bench.store import items_of

ITEMS = 2**20 - 1  # so that an id has 20 bits
GIVEN = {
    "embed_per_second": 50,
    "upload_per_second": 1_000,
    "query_ms": 2,
    "payload_bytes": 1_000,
    "field_bytes": 200,
}


def amounts(plan: ClusterPlan) -> dict[str, float]:
    return plan.table().set_index("quantity")["amount"].to_dict()


@pytest.fixture
def plan() -> ClusterPlan:
    settings = {
        "dimension": 512,
        "hnsw_m": 32,
        "node_ram_gb": 2,
        "qps": 100,
        "gpu_hour": 2,
        "ram_gb_month": 3,
        **GIVEN,
    }
    return plan_cluster(ITEMS, settings)


def test_the_bytes_of_an_item_are_counted_part_by_part(plan):
    """512 numbers of 4 bytes; int8 copies; 80 links of 20 bits, as 2 m are fewer; what is given; 30 of ids."""
    each = plan.table().dropna(subset="each_bytes").set_index("quantity")["each_bytes"].to_dict()
    assert each == {
        "dense vectors": 2048,
        "quantized copies, scalar": 512,
        "graph": 200,
        "payload": 1000,
        "ids": 30,
        "payload indexes": 200,
    }
    assert plan.disk_gb == pytest.approx(ITEMS * 3990 / 1e9)
    assert plan.memory_gb == pytest.approx(
        ITEMS * (2048 + 512 + 200 + 100 + 200) / 1e9
    )  # no payload, 100 of ids
    assert amounts(plan)["dense vectors"] == pytest.approx(ITEMS * 2048 / 1e9)


def test_the_cluster_has_the_memory_for_all_copies_with_headroom(plan):
    """3.209 GB x 2 copies x 1.5 = 9.626 GB: five nodes of 2 GB, two shards each."""
    found = amounts(plan)
    assert found["disk of the cluster"] == pytest.approx(3 * ITEMS * 3990 / 1e9)
    assert found["memory of the cluster"] == pytest.approx(3 * ITEMS * 3060 / 1e9)
    assert (found["nodes"], found["shards"]) == (5, 10)
    assert found["memory in use of a node"] == pytest.approx(3 * ITEMS * 3060 / 1e9 / 5)


def test_hours_cores_and_cost(plan):
    """50 a second, 1,000 a second; 100 queries a second, each in 10 shards for 2 ms."""
    found = amounts(plan)
    assert found["embedding"] == pytest.approx(ITEMS / 50 / 3600)
    assert found["upload"] == pytest.approx(ITEMS / 1000 / 3600)
    assert (found["queries"], found["queries, of a node"]) == (2.0, 0.4)
    cost = plan.table().set_index("quantity")["cost"].dropna().to_dict()
    memory = 3 * ITEMS * 3060 / 1e9
    assert cost == {
        "embedding": pytest.approx(2 * ITEMS / 50 / 3600),
        "memory of the cluster": pytest.approx(3 * memory),
    }


@pytest.mark.parametrize(
    ("replicas", "node_ram_gb", "nodes", "shards"),
    [(1, 64, 1, 1), (1, 2, 3, 6), (2, 64, 3, 6), (5, 64, 5, 10)],
)
def test_a_cluster_with_copies_has_three_nodes_or_more(replicas, node_ram_gb, nodes, shards):
    """One copy of 3.209 GB takes 4.813 GB."""
    settings = {"dimension": 512, "hnsw_m": 32, "replicas": replicas, "node_ram_gb": node_ram_gb, **GIVEN}
    found = plan_cluster(ITEMS, settings)
    assert (found.nodes, found.shards) == (nodes, shards)


@pytest.mark.parametrize(
    ("quantization", "bytes"),
    [("scalar", 512), ("product", 128), ("product-64", 32), ("binary", 64), ("turbo", 256), ("turbo-2", 128)],
)
def test_quantized_copies(quantization, bytes):
    parts = ClusterPlan(ITEMS, 512, quantization=quantization).parts()
    assert parts[f"quantized copies, {quantization}"][:2] == (bytes, bytes)
    assert "quantized copies, none" not in ClusterPlan(ITEMS, 512, quantization="none").parts()


def test_a_graph_has_two_links_for_each_edge_of_m():
    """160 links of 20 bits."""
    assert ClusterPlan(ITEMS, 512, hnsw_m=80).parts()["graph"].disk == 400


def test_vectors_on_disk_take_no_memory_but_their_copies_do():
    parts = ClusterPlan(ITEMS, 512, on_disk=True).parts()
    assert [parts[name].memory for name in ("dense vectors", "graph", "quantized copies, scalar")] == [
        0,
        0,
        512,
    ]


def test_other_retrievers_come_beside_the_dense_vectors():
    """128 rows of 128 numbers, and their mean."""
    parts = ClusterPlan(ITEMS, 512, ["dense", "bm25", "sparse", "late"]).parts()
    found = {name: parts[name].disk for name in ("bm25 postings", "sparse postings", "late vectors")}
    assert found == {"bm25 postings": 90, "sparse postings": 960, "late vectors": 129 * 128 * 4}


def test_every_number_has_its_source_and_a_guess_says_so():
    table = ClusterPlan(ITEMS, 512, qps=1).table()
    assert (table["source"].str.len() > 5).all()
    guessed = set(table.loc[table["source"].str.contains("guess"), "quantity"])
    assert guessed == {"embedding", "upload", "queries"}
    assert "Guesses, not measured: embedding, upload, queries." in ClusterPlan(ITEMS, 512, qps=1).sentence
    known = {name: Rate(rate.value, "measured") for name, rate in RATES.items()}
    assert "uess" not in ClusterPlan(ITEMS, 512, qps=1, rates=known).sentence
    for name in ("tests/bench/plan.py", "tests/bench/words.py"):
        assert (Path(__file__).parents[2] / name).is_file()


def test_what_is_given_goes_before_what_a_run_knows():
    known, rates = (
        {"dimension": 8, "quantization": "none"},
        {"query_ms": Rate(7, "03"), "tokens": Rate(9, "items")},
    )
    found = plan_cluster(
        10, {"quantization": "binary", "tokens": 5, "retrievers": "dense, late"}, known, rates
    )
    assert (found.dimension, found.quantization, found.retrievers) == (8, "binary", ["dense", "late"])
    assert (found.rate("query_ms"), found.rate("tokens")) == (Rate(7, "03"), Rate(5, "as given"))
    assert plan_cluster(10, {"model": "openai/clip-vit-base-patch32"}, known).dimension == 512
    assert plan_cluster(10, {"model": "mine"}, known).dimension == 8
    assert plan_cluster(10, {"model": "demo", "dimension": 3}).dimension == 3
    assert isnan(plan_cluster(10, {"dimension": 3}).prices.gpu_hour)


@pytest.mark.parametrize(
    ("items", "settings", "message"),
    [
        (0, {"dimension": 3}, "items: expected a whole number from 1"),
        (1, {}, "dimension: expected --dimension, --model or --from RUN"),
        (1, {"model": "mine"}, "the dimension of 'mine' is not known here"),
        (1, {"dimension": 3, "replicas": 0}, "replicas: expected a whole number from 1 to 100, found 0"),
        (1, {"dimension": 3, "node_ram_gb": 0}, "node_ram_gb: expected a number above 0"),
        (1, {"dimension": 3, "query_ms": 0}, "query_ms: expected a number above 0"),
        (1, {"dimension": 3, "gpu_hour": -1}, "gpu_hour: expected a number from 0"),
        (1, {"dimension": 3, "retrievers": "dense,words"}, "retrievers: expected .* found"),
        (1, {"dimension": 3, "quantization": "half"}, "quantization: expected one of none, scalar"),
        (
            1,
            {"dimension": 3, "colour": 1},
            "plan: expected settings of ClusterPlan, rates or prices; found colour",
        ),
    ],
)
def test_what_cannot_be_is_refused(items, settings, message):
    with pytest.raises(ValueError, match=message):
        plan_cluster(items, settings)


def test_prices_are_named_as_the_options():
    assert Prices._fields == ("gpu_hour", "ram_gb_month", "disk_gb_month")


@pytest.fixture
def on_disk():
    """A folder on a disk, where holes in files take no place; in memory they may."""
    with TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder:  # noqa: S108 - a disk
        yield Path(folder)


@pytest.mark.parametrize(("quantization", "dimension"), [("none", 128), ("scalar", 256)])
def test_a_real_index_takes_the_disk_that_is_planned(on_disk, quantization, dimension):
    """3,000 points with a graph, without the write-ahead log: within 20 %."""
    rows = unit_rows(np.random.default_rng(0).standard_normal((3_000, dimension)))
    ids = [f"00000000-0000-0000-0000-{number:012x}" for number in range(len(rows))]
    vectors = Vectors(ids, rows, Space("drawn", "1", "none", "", "none", dimension))
    settings = {"quantization": quantization, "hnsw": Hnsw(m=16, ef_construct=32), "progress": False}
    index = build_index(open_store(on_disk), "real", items_of(vectors), [vectors], **settings)
    [held] = index.collections().to_dict("records")
    assert held["hnsw"]
    log = sum(512 * os.stat(path).st_blocks for path in on_disk.rglob("wal/*"))
    planned = ClusterPlan(3_000, dimension, quantization=quantization, hnsw_m=16).disk_gb * 1e9
    assert (held["disk_bytes"] - log) / planned == pytest.approx(1, abs=0.2)
