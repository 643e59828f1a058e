"""A sweep builds what it compares, or refuses; and what it recommends follows from its numbers."""

import numpy as np
import pandas as pd
import pytest
from qdrant_client import QdrantClient

from mmlab.index import NotTunable, frontier, open_store, recommend, sweep_faiss, sweep_index
from mmlab.items import Space, Vectors, unit_rows

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 32)


def random_vectors(count: int, seed: int) -> Vectors:
    rows = unit_rows(np.random.default_rng(seed).standard_normal((count, 32)))
    return Vectors([f"00000000-0000-0000-0000-{i:012x}" for i in range(count)], rows, SPACE)


VECTORS, QUERIES = random_vectors(1500, 0), random_vectors(40, 1)


@pytest.fixture(scope="module")
def swept() -> pd.DataFrame:
    return sweep_index(
        VECTORS, QUERIES, 10, m=(4, 16), ef_construct=(16,), ef=(10, 200), quantizations=("none", "binary")
    )


def test_a_row_for_exact_search_and_for_every_setting(swept):
    assert swept["engine"].tolist() == ["exact"] + ["Qdrant HNSW"] * 8
    assert swept["m"].tolist() == [4, 4, 4, 16, 16, 16, 16, 16, 16]
    assert swept["quantization"].tolist() == ["none"] * 5 + ["binary"] * 4
    assert swept["rescored"].tolist() == [False] * 5 + [False, True, False, True]
    assert swept["recall"].iloc[0] == 1
    assert (swept[["p50_ms", "build_s", "memory_mb", "disk_mb"]] > 0).all(axis=None)


def test_the_settings_have_their_effect(swept):
    """More candidates, more edges and rescoring find more; one bit of 32 random numbers says little."""
    recall = swept["recall"].tolist()
    assert recall[1] < recall[2]
    assert recall[1] < recall[3]
    assert max(recall[5], recall[7]) < recall[8] < recall[4]


def test_an_engine_that_ignores_the_settings_is_not_swept():
    store = open_store(QdrantClient(":memory:"))
    with pytest.raises(
        NotTunable, match="scans all vectors and ignores the settings of graph and quantization"
    ):
        sweep_index(VECTORS, QUERIES, 10, store=store)


def test_without_a_graph_there_is_nothing_to_tune():
    with pytest.raises(NotTunable, match="no graph was built: 50 points with 0 in the graph"):
        sweep_index(random_vectors(50, 0), QUERIES, 10)


def test_faiss_is_judged_in_the_same_columns(swept):
    pytest.importorskip("faiss")
    table = sweep_faiss(VECTORS, QUERIES, 10, (4, 16), 16, (10, 200))
    assert table["engine"].tolist() == ["FAISS flat"] + ["FAISS HNSW"] * 4
    assert set(table.columns) <= set(swept.columns)
    assert table["recall"].iloc[0] == 1
    assert table["recall"].iloc[1] < table["recall"].iloc[4]


def rows(*settings: tuple[str, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(settings, columns=["engine", "recall", "p50_ms"])
    return table.assign(m=16, ef_construct=128, ef=50, quantization="none", rescored=False)


def test_a_setting_is_at_the_front_if_no_other_beats_it():
    table = rows(
        ("exact", 1.0, 5), ("Qdrant HNSW", 0.9, 1), ("Qdrant HNSW", 0.8, 1), ("Qdrant HNSW", 0.95, 6)
    )
    assert frontier(table).tolist() == [True, True, False, False]


def test_the_fastest_good_setting_is_recommended():
    table = rows(("exact", 1.0, 5), ("Qdrant HNSW", 0.995, 1), ("Qdrant HNSW", 0.9, 0.5))
    assert recommend(table) == (
        "Use m = 16, ef_construct = 128, ef = 50: 99.5% of the exact neighbours in 1.00 ms, where a scan takes 5.00 ms."
    )


def test_a_graph_that_saves_little_is_not_recommended():
    assert recommend(rows(("exact", 1.0, 1), ("Qdrant HNSW", 0.995, 0.9))).startswith(
        "Search exactly: a scan takes 1.00 ms"
    )


def test_where_no_setting_is_good_it_says_so():
    told = recommend(rows(("exact", 1.0, 5), ("Qdrant HNSW", 0.7, 1)))
    assert told.startswith(
        "No setting reaches a recall of 99%; the best is m = 16, ef_construct = 128, ef = 50 with 70.0%"
    )
