"""Recall that can be counted, times part by part, and layouts and placements that were really built."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index import (
    Quantization,
    Store,
    Workload,
    benchmark_search,
    build_index,
    compare_layouts,
    compare_placements,
    open_index,
    open_store,
)
from mmlab.index.bench.search_benchmark import (
    percentiles,
    recall,
    search_settings,
    summarize_parts,
    time_parts,
    time_queries,
    with_cosines,
)
from mmlab.index.engines.edge_engine import EdgeEngine
from mmlab.items import Vectors, unit_rows
from tests.index.pairs import BOTH, make_pairs

PAIRS = make_pairs(200)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("searched"))
    index = build_index(store, "demo", PAIRS.items, [PAIRS.both], progress=False)
    with index.session():
        yield index


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return Vectors(
        [f"q{i}" for i in range(30)], unit_rows(np.random.default_rng(0).standard_normal((30, 8))), BOTH
    )


def ranked(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "score"])


def test_recall_is_the_mean_share_of_the_exact_items() -> None:
    exact = ranked(("q", "a", 0.9), ("q", "b", 0.8), ("r", "a", 0.7), ("r", "c", 0.6))
    found = ranked(("q", "a", 0.9), ("q", "z", 0.1), ("r", "a", 0.7), ("r", "c", 0.6))
    assert recall(found, exact) == pytest.approx((1 / 2 + 2 / 2) / 2)


def test_a_query_that_found_nothing_counts_as_zero() -> None:
    exact = ranked(("q", "a", 0.9), ("r", "a", 0.7))
    assert recall(ranked(("q", "a", 0.9)), exact) == 1 / 2


def test_an_item_as_good_as_the_last_exact_one_counts() -> None:
    assert recall(ranked(("q", "twin", 0.5)), ranked(("q", "a", 0.5))) == 1


def test_scores_of_quantized_copies_are_replaced_by_cosines(index, queries):
    found = index.search(queries, "image", 3, rescore=False).table.assign(score=99.0)
    exact = index.search(queries, "image", 160, exact=True).table.set_index(["query_id", "item_id"])["score"]
    cosines = with_cosines(index, queries, found).set_index(["query_id", "item_id"])["score"]
    np.testing.assert_allclose(cosines, exact[cosines.index], atol=1e-5)


def test_every_setting_is_measured(index, queries):
    settings = search_settings(index, k=5, ef=50)
    quantized = ["scalar ef=50, rescored", "scalar ef=50, alone"]
    measured = benchmark_search(index, queries, "image", 5, settings)
    assert measured["search"].tolist() == ["exact", *quantized, "HNSW ef=50", "HNSW ef=5", "HNSW ef=200"]
    assert measured["recall"].iloc[0] == 1
    assert measured["recall"].between(0, 1).all()
    assert (measured["p50_ms"] > 0).all()
    assert (measured["p50_ms"] <= measured["p95_ms"]).all()
    assert (measured["p95_ms"] <= measured["p99_ms"]).all()


@pytest.mark.parametrize(
    ("quantization", "own"),
    [
        ("none", "HNSW ef=20"),
        (Quantization("scalar"), "scalar ef=20, rescored"),
        (Quantization("scalar", rescore=False), "scalar ef=20, alone"),
    ],
)
def test_the_settings_of_the_index_come_second(tmp_path, quantization, own):
    built = build_index(
        open_store(tmp_path), "own", PAIRS.items, [PAIRS.both], quantization=quantization, progress=False
    )
    assert list(search_settings(built, k=5, ef=20))[:2] == ["exact", own]


def test_one_by_one_gives_the_rankings_of_the_batch(index, queries):
    found, milliseconds = time_queries(index, queries, "text", 4)
    pd.testing.assert_frame_equal(found, index.search(queries, "text", 4).table)
    assert len(milliseconds) == 30


def test_percentiles_by_hand():
    found = percentiles(np.arange(101.0))
    assert found == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}


FEW = make_pairs(40)  # 32 images and 40 texts, 21 of which share a point in the named layout


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("latency"))
    return build_index(
        store, "demo", FEW.items, [FEW.both], quantization="none", on_disk=True, progress=False
    )


def test_median_and_95th_percentile_of_each_part_and_of_the_whole(on_disk):
    cold = [{"opening_ms": 10.0, "search_ms": float(i)} for i in range(101)]
    warm = [{"search_ms": 2.0}]
    expected = pd.DataFrame(
        {
            "vectors": "on disk",
            "state": ["just opened"] * 2 + ["warm"] * 2,
            "samples": [101, 101, 1, 1],
            "of": ["p50", "p95"] * 2,
            "opening_ms": [10, 10, np.nan, np.nan],
            "search_ms": [50.0, 95, 2, 2],
            "whole_ms": [60.0, 105, 2, 2],
        }
    )
    pd.testing.assert_frame_equal(summarize_parts(on_disk, {"just opened": cold, "warm": warm}), expected)


def test_every_part_is_timed_and_only_the_cold_ones_open(on_disk):
    table = time_parts(on_disk, FEW.ask_both, "image", 5, samples=4).set_index(["state", "of"])
    assert table["samples"].tolist() == [4, 4, 4, 4]
    assert (table[["search_ms", "payload_ms", "whole_ms"]] > 0).all(axis=None)
    assert (table.loc["just opened", "opening_ms"] > 0).all()
    assert table.loc["warm", "opening_ms"].isna().all()
    assert table.loc[("just opened", "p50"), "whole_ms"] > table.loc[("warm", "p50"), "whole_ms"]


class Counting(EdgeEngine):
    """Counts the collections that it opens from their files."""

    opened = 0

    def _open(self, name):
        self.opened += name not in self._shared.open
        return super()._open(name)


def test_the_store_is_opened_anew_for_each_cold_sample(on_disk):
    engine = Counting(on_disk.store._engine.folder, wait=1.0)
    counted = open_index(Store(engine), "demo")
    engine.opened = 0
    time_parts(counted, FEW.ask_both, "image", 5, samples=4)
    assert engine.opened == 4 + 1  # and once for the warm ones


def test_every_layout_has_its_row():
    table = compare_layouts(Workload(FEW.items, FEW.vectors, FEW.ask_both, "image", 5, quantization="none"))
    assert table["layout"].tolist() == ["unified", "separate", "named"]
    assert table["collections"].tolist() == [2, 3, 1]
    assert table["points"].tolist() == [72 + 40, 72 + 40, 72 - 21]
    assert table["recall"].tolist() == [1, 1, 1]
    assert (table[["build_s", "disk_mb", "p50_ms"]] > 0).all(axis=None)


def test_a_placement_is_timed_just_opened_and_warm():
    workload = Workload(FEW.items, [FEW.both], FEW.ask_both, "image", 5, quantization="none")
    table = compare_placements(workload, samples=3)
    states = [("just opened", 3), ("just opened", 3), ("warm", 3), ("warm", 3)]
    assert table["vectors"].tolist() == ["in memory"] * 4 + ["on disk"] * 4
    assert list(zip(table["state"], table["samples"], strict=True)) == states * 2
    median = table[table["of"] == "p50"].set_index(["vectors", "state"])["whole_ms"]
    for place in ("in memory", "on disk"):
        assert median[place, "just opened"] > median[place, "warm"] > 0
