import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record.lineage import read_held
from mmlab.runs.record.run_files import NOTEBOOKS, run_lock
from mmlab.runs.report.summary import summarize_run
from mmlab.runs.upkeep import find_removable, remove


@pytest.fixture
def folder(data_folder):
    for name in NOTEBOOKS:
        start_step(name, "whole").finish("")
    start_step("01_ingest", "half").finish("")
    run_folder("broken").mkdir()
    (run_folder("broken") / "manifest.json").write_text("{")
    for name in ("cache", "demo", "verify-x"):
        (data_folder / name).mkdir()
        (data_folder / name / "file").write_bytes(bytes(range(256)) * 64)
    return data_folder


def names(entries):
    return [(entry.kind, entry.name) for entry in entries]


def test_what_can_go_is_found_with_its_size(folder):
    found = find_removable(None, cache=True, demo=True)
    assert names(found) == [
        ("run", "broken"),
        ("run", "half"),
        ("run", "whole"),
        ("verify", "verify-x"),
        ("cache", "cache"),
        ("demo", "demo"),
    ]
    assert 16_384 <= found[-1].bytes <= 20_480
    assert names(find_removable(["whole"])) == [("run", "whole")]
    assert names(find_removable([])) == []


def test_unfinished_runs_are_those_without_their_last_notebook(folder):
    assert names(find_removable([], unfinished=True)) == [
        ("run", "broken"), ("run", "half"), ("verify", "verify-x")
    ]  # fmt: skip


def test_a_run_that_is_at_work_stays(folder):
    start_step("02_embed", "half")
    assert summarize_run(read_held("half")).state == "working on 02_embed"
    assert names(find_removable([], unfinished=True)) == [("run", "broken"), ("verify", "verify-x")]
    with pytest.raises(ValueError, match="run 'half' is at work: stop it"):
        find_removable(["half"])
    with run_lock(folder / "verify-x"):
        assert names(find_removable([], unfinished=True)) == [("run", "broken")]


def test_judgements_made_by_hand_are_counted(folder):
    (run_folder("half") / "labels.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    counts = {entry.name: entry.labels for entry in find_removable(None, cache=True)}
    assert counts == {"broken": 0, "half": 2, "whole": 0, "verify-x": 0, "cache": 0}


def test_a_run_that_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match="there is no run 'other'"):
        find_removable(["other"])
    with pytest.raises(ValueError, match="parameter name: expected 1 to 100 letters"):
        find_removable(["../demo"])


def test_what_is_removed_is_gone_and_of_a_link_only_the_link(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "runs" / "linked").symlink_to(elsewhere)
    remove(find_removable(["half", "linked"]))
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["broken", "whole"]
    assert elsewhere.is_dir()
