"""A run done twice is the same run: by papermill alone, after Ctrl-C, and by `mmlab verify`."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmlab.cli import main
from mmlab.items import read_items, write_items
from mmlab.items.files import file_hash
from mmlab.runs import find_notebooks, read_manifest, run_folder
from mmlab.runs.record.run_files import MANIFEST
from mmlab.runs.report.html_report import write_single_file
from tests.bench.kills import differing, kill_often, left_behind

pytestmark = pytest.mark.slow

WORDS = ("--name", "stopped", "--from", "03", "-p", "sample=60")  # as the shared run


@pytest.fixture(scope="module", autouse=True)
def data_folder(demo_copy: Path) -> Path:
    """The data folder of this module, which holds the run `demo`, left alone until now."""
    return demo_copy.parents[1]


def hashes(run: str, *steps: str) -> dict[str, str]:
    """What the manifest says of the files that these steps wrote."""
    records = read_manifest(run)["steps"]
    return {file: found for step in steps for file, found in records[step]["writes"].items()}


def mmlab(*words: str) -> list[str]:
    return [sys.executable, "-m", "mmlab", *words]


def wait_for(path: Path, child: subprocess.Popen) -> None:
    until = time.monotonic() + 300
    while not path.exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert path.exists()


def test_a_real_run_fits_one_file_to_send() -> None:
    """Before a notebook is run by hand, whose page is then left out."""
    single = write_single_file("demo")
    assert 1_000_000 < single.stat().st_size < 15_000_000
    html = single.read_text(encoding="utf-8")
    assert "Left out, so that" not in html
    assert all(f'id="page-{notebook.stem}"' in html for notebook in find_notebooks())


def test_papermill_alone_writes_the_same_files_as_mmlab_run(tmp_path: Path) -> None:
    before, finished = (
        hashes("demo", "05_evaluate"),
        read_manifest("demo")["steps"]["05_evaluate"]["finished"],
    )
    notebook = find_notebooks()[4]
    command = [sys.executable, "-m", "papermill", notebook, tmp_path / notebook.name, "-p", "name", "demo"]
    subprocess.run(command, check=True, capture_output=True)
    assert read_manifest("demo")["steps"]["05_evaluate"]["finished"] > finished
    assert len(before) > 10
    assert hashes("demo", "05_evaluate") == before


def begin_of_demo(name: str, count: int) -> Path:
    """The folder of a run that stopped after so many notebooks, with what they wrote for `demo`."""
    manifest = read_manifest("demo")
    manifest["steps"] = dict(list(manifest["steps"].items())[:count])
    folder = run_folder(name)
    for file in [file for record in manifest["steps"].values() for file in record["writes"]]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run_folder("demo") / file, folder / file)
    for record in manifest["steps"].values():
        del record["copy"]
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_a_run_holds_and_holding_it_leaves_nothing_behind(data_folder: Path, capsys) -> None:
    """Of 01 and 02; of 04 and 05 the test of Ctrl-C says the same, by the hashes of what they wrote."""
    begin_of_demo("begun", 2)
    before = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*") if path.is_file()}
    assert main(["verify", "begun"]) == 0
    assert capsys.readouterr().out.startswith(
        "begun holds: the same items, vectors, rankings, measures and figures"
    )
    assert {path: path.stat().st_mtime_ns for path in data_folder.rglob("*") if path.is_file()} == before
    assert not list(data_folder.glob("verify-*"))


def test_what_differs_is_told(data_folder: Path, capsys) -> None:
    folder = begin_of_demo("half", 1)
    items = read_items(folder / "items.parquet")
    text = items["modality"].eq("text").idxmax()
    items.loc[text, "text"] = "another text than was read"
    write_items(items, folder / "items.parquet")
    assert main(["verify", "half"]) == 1
    assert "nothing was run again" in capsys.readouterr().err
    manifest = read_manifest("half")
    manifest["steps"]["01_ingest"]["writes"]["items.parquet"] = file_hash(folder / "items.parquet")
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert main(["verify", "half"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == [
        "items.parquet",
        "items",
        "with",
        "another",
        "text",
        "0",
        "1",
    ]
    assert "half does not hold: 1 differences; the second run is " in shown.err
    (kept,) = data_folder.glob("verify-*")
    assert str(kept) in shown.err


def test_after_ctrl_c_and_three_kills_the_rest_of_a_run_ends_in_the_same_report() -> None:
    """Kills at random moments, with all kernels; 30 of them, from 01 on, in `make bench ONLY=kills`."""
    begin_of_demo("stopped", 2)
    started = mmlab("run", *WORDS)
    with subprocess.Popen(started, stderr=subprocess.PIPE, text=True) as child:
        wait_for(run_folder("stopped") / "store", child)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    told, _, command = stderr.splitlines()[-1].partition("go on with: ")
    assert told == "mmlab: error: stopped in 03_index; what is finished stays, "
    assert list(read_manifest("stopped")["steps"]) == ["01_ingest", "02_embed"]
    words = shlex.split(command)
    assert words[:6] == ["mmlab", "run", "--name", "stopped", "--from", "03"]
    kill_often(mmlab(*words[1:]), 3, seconds=8)
    assert main(words[1:]) == 0
    steps = ("04_retrieve", "05_evaluate")
    assert hashes("stopped", *steps) == hashes("demo", *steps)
    assert measures("stopped") == measures("demo")
    assert differing(run_folder("demo"), run_folder("stopped")) == []
    assert left_behind(run_folder("stopped")) == []


def measures(run: str) -> str:
    """The part of the report that holds the measures."""
    html = (run_folder(run) / "index.html").read_text(encoding="utf-8")
    return html.partition('<h2 id="measures">')[2].partition("<h2")[0]
