import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

import mmlab
from mmlab.cli import check_model, cli, main, split_parameters
from mmlab.runs import NOTEBOOKS

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
STEP = """\
from mmlab.runs import begin_step
step = begin_step("{name}", run=run, seed=seed{more})
step.write("{name}.txt").write_text("made")
step.finish("{name} with seed " + str(seed))"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own: the package by link, and six notebooks that do next to nothing."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    folder = tmp_path / "project"
    (folder / "notebooks").mkdir(parents=True)
    shutil.copytree(
        Path(mmlab.__file__).parent,
        folder / "mmlab",
        ignore=shutil.ignore_patterns("checkpoint", "__pycache__"),
    )
    for name in NOTEBOOKS:
        extra = {"01_ingest": "dataset", "02_embed": "models"}.get(name)
        kind = 'list = ["demo"]' if extra == "models" else 'str = "demo"'
        given = f'run: str = "demo"\nseed: int = 0\n{extra or "k"}: {kind}'
        more = f", {extra}={extra}" if extra else ""
        fail = (
            [new_code_cell("if seed == 13:\n    raise KeyError('bad luck')")] if name == "01_ingest" else []
        )
        cells = [
            new_code_cell(given, metadata={"tags": ["parameters"]}),
            *fail,
            new_code_cell(STEP.format(name=name, more=more)),
        ]
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), folder / "notebooks" / f"{name}.ipynb")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "captions.csv").write_text("image,caption\n")
    return folder


def mmlab_command(project, *arguments):
    return {
        "args": [sys.executable, "-m", "mmlab.cli", *arguments],
        "cwd": project.parent,
        "env": {**os.environ, "PYTHONPATH": str(project), "PYTHONSAFEPATH": "1"},
        "text": True,
    }


def run(project, *arguments):
    return subprocess.run(**mmlab_command(project, *arguments), capture_output=True, check=False)


def test_a_run_from_the_shell_ends_in_a_report(project, tmp_path):
    done = run(project, "run", "--dataset", "photos", "--name", "p", "-p", "seed=5")
    index = tmp_path / "data" / "runs" / "p" / "index.html"
    assert (done.returncode, done.stdout) == (0, f"Report: {index}\n")
    assert "06_visualize cell" in done.stderr
    html = index.read_text()
    assert str(tmp_path / "photos") in html
    assert "06_visualize with seed 5" in html
    failed = run(project, "run", "--dataset", "photos", "--name", "p", "-p", "seed=13")
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("mmlab: error: 01_ingest failed at cell 3")
    assert "KeyError: 'bad luck'" in last
    assert last.endswith("notebooks/01_ingest.ipynb")
    assert "Traceback" not in failed.stderr
    assert index.read_text() == html
    on = run(project, "run", "--name", "p", "--from", "06", "-p", "seed=13")
    assert on.returncode == 0
    assert "01_ingest with seed 5" in index.read_text()
    assert "06_visualize with seed 13" in index.read_text()


def test_ctrl_c_ends_with_130_and_one_line(project):
    slow = nbformat.read(project / "notebooks" / "02_embed.ipynb", as_version=4)
    slow.cells.append(
        new_code_cell("import time, pathlib\npathlib.Path(step.folder / 'asleep').touch()\ntime.sleep(60)")
    )
    nbformat.write(slow, project / "notebooks" / "02_embed.ipynb")
    asleep = project.parent / "data" / "runs" / "p" / "asleep"
    command = mmlab_command(project, "run", "--dataset", "photos", "--name", "p")
    with subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        for _ in range(300):
            if asleep.exists() or child.poll() is not None:
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert stderr.splitlines()[-1] == "mmlab: error: stopped; what is finished stays, go on with --from"
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("run --name p", "--dataset is missing: a folder of images, a table of captions, or hf://owner/name"),
        ("run --dataset photos", "Missing option '--name'"),
        ("run --dataset nowhere --name p", "or hf://owner/name; nothing is there"),
        ("run --dataset photos --name ../p", "a run's name is"),
        ("run --dataset photos --name p -p sed=1", "no notebook has a parameter 'sed'; did you mean seed?"),
        ("run --dataset photos --name p -p seed=x", "parameter seed is of type int, as in seed=0"),
        ("run --dataset photos --name p -p seed", "-p takes NAME=VALUE, as in -p k=5; found 'seed'"),
        ("run --dataset photos --name p -p run=q", "-p run=... is given by --name"),
        ("run --dataset photos --name p --model ./none", "--model ./none does not exist"),
        (
            "run --dataset photos --name p --model photos",
            "photos is no model folder: it holds no config.json",
        ),
        ("run --dataset photos --name p -p models=[]", "-p models=... is given by --model"),
        ("run --dataset photos --name p --from 9", "no notebook is called '9'; known: 01_ingest"),
        ("demo --products 3", "Invalid value for '--products'"),
        ("report nothing", "no run 'nothing'"),
        ("walk", "No such command 'walk'"),
    ],
)
def test_wrong_arguments_are_one_line_and_2(project, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmlab.__file__", str(project / "mmlab" / "__init__.py"))
    (tmp_path / "photos" / "notes.txt").touch()
    assert main(arguments.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mmlab: error: ")
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_the_report_is_written_again_from_the_files(project, tmp_path, capsys):
    (tmp_path / "data" / "runs" / "p").mkdir(parents=True)
    assert main(["report", "p"]) == 0
    assert capsys.readouterr().out == f"Report: {tmp_path / 'data' / 'runs' / 'p' / 'index.html'}\n"


@pytest.mark.parametrize("command", ["run", "demo", "report"])
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output


@pytest.mark.parametrize("model", ["demo", "openai/clip-vit-base-patch32", "gpt2"])
def test_hub_ids_are_taken_as_they_are(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_model(model) == model


def test_a_model_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "clip").mkdir(parents=True)
    (tmp_path / "models" / "clip" / "config.json").touch()
    assert check_model("models/clip") == check_model("./models/clip") == str(tmp_path / "models" / "clip")


def test_a_value_may_hold_an_equals_sign():
    assert split_parameters(["query=a=b", "k=5", "store="]) == {"query": "a=b", "k": "5", "store": ""}
