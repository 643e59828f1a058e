import json
import re
import shutil

import pandas as pd
import pytest

from mmlab.evaluate import measure_names
from mmlab.items import read_table, write_table
from mmlab.items.files import project
from mmlab.runs import list_runs, run_folder, run_names, start_step
from mmlab.runs.record.lineage import read_held
from mmlab.runs.record.run_files import NOTEBOOKS, unmark
from mmlab.runs.report.summary import (
    ROW_KEYS,
    explain_measure,
    first_measure,
    rank_runs,
    read_metrics,
    run_costs,
    run_metrics,
    summarize_run,
    summarize_runs,
    tabulate_latency,
    tabulate_measures,
)
from mmlab.runs.report.verdict import make_verdict


def test_a_finished_run():
    for name in NOTEBOOKS:
        more = {"01_ingest": {"dataset": "photos"}, "02_embed": {"models": ["a", "b"]}}.get(name, {})
        start_step(name, "r", seed=0, **more).finish("")
    found = summarize_run(read_held("r"))
    assert (found.dataset, found.models, found.state) == ("photos", ["a", "b"], "finished")
    assert found.steps == list(NOTEBOOKS)
    assert found.finished.startswith("20")


def test_a_dataset_inside_the_project_is_called_by_its_path_there():
    start_step("01_ingest", "a", dataset=str(project() / "data" / "demo")).finish("")
    start_step("01_ingest", "b", dataset="/elsewhere/photos").finish("")
    assert [summarize_run(read_held(name)).dataset for name in "ab"] == ["data/demo", "/elsewhere/photos"]


@pytest.mark.parametrize(
    ("exception", "state"), [(True, "failed in 02_embed"), (None, "stopped before 02_embed")]
)
def test_how_far_a_run_came(exception, state):
    start_step("01_ingest", "r").finish("")
    copy = run_folder("r") / "notebooks" / "02_embed.ipynb"
    copy.parent.mkdir()
    copy.write_text(json.dumps({"metadata": {"papermill": {"exception": exception}}}))
    assert summarize_run(read_held("r")).state == state
    copy.write_text("{")
    assert summarize_run(read_held("r")).state == "stopped before 02_embed"


def test_a_comparison_is_over_its_runs():
    start_step("08_compare", "r", runs=["a", "b"]).finish("")
    found = summarize_run(read_held("r"))
    assert (found.dataset, found.state) == ("a, b", "comparison")


def test_runs_are_folders_that_a_run_made(data_folder):
    assert run_names() == []
    start_step("01_ingest", "b").finish("")
    (run_folder("a") / "notebooks").mkdir(parents=True)
    (run_folder("c")).mkdir()
    assert run_names() == ["a", "b"]
    assert summarize_run(read_held("a")).state == "stopped before 01_ingest"


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
        "low": None,
        "high": None,
        "latency_ms": None,
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
    assert [row[:2] for row in table.rows] == [
        ("RR", [("1.000", ""), ("", "")]),
        ("Success@1", [("0.812", "0.700 to 0.900"), ("0.500", "0.250 to 0.750")]),
    ]
    assert table.first == table.rows


def test_every_measure_is_explained_in_a_clause():
    names = [*measure_names([1, 10], 100), "nDCG@10 by labels", "Rprec", "AP@R"]
    assert len({explain_measure(name) for name in names}) == len(names)
    assert all(explain_measure(name) and "{" not in explain_measure(name) for name in names)
    assert explain_measure("nDCG@10 by labels").startswith("the same, where an item of the same label")
    assert explain_measure("another@3") == ""


def test_the_protocol_is_a_row_for_each_rule(path):
    table = tabulate_measures(read_metrics(path))
    assert table.protocol_of == ["text-to-image", "image-to-text"]
    assert table.protocol == [("queries", ["10", "4"]), ("tie rule", ["against", ""])]


def test_success_stands_for_a_run(path, tmp_path):
    assert first_measure(read_metrics(path))["value"] == 0.8125
    path.write_text(json.dumps({"measures": [entry("a", "RR", 0.5)]}))
    assert first_measure(read_metrics(path))["measure"] == "RR"
    assert first_measure(run_metrics({"run": "r", "steps": {}, "begun": {}})) == {}
    assert tabulate_measures({}).rows == []


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_file_without_measures_is_named(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"{path} .*; run 05_evaluate again"):
        read_metrics(path)


def evaluated(name, value, latency, ef=50, exact=False, dataset="/data/photos"):
    """A run of this quality and latency: its intervals reach 0.05 to both sides."""
    start_step("01_ingest", name, dataset=dataset, seed=0).finish("")
    make_index(name, ef, latency)
    start_step("04_retrieve", name, exact=exact).finish("")
    step = start_step("05_evaluate", name)
    measures = [entry("text-to-image", "Success@1", value, low=value - 0.05, high=value + 0.05)]
    step.write("metrics.json").write_text(json.dumps({"measures": measures}))
    step.finish("")


def test_runs_are_ranked_with_the_settings_in_which_they_differ():
    evaluated("slow", 0.9, 2.0, ef=200)
    evaluated("fast", 0.86, 0.5)
    evaluated("worse", 0.7, 1.0, ef=30)
    evaluated("exact", 0.7, 1.0, exact=True)  # exact search takes 9 ms
    evaluated("other", 0.99, 1.0, dataset="/data/other")
    start_step("01_ingest", "begun", dataset="/data/photos", seed=0).finish("")
    table = rank_runs()
    assert table["name"].tolist() == ["other", "slow", "fast", "exact", "worse", "begun"]
    assert table["latency_ms"].tolist()[:5] == [1.0, 2.0, 0.5, 9.0, 1.0]
    assert table.loc[table["front"], "name"].tolist() == ["other", "slow", "fast"]
    assert set(table.columns[len(ROW_KEYS) + 1 :]) == {"ef", "exact"}  # the seed is the same in all
    assert table["ef"].tolist() == ["50", "200", "50", "50", "30", ""]
    assert summarize_runs(table) == (
        "slow leads on photos: text-to-image Success@1 0.900 (0.850 to 0.950); fast lies within its interval, so no "
        "worse by that."
    )


def test_without_runs_the_leaderboard_is_empty(data_folder):
    assert len(rank_runs()) == 0
    assert summarize_runs(rank_runs()) == ""


def test_latency_is_that_of_03(tmp_path):
    path = tmp_path / "index.parquet"
    assert tabulate_latency(None) == []
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
    (run_folder("b") / "vectors" / "x.arrow").write_bytes(bytes(range(256)) * 4096)
    spent = run_costs({run: read_table(run_folder(run) / "index.parquet") for run in "ab"}).set_index("run")
    assert spent["p50_ms"].to_dict() == {"a": 0.5, "b": 0.25}
    assert spent["disk_mb"]["a"] == 0
    assert spent["disk_mb"]["b"] == pytest.approx(1.05, abs=0.05)
    assert (spent["index_s"] >= 0).all()


def run_through(name, dataset, value, last="06_visualize"):
    """A run over a dataset up to its last notebook, each made from what the one before has written."""
    for number, step_name in enumerate(NOTEBOOKS):
        step = start_step(step_name, name, **({"dataset": dataset} if number == 0 else {}))
        if number:
            step.read(f"{number}.json")
        step.write(f"{number + 1}.json").write_text(dataset)
        if step_name == "05_evaluate":
            measures = [entry("text-to-image", "Success@1", value)]
            step.write("metrics.json").write_text(json.dumps({"measures": measures}))
        if step_name == last:
            return step
        step.finish("")
    raise AssertionError(last)


def test_a_run_that_began_again_and_stopped_has_no_figures_of_the_data_before():
    run_through("r", "old", 0.97).finish("")
    assert (list_runs()[0]["value"], list_runs()[0]["state"]) == (0.97, "finished")
    run_through("r", "new", 0.03, last="02_embed")
    unmark(run_folder("r"))  # it was stopped
    (row,) = list_runs()
    assert (row["dataset"], row["value"], row["state"]) == ("new", None, "stopped in 02_embed")
    verdict = make_verdict(read_held("r")).lines()
    assert verdict == ["The run is not finished: 02_embed has to be run again."]
    run_through("r", "new", 0.03).finish("")
    assert (list_runs()[0]["value"], list_runs()[0]["state"]) == (0.03, "finished")


def test_a_notebook_done_again_by_hand_takes_the_later_figures_along():
    run_through("r", "old", 0.97).finish("")
    run_through("r", "new", 0.97, last="01_ingest").finish("")
    (row,) = list_runs()
    assert (row["value"], row["state"]) == (None, "out of date from 02_embed on")
    assert read_held("r")["stale"]["05_evaluate"] == (
        "02_embed read another 1.json than 01_ingest has written since; run 02_embed again"
    )


def test_a_step_that_read_what_nobody_writes_any_more_is_out_of_date():
    """As the index of a model after another model has embedded."""
    for model in "ab":
        step = start_step("02_embed", "r", models=[model])
        step.write(f"vectors/{model}.arrow").write_text(model)
        step.finish("")
        if model == "a":
            index = start_step("03_index", "r")
            index.read("vectors/a.arrow")
            index.finish("")
    assert list(read_held("r")["steps"]) == ["02_embed"]
    assert read_held("r")["stale"] == {
        "03_index": "03_index read vectors/a.arrow, which no step writes any more; run 03_index again"
    }


def test_a_digit_that_was_changed_is_not_shown():
    run_through("r", "d", 0.97).finish("")
    path = run_folder("r") / "metrics.json"
    list_runs()
    path.write_text(path.read_text().replace("0.97", "0.99"))
    (row,) = list_runs()
    assert (row["value"], row["state"]) == (None, "damaged: metrics.json")
    assert make_verdict(read_held("r")).good == [
        "No measures are shown: metrics.json is not what 05_evaluate recorded: it was changed, or made by a run of "
        "05_evaluate that did not reach its end; run 05_evaluate again."
    ]
    path.write_text("{")
    (run_folder("r") / "3.json").unlink()
    assert list_runs()[0]["state"] == "damaged: 3.json and 1 more"


def test_a_comparison_of_a_run_that_has_changed_since_is_out_of_date():
    run_through("r", "d", 0.97).finish("")
    step = start_step("08_compare", "c", runs=["r"])
    step.read_from("r", "metrics.json")
    step.finish("r is best.")
    assert summarize_run(read_held("c")).state == "comparison"
    run_through("r", "d", 0.5).finish("")
    assert summarize_run(read_held("c")).state == "out of date from 08_compare on"
    assert read_held("c")["stale"]["08_compare"] == (
        "08_compare read another r:metrics.json than 05_evaluate of run r has written since; run 08_compare again"
    )
    shutil.rmtree(run_folder("r"))  # what was found then still holds
    assert summarize_run(read_held("c")).state == "comparison"
