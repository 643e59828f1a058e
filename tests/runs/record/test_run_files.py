import os
import socket
import subprocess
import sys

import pytest

from mmlab.runs import run_folder, start_step
from mmlab.runs.record.run_files import MARK, check_store, is_locked, is_own, mark, run_lock, unmark


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
