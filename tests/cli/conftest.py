"""Fixtures of tests/cli: a project of its own, with notebooks that do next to nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

import mmlab
from mmlab.runs.record.run_files import NOTEBOOKS

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
STEP = """\
from mmlab.runs import begin_step
step = begin_step("{name}", globals())
step.write("{name}.txt").write_text(f"made with {{seed}}")
step.finish("{name} with seed " + str(seed))"""
FAIL = "if seed == 13:\n    raise ValueError('bad\\n\\x1b[31mluck')"  # as a caption could make it
EXTRA = {
    "01_ingest": "dataset: str = 'demo'",
    "02_embed": "models: list = ['demo']",
    "08_compare": "runs: list = []",
}


def write_notebook(folder, name):
    """A notebook of name, seed and one more parameter; the first one fails with seed 13."""
    extra = EXTRA.get(name, "k: str = 'demo'")
    fail = [new_code_cell(FAIL)] if name == "01_ingest" else []
    cells = [
        new_code_cell(f'name: str = "demo"\nseed: int = 0\n{extra}', metadata={"tags": ["parameters"]}),
        *fail,
        new_code_cell(STEP.format(name=name)),
    ]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), folder / f"{name}.ipynb")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own: a copy of the package, the six notebooks and the two beside them."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    folder = tmp_path / "project"
    (folder / "notebooks").mkdir(parents=True)
    package = shutil.copytree(
        Path(mmlab.__file__).parent, folder / "mmlab", ignore=shutil.ignore_patterns("checkpoint")
    )
    # the notebooks use no models, and loading them ahead takes 3 processor seconds each time
    with (package / "runs" / "execute" / "kernels.py").open("a") as file:
        file.write("\nAHEAD = {}\n")
    for name in (*NOTEBOOKS, "07_tune", "08_compare"):
        write_notebook(folder / "notebooks", name)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "captions.csv").write_text("image,caption\na.png,a red square\n")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "photos" / "a.png")
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """The project for commands in this process; the current folder is the one above it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmlab.__file__", str(project / "mmlab" / "__init__.py"))
    monkeypatch.setattr("mmlab.runs.execute.kernels.AHEAD", {})
    return project


@pytest.fixture
def command(project):
    """A function: the arguments of mmlab -> those of subprocess."""

    def make(*arguments):
        return {
            "args": [sys.executable, "-m", "mmlab", *arguments],
            "cwd": project.parent,
            "env": {**os.environ, "PYTHONPATH": str(project), "PYTHONSAFEPATH": "1"},
            "text": True,
        }

    return make


@pytest.fixture
def shell(command):
    """A function that runs mmlab in a process of its own."""
    return lambda *arguments: subprocess.run(**command(*arguments), capture_output=True, check=False)
