import os
import socket
import subprocess
import sys
import time

import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record.run_files import MARK, MAX_FOREIGN_S, _boot, is_locked, mark, run_lock, unmark


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
    assert not list(tmp_path.glob(f"{MARK}*"))


def test_marks_do_not_pile_up_and_the_next_process_removes_them(tmp_path):
    for number in range(7, 12):
        (tmp_path / f"{MARK}{number}").write_text(f"{socket.gethostname()} 12.0")
    mark(tmp_path)
    assert [path.name for path in tmp_path.glob(f"{MARK}*")] == [f"{MARK}{os.getpid()}"]
    unmark(tmp_path)
    assert not list(tmp_path.glob(f"{MARK}*"))


def test_a_container_that_was_killed_on_this_machine_is_at_work_no_more(tmp_path):
    """Its name is not that of this machine, and its processes are not to be seen: only the lock tells."""
    code = """
import os, socket, sys, pathlib
import mmlab.runs.record.run_files as files
socket.gethostname = lambda: "3f2a77c0ffee"
files.mark(pathlib.Path(sys.argv[1]))
print("marked", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as inside:
        assert inside.stdout.readline() == "marked\n"
        assert next(tmp_path.glob(f"{MARK}*")).read_text().split()[0] == "3f2a77c0ffee"
        assert is_locked(tmp_path)
        inside.kill()
    assert not is_locked(tmp_path)
    assert not list(tmp_path.glob(f"{MARK}*"))


def test_a_child_that_was_forked_does_not_keep_the_mark_of_a_killed_process(tmp_path):
    code = """
import os, sys, pathlib
import mmlab.runs.record.run_files as files
files.mark(pathlib.Path(sys.argv[1]))
if os.fork():
    os.abort()
print("forked", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "forked\n"
        parent.wait()
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
    theirs = tmp_path / f"{MARK}7"
    theirs.write_text("elsewhere 12.0 boot=another")
    assert is_locked(tmp_path)
    day_ago = time.time() - MAX_FOREIGN_S - 1
    os.utime(theirs, (day_ago, day_ago))
    assert not is_locked(tmp_path)
    theirs.write_text(f"a-container 12.0 {_boot()}")
    assert not is_locked(tmp_path)
