import re
import signal
import subprocess
import sys
import time
from datetime import date

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from mmlab.cli import main
from mmlab.runs import read_manifest, run_notebooks, start_step
from mmlab.runs.record.run_files import RunInUse


@pytest.mark.slow
def test_a_run_from_the_shell_ends_in_a_report(shell, here, tmp_path, capsys):
    done = shell("run", "--dataset", "photos", "--name", "p", "-p", "seed=5")
    index = tmp_path / "data" / "runs" / "p" / "index.html"
    verdict = "Nothing could be measured: 05_evaluate says why, and what to judge by."
    assert (done.returncode, done.stdout) == (0, f"{verdict}\nReport: {index}\n")
    assert "06_visualize cell" in done.stderr
    html = index.read_text()
    assert str(tmp_path / "photos") in html
    assert "06_visualize with seed 5" in html
    assert '<a href="p/index.html">p</a>' in (index.parents[1] / "index.html").read_text()
    assert main(["run", "--dataset", "photos", "--name", "p", "-p", "seed=13"]) == 1
    failed = capsys.readouterr().err
    last = failed.splitlines()[-1]
    assert last.startswith("mmlab: error: 01_ingest failed at cell 3")
    assert "ValueError: bad luck" in last
    again = f"mmlab run --name p --from 01 -p seed=13 --dataset {tmp_path / 'photos'}"
    assert last.endswith(f"notebooks/01_ingest.ipynb; go on with: {again}")
    assert "Traceback" not in failed
    assert index.read_text() == html
    assert main(["run", "--name", "p", "--from", "06", "-p", "seed=13"]) == 0
    assert "01_ingest with seed 5" in index.read_text()
    assert "06_visualize with seed 13" in index.read_text()


def test_going_on_with_a_run_that_is_not_there_or_not_so_far_is_refused(here, capsys):
    assert main(["run", "--name", "none", "--from", "03"]) == 2
    assert "there is no run 'none' to go on with; mmlab list shows" in capsys.readouterr().err
    start_step("01_ingest", "half").finish("")
    assert main(["run", "--name", "half", "--from", "04"]) == 2
    assert "run 'half': 02_embed, which comes before, has not finished: go on with --from 02" in (
        capsys.readouterr().err
    )


def test_ctrl_c_ends_with_130_and_one_line(project, command):
    path = project / "notebooks" / "02_embed.ipynb"
    slow = nbformat.read(path, as_version=4)
    slow.cells.append(
        new_code_cell("import time, pathlib\npathlib.Path(step.folder / 'asleep').touch()\ntime.sleep(60)")
    )
    nbformat.write(slow, path)
    asleep = project.parent / "data" / "runs" / "p" / "asleep"
    started = command("run", "--dataset", "photos", "--name", "p")
    with subprocess.Popen(**started, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        for _ in range(300):
            if asleep.exists() or child.poll() is not None:
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert stderr.splitlines()[-1] == (
        "mmlab: error: stopped in 02_embed; what is finished stays, go on with: mmlab run --name p --from 02"
    )
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --name p", "--dataset is missing: a folder of images, a table of captions, or hf://owner/name"),
        ("run --dataset photos", "Missing option '--name'"),
        (
            "run --dataset nowhere --name p",
            "nowhere does not exist; expected a folder of images, a table",
        ),
        ("run --dataset photos --name ../p", "parameter name: expected 1 to 100 letters"),
        ("run --dataset photos --name p -p sed=1", "no notebook has a parameter 'sed'; did you mean seed?"),
        (
            "run --dataset photos --name p -p seed=x",
            "parameter seed: expected a whole number from 0 to 4,294,967,295",
        ),
        ("run --dataset photos --name p -p seed", "-p takes NAME=VALUE, as in -p k=5; found 'seed'"),
        ("run --dataset photos --name p -p name=q", "-p name=... is given by --name"),
        ("run --dataset photos --name p --qrels a -p qrels=b", "-p qrels=... is given twice: by --qrels too"),
        ("run --dataset photos --name p --model ./none", "model ./none does not exist"),
        (
            "run --dataset photos --name p --model photos",
            "photos is not the folder of a model: it holds no config.json",
        ),
        ("run --dataset photos --name p -p models=[]", "-p models=... is given by --model"),
        ("run --dataset photos --name p --from 9", "no notebook is called '9'; known: 01_ingest"),
        ("demo --products 3", "Invalid value for '--products'"),
        ("report nothing", "no run 'nothing'"),
        ("report", "expected either the NAME of a run or --all"),
        ("sweep nothing.yaml", "no sweep file nothing.yaml"),
        ("compare a", "expected two runs or more"),
        ("compare a b --name a", "a is one of the runs compared; give the comparison another --name"),
        ("compare a b", "run 'a': no notebook has finished in"),
        ("tune a", "run 'a': no notebook has finished in"),
        ("study tune a", "run 'a': no notebook has finished in"),
        ("study nothing a", "no study is called 'nothing'; known: tune"),
        ("study compare a", "no study is called 'compare'; known: tune"),
        ("study tune", "Missing argument 'RUN'"),
        ("verify a", "run 'a': no notebook has finished in"),
        ("clean a", "there is no run 'a'; mmlab list shows those that are there"),
        ("parameters 9", "no notebook is called '9'; known: 01_ingest"),
        ("run --dataset photos --name index.html", "not ending in .html"),
        ("inspect photos -p dataset=a", "-p dataset=... is given by the command itself: leave it out"),
        ("demo -p models=[]", "-p models=... is given by the command itself"),
        (
            "demo --products 1000000",
            "Invalid value for '--products': expected a whole number from 50 to 100,000",
        ),
        (
            "sweep a.yaml --jobs 0",
            "Invalid value for '--jobs': expected a whole number from 1 to 256, found 0",
        ),
        (
            "ask a mug -k 1.5",
            "Invalid value for '-k': expected a whole number from 1 to 100,000, found '1.5'",
        ),
        (
            "verify a --tolerance nan",
            "Invalid value for '--tolerance': expected a number from 0 to 1, found nan",
        ),
        (
            "verify a --tolerance -1",
            "Invalid value for '--tolerance': expected a number from 0 to 1, found -1",
        ),
        ("run --dataset photos --name p -p seed=1 -p seed=2", "-p seed=... is given twice"),
        ("walk", "No such command 'walk'"),
    ],
)
def test_wrong_arguments_are_one_line_and_2(here, tmp_path, capsys, arguments, message):
    from mmlab.cli import main

    (tmp_path / "photos" / "notes.txt").touch()
    assert main(arguments.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mmlab: error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--dataset", "", "--name", "p"],
            "parameter dataset: expected a folder, a table or hf://owner/name",
        ),
        (
            ["run", "--dataset", "photos", "--name", "p", "--model", ""],
            "parameter models: expected a list of 1 to 20",
        ),
        (["run", "--dataset", "photos", "--name", ""], "parameter name: expected 1 to 100 letters"),
        (["inspect", ""], "parameter dataset: expected a folder"),
        (["sweep", ""], "expected a path, found an empty text"),
        (["init", ""], "expected a path, found an empty text"),
        (["export", "p", "--out", ""], "expected a path, found an empty text"),
        (["ask", "p", "--image", ""], "expected a path, found an empty text"),
        (["push", "p", "--to", ""], "--to is the URL of a Qdrant server"),
        (["compare", "a", "b", "--name", ""], "parameter name: expected 1 to 100 letters"),
        (["report", ""], "parameter name: expected 1 to 100 letters"),
        (["clean", ""], "parameter name: expected 1 to 100 letters"),
        (["lab", ""], "parameter name: expected 1 to 100 letters"),
        (["study", "", "p"], "no study is called ''"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_an_empty_text_never_stands_for_the_current_folder(here, tmp_path, capsys, arguments, message):
    """As of a variable of the shell that is not set: mmlab run --dataset "$DATA"."""
    (tmp_path / "captions.csv").write_text(
        "image,caption\nphotos/a.png,a red square\n"
    )  # it would be a dataset
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "notebooks").exists()


def test_what_the_dataset_lacks_is_said_before_anything_runs(here, tmp_path, capsys):
    (tmp_path / "photos" / "captions.csv").write_text("image,caption,split\na.png,a red square,test\n")
    path = here / "notebooks" / "05_evaluate.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += '\nsplit: str = "auto"\ngroup_by: str = "label"'
    nbformat.write(notebook, path)
    run = "run --dataset photos --name p -p"
    assert main([*run.split(), "split=tset"]) == 2
    assert "expected auto, all or a split of the dataset (test), found 'tset'" in capsys.readouterr().err
    assert main([*run.split(), "group_by=colour"]) == 2
    assert "parameter group_by: expected a column of the dataset, found 'colour'" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert main([*run.split(), "split=TEST", "-p", "group_by=label"]) == 0


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
    states = [(names[0], "finished"), (names[2], "finished"), (names[1], "failed in 01_ingest")]
    for line, (name, state) in zip(shown.out.splitlines()[1:4], states, strict=True):
        assert line.startswith(f"{name} ")
        assert line.endswith(f"  {state}")
    failed, last = shown.err.splitlines()[-2:]
    assert failed.startswith("failed: try-seed-13: 01_ingest failed at cell 3")
    assert "ValueError: bad luck; executed copy: " in failed
    assert last == "mmlab: error: 1 of 3 runs failed"
    assert read_manifest(names[2])["steps"]["02_embed"]["shared_from"] == names[0]
    assert "shared_from" not in read_manifest(names[2])["steps"]["03_index"]
    assert "done in run try-seed-5" in (tmp_path / "data" / "runs" / names[2] / "index.html").read_text()


@pytest.mark.slow
def test_ctrl_c_leaves_what_resume_goes_on_from(here, command, tmp_path):
    (tmp_path / "try.yaml").write_text("parameters: {dataset: photos}\ngrid: {k: [a, b]}\n")
    path = here / "notebooks" / "04_retrieve.ipynb"
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
    assert re.search(
        r"^mmlab: error: stopped; .* go on with: mmlab sweep try.yaml --resume$", stderr, re.MULTILINE
    )
    assert "Traceback" not in stderr
    before = {name: (runs / f"try-k-{name}" / "manifest.json").read_text() for name in "ab"}
    path.write_text(quick)
    assert main(["sweep", "try.yaml", "--resume", "--jobs", "1"]) == 0
    for name in "ab":
        steps = read_manifest(f"try-k-{name}")["steps"]
        assert len(steps) == 6
        assert steps["02_embed"]["finished"] in before[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {k: [a, b]}", "dataset is missing; give it under parameters"),
        ("parameters: {dataset: photos}\ngrid:\n  sed: [1]", "line 3: no notebook has a parameter 'sed'"),
        ("parameters: {dataset: nowhere}\ngrid: {k: [a]}", "line 1: dataset"),
    ],
)
def test_everything_is_checked_before_anything_runs(here, tmp_path, capsys, text, message):
    (tmp_path / "try.yaml").write_text(text)
    assert main(["sweep", "try.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments", [("run", "--dataset", "photos", "--name", "p"), ("demo", "--name", "p", "--products", "50")]
)
def test_a_second_run_of_one_name_is_refused_while_the_first_is_at_work(here, tmp_path, capsys, arguments):
    folder = tmp_path / "data" / "runs" / "p"
    code = f"""
import time, pathlib
from mmlab.runs.record.run_files import run_lock
with run_lock(pathlib.Path({str(folder)!r})):
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        first.stdout.readline()
        assert main(arguments) == 2
        with pytest.raises(RunInUse):
            run_notebooks("p", {}, progress=False)
        first.kill()
    error = capsys.readouterr().err
    assert f"mmlab: error: run p is in use by pid {first.pid}, " in error
    assert f"{sys.executable} -c" in error
    assert f"since {date.today():%Y-%m-%d}" in error
    assert not (folder / "notebooks").exists()
    assert not (tmp_path / "data" / "demo").exists()
