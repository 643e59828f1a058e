"""Every notebook has the anatomy that the README promises; no notebook is executed here."""

import ast
import re
import symtable
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

import mmlab

FOLDER = Path(mmlab.__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PARAMETER = re.compile(
    r"(?P<name>[a-z_]\w*): (?P<type>str|int|float|bool|list(\[\w+\])?) = (?P<value>.+?)  # (?P<help>.+)"
)
SECTIONS = ["## Check", "## Save", "## What we saw"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, as_version=4).cells


@pytest.fixture
def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture
def parameters(cells):
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [cells[1]]
    return [PARAMETER.fullmatch(line) for line in cells[1].source.splitlines()]


def test_the_six_notebooks_are_there():
    names = ["01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize"]
    assert [path.stem for path in NOTEBOOKS][:6] == names


def test_a_notebook_is_read_in_one_sitting(cells):
    assert 15 <= len(cells) <= 25


def test_the_title_says_what_is_read_written_and_next(cells, path):
    number, name = path.stem.split("_", 1)
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.splitlines()[0] == f"# {number} {name.replace('_', ' ').capitalize()}"
    for word in ("?", "**Reads**", "**Writes**", "**Next:**"):
        assert word in cells[0].source


def test_parameters_are_literals_with_type_and_help(parameters):
    assert all(parameters)
    for found in parameters:
        value = ast.literal_eval(found["value"])
        assert type(value).__name__ == found["type"].split("[")[0], found["name"]


def test_every_notebook_takes_name_and_seed(parameters):
    assert {"name", "seed"} <= {found["name"] for found in parameters}


def test_the_step_begins_under_the_name_of_its_notebook(code, path):
    assert f'step = begin_step("{path.stem}", globals())' in code[1].source.splitlines()


def test_name_is_the_name_of_the_run_throughout(code):
    for cell in code[1:]:
        symbols = symtable.symtable(cell.source, "cell", "exec").get_symbols()
        assert not [symbol for symbol in symbols if symbol.get_name() == "name" and symbol.is_assigned()]


def test_cells_after_the_set_up_are_short(code):
    lengths = [len(cell.source.splitlines()) for cell in code[2:]]
    assert all(1 <= length <= 13 for length in lengths), lengths
    assert sorted(lengths)[len(lengths) // 2] <= 10
    assert all(len(ast.parse(cell.source).body) <= 10 for cell in code[2:])


def test_nothing_is_defined_in_a_notebook(code):
    for cell in code:
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}


def test_imports_stand_in_one_cell(code):
    importing = [
        number
        for number, cell in enumerate(code)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(ast.parse(cell.source)))
    ]
    assert importing == [1]


def test_every_notebook_ends_in_the_same_way(cells):
    headings = [cell.source.splitlines()[0] for cell in cells if cell.cell_type == "markdown"]
    assert headings[-3:] == SECTIONS
    assert cells[-1].source in ("versions()", "table(versions())")
    assert cells[-2].source.startswith("step.finish(") or "\nstep.finish(" in cells[-2].source
    assert any(cell.source.startswith("step.check(") or "\nstep.check(" in cell.source for cell in cells)


def test_no_section_is_empty(cells):
    kinds = [(cell.cell_type, cell.source.startswith("#")) for cell in cells]
    assert (("markdown", True), ("markdown", True)) not in pairwise(kinds)


def test_outputs_are_stripped(code):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
