import json
import re

import pandas as pd
import pytest

from mmlab.items import read_table, write_table
from mmlab.runs import list_runs, read_manifest, run_folder, run_names, start_step
from mmlab.runs.record.run_files import NOTEBOOKS
from mmlab.runs.report.summary import (
    first_measure,
    read_metrics,
    run_costs,
    summarize_run,
    tabulate_latency,
    tabulate_measures,
)


def test_a_finished_run():
    for name in NOTEBOOKS:
        more = {"01_ingest": {"dataset": "photos"}, "02_embed": {"models": ["a", "b"]}}.get(name, {})
        start_step(name, "r", seed=0, **more).finish("")
    found = summarize_run(read_manifest("r"))
    assert (found.dataset, found.models, found.state) == ("photos", ["a", "b"], "finished")
    assert found.steps == list(NOTEBOOKS)
    assert found.finished.startswith("20")


@pytest.mark.parametrize(
    ("exception", "state"), [(True, "failed in 02_embed"), (None, "stopped before 02_embed")]
)
def test_how_far_a_run_came(exception, state):
    start_step("01_ingest", "r").finish("")
    copy = run_folder("r") / "notebooks" / "02_embed.ipynb"
    copy.parent.mkdir()
    copy.write_text(json.dumps({"metadata": {"papermill": {"exception": exception}}}))
    assert summarize_run(read_manifest("r")).state == state
    copy.write_text("{")
    assert summarize_run(read_manifest("r")).state == "stopped before 02_embed"


def test_a_comparison_is_over_its_runs():
    start_step("08_compare", "r", runs=["a", "b"]).finish("")
    found = summarize_run(read_manifest("r"))
    assert (found.dataset, found.state) == ("a, b", "comparison")


def test_runs_are_folders_that_a_run_made(data_folder):
    assert run_names() == []
    start_step("01_ingest", "b").finish("")
    (run_folder("a") / "notebooks").mkdir(parents=True)
    (run_folder("c")).mkdir()
    assert run_names() == ["a", "b"]
    assert summarize_run(read_manifest("a")).state == "stopped before 01_ingest"


def test_a_row_has_what_the_manifest_says():
    start_step("01_ingest", "a", dataset="photos").finish("")
    (row,) = list_runs()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row.pop("finished"))
    assert row == {
        "name": "a",
        "dataset": "photos",
        "models": [],
        "seconds": 0.0,
        "measure": "",
        "value": None,
        "state": "stopped before 02_embed",
    }


def entry(direction, measure, value, **more):
    return {"direction": direction, "measure": measure, "value": value, "queries": 10, **more}


@pytest.fixture
def path(tmp_path):
    measures = [
        entry("text-to-image", "RR", 1.0, low=None, high=None),
        entry("text-to-image", "Success@1", 0.8125, low=0.7, high=0.9),
        entry("image-to-text", "Success@1", 0.5, low=0.25, high=0.75),
    ]
    protocol = [
        {"direction": "text-to-image", "queries": 10, "tie rule": "against"},
        {"direction": "image-to-text", "queries": 4, "tie rule": None},
    ]
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"measures": measures, "protocol": protocol}))
    return path


def test_measures_are_a_row_each_and_directions_a_column_each(path):
    table = tabulate_measures(read_metrics(path))
    assert table.directions == ["text-to-image", "image-to-text"]
    assert table.rows == [
        ("RR", [("1.000", ""), ("", "")]),
        ("Success@1", [("0.812", "0.700 to 0.900"), ("0.500", "0.250 to 0.750")]),
    ]


def test_the_protocol_is_a_row_for_each_rule(path):
    table = tabulate_measures(read_metrics(path))
    assert table.protocol_of == ["text-to-image", "image-to-text"]
    assert table.protocol == [("queries", ["10", "4"]), ("tie rule", ["against", ""])]


def test_success_stands_for_a_run(path, tmp_path):
    assert first_measure(read_metrics(path)) == ("text-to-image Success@1", 0.8125)
    path.write_text(json.dumps({"measures": [entry("a", "RR", 0.5)]}))
    assert first_measure(read_metrics(path)) == ("a RR", 0.5)
    path.write_text("{")
    assert first_measure(read_metrics(path)) == first_measure(read_metrics(tmp_path / "none")) == ("", None)
    assert tabulate_measures(read_metrics(path)).rows == []


def test_latency_is_that_of_03(tmp_path):
    path = tmp_path / "index.parquet"
    assert tabulate_latency(path) == []
    table = pd.DataFrame(
        {"search": ["exact"], "recall": [1.0], "p50_ms": [0.25], "p95_ms": [0.5], "other": [1]}
    )
    write_table(table, path)
    assert tabulate_latency(path) == [
        {"search": "exact", "recall": "1.000", "median, ms": "0.250", "95th percentile, ms": "0.500"}
    ]
    write_table(table.drop(columns="p50_ms"), path)
    assert tabulate_latency(path) == []


def make_index(run, ef=50, latency=0.5):
    step = start_step("03_index", run, ef=ef)
    benchmark = pd.DataFrame(
        {"search": ["exact", "HNSW ef=20", f"HNSW ef={ef}"], "p50_ms": [9.0, 8.0, latency]}
    )
    write_table(benchmark, step.write("index.parquet"))
    step.finish("")


def test_the_cost_is_that_of_the_runs_own_setting():
    make_index("a")
    make_index("b", ef=100, latency=0.25)
    (run_folder("b") / "vectors").mkdir()
    (run_folder("b") / "vectors" / "x.npz").write_bytes(bytes(range(256)) * 4096)
    spent = run_costs({run: read_table(run_folder(run) / "index.parquet") for run in "ab"}).set_index("run")
    assert spent["p50_ms"].to_dict() == {"a": 0.5, "b": 0.25}
    assert spent["disk_mb"]["a"] == 0
    assert spent["disk_mb"]["b"] == pytest.approx(1.05, abs=0.05)
    assert (spent["index_s"] >= 0).all()
