import os
import socket
import subprocess
import sys

import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record.run_files import MARK, RunInUse, is_locked, mark, run_lock, unmark


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
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".manifest.lock", "a", "file"]


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


@pytest.fixture
def other_process(tmp_path):
    """A function: the code of a process that marks the folder and sleeps -> the process, once it has marked it."""
    begun = []

    def begin(code):
        start = "import sys, time, pathlib; from mmlab.runs.record.run_files import mark"
        code = f"{start}; {code}; print(); time.sleep(60)"
        begun.append(
            subprocess.Popen([sys.executable, "-uc", code, tmp_path / "r"], stdout=subprocess.PIPE, text=True)
        )
        begun[-1].stdout.readline()
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def test_what_runs_a_run_is_alone_there(tmp_path, other_process):
    other = other_process("mark(pathlib.Path(sys.argv[1]), alone=True)")
    message = rf"run r is in use by pid {other.pid}, '.*python.*', since 20\d\d-.*: wait until it has ended"
    with pytest.raises(RunInUse, match=message), run_lock(tmp_path / "s", tmp_path / "r"):
        pass
    with pytest.raises(RunInUse, match=f"pid {other.pid}"):  # a notebook by hand
        mark(tmp_path / "r")
    assert not (tmp_path / "s").exists()
    other.kill()
    other.wait()
    with run_lock(tmp_path / "r"):
        pass


def test_notebooks_by_hand_work_side_by_side_and_keep_a_run_off(tmp_path, other_process):
    other = other_process("mark(pathlib.Path(sys.argv[1]))")
    mark(tmp_path / "r")
    unmark(tmp_path / "r")
    with pytest.raises(RunInUse, match=f"pid {other.pid}"), run_lock(tmp_path / "r"):
        pass


def test_the_kernels_of_a_run_work_in_its_folder(tmp_path):
    code = (
        "import sys, pathlib; from mmlab.runs.record.run_files import mark; mark(pathlib.Path(sys.argv[1]))"
    )
    with run_lock(tmp_path / "r"):
        subprocess.run([sys.executable, "-c", code, tmp_path / "r"], check=True)
