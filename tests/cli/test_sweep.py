import re
import signal
import subprocess
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from mmlab.cli import main
from mmlab.runs import read_manifest

SWEEP = "parameters: {dataset: photos}\nsets:\n- {seed: 5}\n- {seed: 13}\n- {seed: 5, k: other}\n"


@pytest.fixture
def file(here, tmp_path):
    path = tmp_path / "Try.yaml"
    path.write_text(SWEEP)
    return path


def test_one_failure_does_not_stop_the_rest_and_is_told_at_the_end(file, tmp_path, capsys):
    assert main(["sweep", str(file), "--jobs", "1"]) == 1
    shown = capsys.readouterr()
    assert "3 runs: 16 steps, 2 more are shared" in shown.err
    names = ["try-seed-5", "try-seed-13", "try-seed-5-k-other"]
    rows = [line.split(maxsplit=2) for line in shown.out.splitlines()[1:4]]
    assert [(row[0], row[-1]) for row in rows] == [
        (names[0], "finished"), (names[1], "failed in 01_ingest"), (names[2], "finished")
    ]  # fmt: skip
    failed, last = shown.err.splitlines()[-2:]
    assert failed.startswith("failed: try-seed-13: 01_ingest failed at cell 3")
    assert "ValueError: bad luck; executed copy: " in failed
    assert last == "mmlab: error: 1 of 3 runs failed"
    assert read_manifest(names[2])["steps"]["02_embed"]["shared_from"] == names[0]
    assert "shared_from" not in read_manifest(names[2])["steps"]["03_index"]
    assert "done in run try-seed-5" in (tmp_path / "data" / "runs" / names[2] / "index.html").read_text()


def test_ctrl_c_leaves_what_resume_goes_on_from(project, command, shell, tmp_path):
    (tmp_path / "try.yaml").write_text("parameters: {dataset: photos}\ngrid: {k: [a, b]}\n")
    path = project / "notebooks" / "04_retrieve.ipynb"
    quick = path.read_text()
    slow = nbformat.read(path, as_version=4)
    slow.cells.append(
        new_code_cell("import time, pathlib\npathlib.Path(step.folder / 'asleep').touch()\ntime.sleep(60)")
    )
    nbformat.write(slow, path)
    runs = tmp_path / "data" / "runs"
    started = command("sweep", "try.yaml", "--jobs", "1")
    with subprocess.Popen(**started, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        for _ in range(300):
            if list(runs.glob("*/asleep")) or child.poll() is not None:
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert re.search(r"^mmlab: error: stopped; what is finished stays", stderr, re.MULTILINE)
    assert "Traceback" not in stderr
    before = {name: (runs / f"try-k-{name}" / "manifest.json").read_text() for name in "ab"}
    path.write_text(quick)
    done = shell("sweep", "try.yaml", "--resume", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    for name in "ab":
        steps = read_manifest(f"try-k-{name}")["steps"]
        assert len(steps) == 6
        assert steps["02_embed"]["finished"] in before[name]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grid: {k: [a, b]}", "dataset is missing; give it under parameters"),
        ("parameters: {dataset: photos}\ngrid:\n  sed: [1]", "line 3: no notebook has a parameter 'sed'"),
        ("parameters: {dataset: nowhere}\ngrid: {k: [a]}", "line 1: dataset"),
    ],
)
def test_everything_is_checked_before_anything_runs(here, tmp_path, capsys, text, told):
    (tmp_path / "try.yaml").write_text(text)
    assert main(["sweep", "try.yaml"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
