import json

import pytest

from mmlab.runs import run_folder, run_names, start_step, summarise_run
from mmlab.runs.execute import NOTEBOOKS


def test_a_finished_run():
    for name in NOTEBOOKS:
        more = {"01_ingest": {"dataset": "photos"}, "02_embed": {"models": ["a", "b"]}}.get(name, {})
        start_step(name, "r", seed=0, **more).finish("")
    found = summarise_run("r")
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
    assert summarise_run("r").state == state
    copy.write_text("{")
    assert summarise_run("r").state == "stopped before 02_embed"


def test_a_comparison_is_over_its_runs():
    start_step("08_compare", "r", runs=["a", "b"]).finish("")
    found = summarise_run("r")
    assert (found.dataset, found.state) == ("a, b", "comparison")


def test_runs_are_folders_that_a_run_made(data_folder):
    assert run_names() == []
    start_step("01_ingest", "b").finish("")
    (run_folder("a") / "notebooks").mkdir(parents=True)
    (run_folder("c")).mkdir()
    assert run_names() == ["a", "b"]
    assert summarise_run("a").state == "stopped before 01_ingest"
