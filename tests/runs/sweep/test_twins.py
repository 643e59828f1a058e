"""A step is not done again for a run whose files have the bytes that another run's had."""

import pytest

from mmlab.runs import read_manifest, run_folder, start_step
from mmlab.runs.sweep.twins import Twins

PARAMETERS = {"seed": 0}
FILES = {"items.parquet": "items", "rankings/a/exact.parquet": "exact", "rankings/a/index.parquet": "index"}


def search(run, **changed):
    """What 01 to 04 leave behind, in short: files of these texts."""
    step = start_step("04_retrieve", run, depth=100)
    for file, text in (FILES | {name.replace("__", "/"): text for name, text in changed.items()}).items():
        step.write(file).write_text(text)
    step.finish("")


def judge(run, step="05_evaluate", **parameters):
    doing = start_step(step, run, **(PARAMETERS | parameters))
    doing.read("items.parquet")
    texts = [path.read_text() for path in doing.read_all("rankings/a/*.parquet")]
    doing.write("metrics.json").write_text(" ".join(texts))
    doing.finish("")


@pytest.fixture
def twins(data_folder):
    """The run a has done 05_evaluate."""
    search("a")
    judge("a")
    found = Twins()
    found.note("05_evaluate", "a")
    return found


def test_a_run_with_the_same_files_has_a_twin(twins):
    search("b")
    assert twins.find("05_evaluate", "b", PARAMETERS) == "a"


def test_other_parameters_have_none(twins):
    search("b")
    assert twins.find("05_evaluate", "b", {"seed": 1}) is None
    assert twins.find("06_visualize", "b", PARAMETERS) is None


@pytest.mark.parametrize("file", FILES)
def test_another_byte_in_a_file_that_was_read_has_none(twins, file):
    search("b", **{file.replace("/", "__"): "other"})
    assert twins.find("05_evaluate", "b", PARAMETERS) is None


def test_one_file_more_or_less_among_those_that_were_read_has_none(twins):
    search("b", rankings__a__fused="fused")
    assert twins.find("05_evaluate", "b", PARAMETERS) is None
    search("c")
    judge("c")
    twins.note("05_evaluate", "c")
    step = start_step("04_retrieve", "d", depth=100)
    for file in list(FILES)[:2]:
        step.write(file).write_text(FILES[file])
    step.finish("")
    assert twins.find("05_evaluate", "d", PARAMETERS) is None


def test_a_step_of_another_sweep_or_one_that_reads_the_store_is_no_twin(twins):
    search("b")
    assert Twins().find("05_evaluate", "b", PARAMETERS) is None
    judge("a", step="04_retrieve", depth=100)
    twins.note("04_retrieve", "a")
    assert twins.find("04_retrieve", "b", {**PARAMETERS, "depth": 100}) is None


def test_what_was_changed_since_or_judged_by_hand_is_not_shared(twins):
    search("b")
    (run_folder("b") / "labels.jsonl").write_text("{}")
    assert twins.find("05_evaluate", "b", PARAMETERS) is None
    (run_folder("b") / "labels.jsonl").unlink()
    (run_folder("a") / "metrics.json").write_text("by hand")
    assert twins.find("05_evaluate", "b", PARAMETERS) is None
    assert "05_evaluate" not in read_manifest("b")["steps"]
