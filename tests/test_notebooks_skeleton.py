"""Every notebook has the anatomy that the README promises; no notebook is executed here."""

import ast
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

import mmlab
from mmlab.ingest import Rules
from mmlab.retrieve import RetrievalConfig

FOLDER = Path(mmlab.__file__).parents[1] / "notebooks"
SIX = ["01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize"]
NOTEBOOKS = [FOLDER / f"{name}.ipynb" for name in (*SIX, "07_tune", "08_compare", "09_fusion", "10_scores")]
PARAMETER = re.compile(
    r"(?P<name>[a-z_]\w*): (?P<type>str|int|float|bool|list(\[\w+\])?) = (?P<value>.+?)  # (?P<help>.+)"
)
SECTIONS = ["## Check", "## Save", "## What we saw"]
MAX_LINES, MEDIAN_LINES = 10, 3
# what a run takes from its parameters by name
TAKEN = {
    node.value
    for path in (FOLDER.parent / "mmlab" / "workbench").glob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
} | {field.name for field in fields(RetrievalConfig)}
MAX_IMPORTED_NAMES = 20


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


def test_the_first_notebook_asks_in_three_lines():
    text, code = nbformat.read(FOLDER / "00_ask.ipynb", as_version=4).cells
    assert text.source.startswith("# 00 Ask\n")
    assert [line for line in code.source.splitlines() if line] == [
        "import mmlab",
        'run = mmlab.open_run("demo")',
        "run.panel()",
    ]
    assert code.outputs == []


def test_a_notebook_is_read_in_one_sitting(cells):
    assert 15 <= len(cells) <= 44


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


def test_every_notebook_takes_a_name_and_a_seed(parameters):
    assert {"name", "seed"} <= {found["name"] for found in parameters}


def test_the_step_begins_with_the_notebooks_own_name_and_its_namespace(code, path):
    assert f'step = mmlab.begin_step("{path.stem}", globals())' in code[1].source.splitlines()


def test_no_parameter_is_typed_twice(code, parameters):
    for cell in code[1:]:
        echoed = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assign)]
        targets = {target.id for node in echoed for target in node.targets if isinstance(target, ast.Name)}
        assert not targets & {found["name"] for found in parameters}


def test_no_parameter_is_lost(code, parameters):
    """Each is used by its name in a cell, or by the run, which takes it from the step."""
    nodes = [node for cell in code[1:] for node in ast.walk(ast.parse(cell.source))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert "run" in used
    taken = TAKEN | ({field.name for field in fields(Rules)} if "Rules" in used else set())
    assert {found["name"] for found in parameters} - used - taken <= {"name"}


def test_cells_are_short(code):
    lengths = [len(cell.source.splitlines()) for cell in code[1:]]
    assert all(1 <= length <= MAX_LINES for length in lengths), lengths
    assert sorted(lengths)[len(lengths) // 2] <= MEDIAN_LINES


def test_a_name_keeps_its_meaning(code):
    """No name is assigned in two cells."""
    assigned = [
        target.id
        for cell in code[1:]
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert len(assigned) == len(set(assigned))


def test_nothing_is_defined_in_a_notebook(code):
    for cell in code:
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.Lambda,
            ast.For,
            ast.While,
        }


def test_imports_stand_in_one_cell_and_are_few(code):
    importing = [
        (number, node)
        for number, cell in enumerate(code)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert {number for number, _ in importing} == {1}
    assert sum(len(node.names) for _, node in importing) <= MAX_IMPORTED_NAMES


def test_every_notebook_ends_in_the_same_way(cells):
    headings = [cell.source.splitlines()[0] for cell in cells if cell.cell_type == "markdown"]
    assert headings[-3:] == SECTIONS
    assert cells[-1].source == "step.versions()"
    assert cells[-2].source.startswith("step.finish(")
    assert any(cell.source.startswith("step.check(") for cell in cells)


def test_no_heading_stands_alone(cells):
    kinds = [(cell.cell_type, cell.source.startswith("#")) for cell in cells]
    assert (("markdown", True), ("markdown", True)) not in pairwise(kinds)


def test_outputs_are_stripped(code):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
