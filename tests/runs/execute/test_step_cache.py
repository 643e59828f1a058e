"""A step is not done again for a run whose files have the bytes that another run's had."""

import os

import pytest

from mmlab.items.files import copy_folder
from mmlab.runs import read_manifest, run_folder, start_step
from mmlab.runs.execute.step_cache import StepCache, share_step

PARAMETERS = {"seed": 0}
FILES = {"items.parquet": "items", "rankings/a/exact.parquet": "exact", "rankings/a/index.parquet": "index"}


def search(run, **changed):
    """What 01 to 04 leave behind, in short: files of these texts."""
    step = start_step("04_retrieve", run, depth=100)
    for file, text in (FILES | {name.replace("__", "/"): text for name, text in changed.items()}).items():
        step.write(file).write_text(text)
    step.finish("")


def evaluate(run, step="05_evaluate", **parameters):
    doing = start_step(step, run, **(PARAMETERS | parameters))
    doing.read("items.parquet")
    texts = [path.read_text() for path in doing.read_all("rankings/a/*.parquet")]
    doing.write("metrics.json").write_text(" ".join(texts))
    doing.finish("")


@pytest.fixture
def steps_done(data_folder):
    """The run a has done 05_evaluate."""
    search("a")
    evaluate("a")
    found = StepCache()
    found.add("05_evaluate", "a")
    return found


def test_a_run_with_the_same_files_is_found(steps_done):
    search("b")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) == "a"


def test_other_parameters_have_none(steps_done):
    search("b")
    assert steps_done.find("05_evaluate", "b", {"seed": 1}) is None
    assert steps_done.find("06_visualize", "b", PARAMETERS) is None


@pytest.mark.parametrize("file", FILES)
def test_another_byte_in_a_file_that_was_read_has_none(steps_done, file):
    search("b", **{file.replace("/", "__"): "other"})
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None


def test_one_file_more_or_less_among_those_that_were_read_has_none(steps_done):
    search("b", rankings__a__fused="fused")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    search("c")
    evaluate("c")
    steps_done.add("05_evaluate", "c")
    step = start_step("04_retrieve", "d", depth=100)
    for file in list(FILES)[:2]:
        step.write(file).write_text(FILES[file])
    step.finish("")
    assert steps_done.find("05_evaluate", "d", PARAMETERS) is None


def test_a_step_of_another_sweep_or_one_that_reads_the_store_is_not_found(steps_done):
    search("b")
    assert StepCache().find("05_evaluate", "b", PARAMETERS) is None
    evaluate("a", step="04_retrieve", depth=100)
    steps_done.add("04_retrieve", "a")
    assert steps_done.find("04_retrieve", "b", {**PARAMETERS, "depth": 100}) is None


def test_what_was_changed_since_or_judged_by_hand_is_not_shared(steps_done):
    search("b")
    (run_folder("b") / "labels.jsonl").write_text("{}")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    (run_folder("b") / "labels.jsonl").unlink()
    (run_folder("a") / "metrics.json").write_text("by hand")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    assert "05_evaluate" not in read_manifest("b")["steps"]


@pytest.fixture
def made():
    """A run `a` in which 01 and 03 were done, with a store."""
    step = start_step("01_ingest", "a", seed=0)
    step.write("items.parquet").write_text("items")
    step.finish("3 items")
    step = start_step("03_index", "a", seed=0)
    step.read("items.parquet")
    step.write("index.parquet").write_text("index")
    step.finish("built")
    for file in ("store/a-unified/shard/wal", "store/.lock", "notebooks/03_index.ipynb", "03_index.html"):
        path = run_folder("a") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    share_step("01_ingest", "a", "b")
    share_step("03_index", "a", "b")
    return run_folder("b")


def test_the_other_run_has_the_files_and_the_records(made):
    assert (made / "items.parquet").read_text() == "items"
    assert (made / "03_index.html").read_text() == "03_index.html"
    assert (made / "notebooks" / "03_index.ipynb").is_file()
    mine, theirs = read_manifest("a")["steps"], read_manifest("b")["steps"]
    assert theirs == {name: {**record, "shared_from": "a"} for name, record in mine.items()}
    share_step("01_ingest", "b", "c")
    assert read_manifest("c")["steps"]["01_ingest"]["shared_from"] == "a"


def test_a_store_is_copied_without_its_locks(made):
    wal = made / "store" / "a-unified" / "shard" / "wal"
    assert wal.read_text() == "store/a-unified/shard/wal"
    assert wal.stat().st_nlink == 1
    assert not (made / "store" / ".lock").exists()


def test_writing_a_linked_file_again_leaves_that_of_the_other_run(made):
    assert (made / "items.parquet").stat().st_nlink == 2
    start_step("01_ingest", "b").write("items.parquet").write_text("other")
    assert (run_folder("a") / "items.parquet").read_text() == "items"


def test_holes_stay_holes(tmp_path):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "wal", "wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"tail" + bytes(100))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "wal").read_bytes() == (tmp_path / "a" / "wal").read_bytes()
    if hasattr(os.stat_result, "st_blocks"):
        assert 512 * (tmp_path / "b" / "wal").stat().st_blocks < 1 << 20


@pytest.mark.parametrize(
    "parts", [{}, {0: b"all of it"}, {1 << 20: b"at the end"}, {4096: b"one", 5 << 20: b"two " * 5000}]
)
def test_a_copy_with_holes_has_the_same_bytes(tmp_path, parts):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "page", "wb") as file:
        for start, content in parts.items():
            file.seek(start)
            file.write(content)
        file.truncate(max(file.tell(), 3 << 20))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == (tmp_path / "a" / "page").read_bytes()


def test_where_a_system_knows_no_holes_all_is_copied(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    (tmp_path / "a").mkdir()
    content = b"begin" + bytes(3 << 20) + b"end"
    (tmp_path / "a" / "page").write_bytes(content)
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == content
