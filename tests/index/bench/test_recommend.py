"""What is recommended follows from a sweep's numbers, and 03 understands it."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Quantization
from mmlab.index.bench.recommend import (
    best_of_graphs,
    cost_score,
    frontier,
    name_settings,
    parameters_of,
    recommend,
    summarize_placement,
)
from mmlab.runs import find_notebook
from mmlab.runs.record.parameters import check_parameters


def rows(*settings: tuple[str, float, float], **more) -> pd.DataFrame:
    table = pd.DataFrame(settings, columns=["engine", "recall", "p50_ms"])
    graph = {"m": 16, "ef_construct": 128, "ef": 50, "quantization": "none", "on_disk": False}
    search = {"rescored": False, "oversampling": np.nan, "p95_ms": 2 * table["p50_ms"], "p99_ms": 3.0}
    costs = {"memory_mb": 8.0, "disk_mb": 4.0, "build_s": 0.5}
    return table.assign(**graph, **search, **costs).assign(**more)


def as_swept(setting):
    """What a setting finds in the run's own index: what the sweep has measured."""
    return {"image": setting["recall"], "text": max(setting["recall"], 0.999)}


def test_a_setting_is_at_the_front_if_no_other_beats_it():
    table = rows(
        ("exact", 1.0, 5), ("Qdrant HNSW", 0.9, 1), ("Qdrant HNSW", 0.8, 1), ("Qdrant HNSW", 0.95, 6)
    )
    assert frontier(table).tolist() == [True, True, False, False]


def test_the_cost_score_is_a_weighted_geometric_mean_of_ratios():
    table = rows(("Qdrant HNSW", 1.0, 1), ("Qdrant HNSW", 1.0, 2), memory_mb=[16.0, 8.0])
    assert cost_score(table).tolist() == pytest.approx([2**0.3, 2**0.4])


def test_a_cost_that_is_not_known_is_left_out():
    table = rows(("Qdrant HNSW", 1.0, 1), ("Qdrant HNSW", 1.0, 2), memory_mb=np.nan, disk_mb=np.nan)
    assert cost_score(table).tolist() == pytest.approx([1, 2 ** (0.4 / 0.5)])


def test_the_cheapest_good_setting_is_recommended_with_its_command_and_the_runner_up():
    table = rows(
        ("exact", 1.0, 5), ("Qdrant HNSW", 0.995, 1), ("Qdrant HNSW", 1.0, 2), ("Qdrant HNSW", 0.9, 0.5)
    )
    table["ef"] = [np.nan, 50, 100, 16]
    assert recommend(table, "photos", as_swept) == (
        "A graph pays: a scan takes 5.00 ms. Take m = 16, ef_construct = 128, ef = 50: built as the run's own "
        "index is, it finds 99.5% for images and 99.9% for texts of the exact neighbours, in 1.00 ms "
        "(95% of the queries within 2.00 ms), 8.0 MB of memory, 4.0 MB on disk, built in 0.50 s. "
        "`mmlab run --name photos --from 03 -p hnsw_m=16 -p hnsw_ef_construct=128 -p ef=50 -p on_disk=false "
        "-p quantization=none` "
        "Runner-up: m = 16, ef_construct = 128, ef = 100 (100.0%); it takes 2 times the latency."
    )


def test_a_setting_that_finds_less_in_the_runs_own_index_is_passed_over():
    table = rows(
        ("exact", 1.0, 5), ("Qdrant HNSW", 0.995, 1), ("Qdrant HNSW", 1.0, 2), ("Qdrant HNSW", 1.0, 3)
    )
    table["ef"] = [np.nan, 50, 100, 200]
    built = []

    def measure(setting):
        built.append(int(setting["ef"]))
        return {"image": 0.999, "text": 0.914 if setting["ef"] == 50 else 0.992}

    advice = recommend(table, "demo", measure, layout="separate")
    assert built == [50, 100]
    assert (
        "ef = 50 finds less in the run's own index: 99.9% for images and 91.4% for texts. Take m = 16"
        in advice
    )
    assert (
        "ef = 100: built as the run's own index is, it finds 99.9% for images and 99.2% for texts" in advice
    )
    assert "-p ef=100 -p on_disk=false -p quantization=none -p layout=separate`" in advice
    none = recommend(table, "demo", lambda setting: {"image": 0.9})
    assert none.endswith("No other was tried: raise ef, or search exactly.") and "mmlab run" not in none


def test_memory_disk_and_build_outweigh_a_little_latency():
    table = rows(("exact", 1.0, 5), ("Qdrant HNSW", 1.0, 1), ("Qdrant HNSW", 1.0, 1.1))
    table["memory_mb"], table["quantization"] = [8.0, 8.0, 2.0], ["none", "none", "scalar"]
    advice = recommend(table, "demo", as_swept)
    assert "-p quantization=scalar -p rescore=false`" in advice
    assert advice.endswith("Runner-up: m = 16, ef_construct = 128, ef = 50 (100.0%); it takes 0.91 times the latency, "
                         "4 times the memory.")  # fmt: skip


def test_sizes_that_a_server_does_not_tell_are_left_out():
    table = rows(("exact", 1.0, 5), ("Qdrant HNSW", 1.0, 1), memory_mb=np.nan, disk_mb=np.nan)
    advice = recommend(table, "demo", as_swept)
    assert "MB" not in advice and "nan" not in advice
    assert advice.endswith("No other setting is good enough.")


def test_a_graph_that_saves_little_is_not_recommended():
    advice = recommend(rows(("exact", 1.0, 1), ("Qdrant HNSW", 0.995, 0.9)), "demo", as_swept)
    assert advice.startswith(
        "Search exactly: a scan takes 1.00 ms, the fastest graph that is good enough 0.90 ms."
    )


def test_where_no_setting_is_good_it_says_so():
    advice = recommend(rows(("exact", 1.0, 5), ("Qdrant HNSW", 0.7, 1)), "demo", as_swept)
    assert advice.startswith(
        "No setting reaches a recall of 99%; the best is m = 16, ef_construct = 128, ef = 50 with 70.0%"
    )


def test_the_parameters_are_those_of_03():
    quantized = {"quantization": "product-32", "rescored": True, "oversampling": 4.0, "on_disk": True}
    row = rows(("Qdrant HNSW", 1.0, 1)).assign(**quantized).iloc[0]
    found = parameters_of(row)
    assert check_parameters(found, [find_notebook("03_index")]) == {
        "hnsw_m": 16,
        "hnsw_ef_construct": 128,
        "ef": 50,
        "on_disk": True,
        "quantization": "product-32",
        "rescore": True,
        "oversampling": 4.0,
    }
    assert Quantization.from_name("product-32", oversampling=found["oversampling"]).oversampling == 4


def test_every_row_is_named_by_how_it_searches_and_what_was_built():
    table = rows(("exact", 1.0, 5), ("Qdrant HNSW", 1.0, 1), ("FAISS flat", 1.0, 1), ("FAISS HNSW", 1.0, 1))
    table["m"], table["quantization"] = [16, 16, np.nan, 4], ["none", "scalar", "none", "none"]
    table["rescored"], table["on_disk"] = [False, True, False, False], [False, True, False, False]
    named = name_settings(table)
    assert named["method"].tolist() == ["exact", "Qdrant HNSW scalar, rescored", "FAISS flat", "FAISS HNSW"]
    assert named["graph"].tolist() == [
        "Qdrant m = 16",
        "Qdrant m = 16, scalar, on disk",
        "FAISS flat",
        "FAISS HNSW m = 4",
    ]


def test_candidates_at_building_are_named_where_there_are_several():
    named = name_settings(rows(("Qdrant HNSW", 1.0, 5), ("Qdrant HNSW", 1.0, 1), ef_construct=[64, 128]))
    assert named["graph"].tolist() == [
        "Qdrant m = 16, ef_construct = 64",
        "Qdrant m = 16, ef_construct = 128",
    ]


def test_the_best_of_a_graph_finds_most_and_then_fastest():
    searched = [
        ("exact", 1.0, 5),
        ("Qdrant HNSW", 0.9, 1),
        ("Qdrant HNSW", 0.99, 3),
        ("Qdrant HNSW", 0.99, 2),
    ]
    table = rows(*searched, ("FAISS HNSW", 0.5, 1))
    table["ef"], table["rescored"] = [np.nan, 10, 20, 30, 40], [False, False, True, True, False]
    table["oversampling"] = [np.nan, np.nan, 2.0, 1.5, np.nan]
    best = best_of_graphs(name_settings(table))
    assert best["graph"].tolist() == ["Qdrant m = 16", "Qdrant m = 16", "FAISS HNSW m = 16"]
    assert best["search"].tolist() == ["exact", "ef = 30, rescored from 1.5 k", "ef = 40"]
    assert best["p50_ms"].tolist() == [5, 2, 1]


def test_placements_are_held_against_each_other_setting_by_setting():
    table = rows(*[("Qdrant HNSW", 1.0, time) for time in (1, 2, 3, 8)], on_disk=[False, False, True, True])
    table["ef"], table["memory_mb"] = [10, 20, 10, 20], np.nan
    assert summarize_placement(table) == (
        "With vectors on disk the same setting takes 3.50 times the latency, 1.00 times the disk space, "
        "1.00 times the build time (medians)."
    )  # 3 / 1 and 8 / 2
    assert summarize_placement(table[~table["on_disk"]]) == ""
