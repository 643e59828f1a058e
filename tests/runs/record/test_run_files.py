import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record import run_files
from mmlab.runs.record.run_files import (
    MARK,
    MAX_FOREIGN_S,
    RunInUse,
    _boot,
    check_free,
    check_store,
    is_locked,
    is_own,
    mark,
    run_lock,
    unmark,
)


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
    assert not list(tmp_path.glob(f"{MARK}*"))


def test_marks_do_not_pile_up_and_the_next_process_removes_them(tmp_path):
    for number in range(7, 12):
        (tmp_path / f"{MARK}{number}").write_text(f"{socket.gethostname()} 12.0")
    mark(tmp_path)
    assert [path.name for path in tmp_path.glob(f"{MARK}*")] == [f"{MARK}{os.getpid()}"]
    unmark(tmp_path)
    assert not list(tmp_path.glob(f"{MARK}*"))


def test_what_a_killed_report_was_writing_is_removed_and_what_is_being_written_stays(tmp_path):
    """Reports are written without a mark."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getpid()):
        (tmp_path / f".index.html.{process}.1.html").touch()
    assert not is_locked(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".index.html.{os.getpid()}.1.html"]


def talking(code, folder):
    """A process that runs the code on a folder, and that can be read from and written to."""
    command = [sys.executable, "-c", code, folder]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


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
    with talking(code, tmp_path) as inside:
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
    with talking(code, tmp_path) as parent:
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
    with pytest.raises(RunInUse, match=f"pid {other.pid}"):
        check_free(tmp_path / "r")
    check_free(tmp_path / "r", alone=False)


def test_the_kernels_of_a_run_work_in_its_folder(tmp_path):
    code = (
        "import sys, pathlib; from mmlab.runs.record.run_files import mark; mark(pathlib.Path(sys.argv[1]))"
    )
    with run_lock(tmp_path / "r"):
        subprocess.run([sys.executable, "-c", code, tmp_path / "r"], check=True)


def test_a_store_that_the_user_named_once_is_known(data_folder):
    url = "http://127.0.0.1:1"
    start_step("04_retrieve", "r", store="")
    with pytest.raises(
        ValueError, match=rf"manifest alone names the store {url}.* --name r --from 04 -p store="
    ):
        check_store("r", url)
    start_step("04_retrieve", "r", store=f"{url}/")
    start_step("04_retrieve", "other", store=url)
    assert check_store("r", url) == url and check_store("r", f"{url}/") == f"{url}/"
    assert check_store("r", "") == ""
    assert (data_folder / "stores.txt").read_text() == f"{url}\n"
    with pytest.raises(ValueError, match="names the store http://127.0.0.1:12,"):
        check_store("r", "http://127.0.0.1:12")


def test_a_file_of_a_run_lies_in_its_folder_links_resolved(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / "r" / "link").symlink_to(tmp_path / "b")
    names = ("a", "link", "../b", "../r/a")
    assert [is_own(tmp_path / "r" / name, tmp_path / "r") for name in names] == [True, False, False, True]


def test_a_process_that_is_ending_is_described(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        mark_file = tmp_path / f"{run_files.MARK}{process.pid}"
        mark_file.write_text(f"{socket.gethostname()} 0 boot=x")
        assert run_files._describe(mark_file).startswith(
            f"pid {process.pid}, 'a process that is ending', since "
        )
