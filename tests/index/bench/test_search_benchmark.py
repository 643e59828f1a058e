"""Exact against HNSW and quantized copies: shares that can be counted, and times that were taken."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Quantization, build_index, judge_search, open_store, search_settings
from mmlab.index.bench.search_benchmark import percentiles, recall, time_queries, with_cosines
from mmlab.items import Vectors, unit_rows
from tests.index.pairs import BOTH, make_pairs

PAIRS = make_pairs(200)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("judge"))
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
    found = index.search(queries, "image", 3, rescore=False).assign(score=99.0)
    exact = index.search(queries, "image", 160, exact=True).set_index(["query_id", "item_id"])["score"]
    cosines = with_cosines(index, queries, found).set_index(["query_id", "item_id"])["score"]
    np.testing.assert_allclose(cosines, exact[cosines.index], atol=1e-5)


def test_every_setting_is_judged_and_timed(index, queries):
    settings = search_settings(index, k=5, ef=50)
    quantized = ["scalar ef=50, rescored", "scalar ef=50, alone"]
    judged = judge_search(index, queries, "image", 5, settings)
    assert judged["search"].tolist() == ["exact", *quantized, "HNSW ef=50", "HNSW ef=5", "HNSW ef=200"]
    assert judged["recall"].iloc[0] == 1
    assert judged["recall"].between(0, 1).all()
    assert (judged["p50_ms"] > 0).all()
    assert (judged["p50_ms"] <= judged["p95_ms"]).all()
    assert (judged["p95_ms"] <= judged["p99_ms"]).all()


@pytest.mark.parametrize(
    ("quantization", "own"),
    [
        ("none", "HNSW ef=20"),
        (Quantization("scalar"), "scalar ef=20, rescored"),
        (Quantization("scalar", rescore=False), "scalar ef=20, alone"),
    ],
)
def test_the_own_way_of_an_index_comes_second(tmp_path, quantization, own):
    built = build_index(
        open_store(tmp_path), "own", PAIRS.items, [PAIRS.both], quantization=quantization, progress=False
    )
    assert list(search_settings(built, k=5, ef=20))[:2] == ["exact", own]


def test_one_by_one_gives_the_rankings_of_the_batch(index, queries):
    found, milliseconds = time_queries(index, queries, "text", 4)
    pd.testing.assert_frame_equal(found, index.search(queries, "text", 4))
    assert len(milliseconds) == 30


def test_percentiles_by_hand():
    told = percentiles(np.arange(101.0))
    assert told == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
