import json
import re

import pytest

from mmlab.runs import list_runs, read_manifest, run_folder, run_names, start_step
from mmlab.runs.record.run_files import NOTEBOOKS
from mmlab.runs.report.summary import summarize_run


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
