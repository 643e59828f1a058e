"""Fixtures of tests/runs: a data folder of its own, and tiny real notebooks."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def nothing_ahead(monkeypatch):
    """Kernels load no models ahead: these notebooks use none, and it takes 3 processor seconds each time."""
    monkeypatch.setattr("mmlab.runs.execute.kernels.AHEAD", {})


@pytest.fixture
def make_notebook(tmp_path):
    """A function that writes a notebook of a title, a parameters cell and the given code cells."""

    def make(name, parameters, *code):
        cells = [
            new_markdown_cell(f"# {name}"),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            new_markdown_cell("## Work"),
            *map(new_code_cell, code),
        ]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
        return path

    return make
