import os
import socket
import subprocess
import sys

import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record.run_files import MARK, is_locked, mark, run_lock, unmark


def test_a_process_is_at_work_until_it_says_otherwise(tmp_path):
    folder = tmp_path / "r"
    assert not is_locked(folder)
    mark(folder)
    assert is_locked(folder)
    unmark(folder)
    unmark(folder)
    assert not is_locked(folder)


def test_for_a_block_and_an_empty_folder_goes_with_it(tmp_path):
    with run_lock(tmp_path / "a", tmp_path / "b"):
        (tmp_path / "a" / "file").touch()
        assert is_locked(tmp_path / "a")
        assert is_locked(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file"]


def test_a_process_that_was_killed_is_at_work_no_more(tmp_path):
    code = "import os, sys, pathlib, mmlab.runs.record.run_files as w; w.mark(pathlib.Path(sys.argv[1])); os.abort()"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False, capture_output=True)
    assert len(list(tmp_path.glob(f"{MARK}*"))) == 1
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("text", ["", "here", f"{socket.gethostname()} 12.0"])
def test_a_mark_of_nobody_counts_for_nothing(tmp_path, text):
    (tmp_path / f"{MARK}{os.getpid()}").write_text(text)
    assert not is_locked(tmp_path)


def test_a_notebook_is_at_work_until_its_end():
    step = start_step("01_ingest", "r")
    assert is_locked(run_folder("r"))
    step.finish("")
    assert not is_locked(run_folder("r"))


def test_one_of_another_machine_is_taken_to_be_at_work(tmp_path):
    (tmp_path / f"{MARK}7").write_text("elsewhere 12.0")
    assert is_locked(tmp_path)
