"""Exact against HNSW."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Schema, judge_search, open_store
from mmlab.index.judge import recall
from mmlab.items import Space, Vectors, unit_rows


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


def test_exact_search_finds_all_and_every_setting_is_timed(tmp_path: Path) -> None:
    space = Space("model", "1", "", "", "", 8)
    rows = unit_rows(np.random.default_rng(0).standard_normal((200, 8)))
    ids = [f"00000000-0000-0000-0000-{n:012d}" for n in range(200)]
    vectors = Vectors(ids, rows, space)
    store = open_store(tmp_path / "store")
    store.create("items", Schema(space))
    store.upsert("items", vectors, pd.DataFrame({"item_id": ids}))
    judged = judge_search(store, "items", vectors.take(ids[:30]), k=5, efs=(5, 50, 50))
    assert judged["search"].tolist() == ["exact", "HNSW ef=5", "HNSW ef=50"]
    assert judged["recall"].iloc[0] == 1
    assert judged["recall"].between(0, 1).all()
    assert (judged["p50_ms"] > 0).all()
    assert (judged["p50_ms"] <= judged["p95_ms"]).all()
