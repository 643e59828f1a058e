"""The examples of the docstrings run, on a real run; the notebook of one's own in README does too."""

import doctest
import inspect
import pkgutil
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest

import mmlab
from mmlab import workbench
from mmlab.items.files import copy_folder
from mmlab.runs import start_step
from mmlab.workbench.result import Report
from mmlab.workbench.run_data import RunData

README = Path(mmlab.__file__).parents[1] / "README.md"
FILES = [found.name for found in pkgutil.iter_modules(workbench.__path__)]
MODULES = {name: import_module(f"mmlab.workbench.{name}") for name in FILES}
REPORTS = [
    one
    for module in MODULES.values()
    for one in vars(module).values()
    if inspect.isclass(one) and one.__module__ == module.__name__ and issubclass(one, Report)
]
ANSWERING = (workbench.Run, RunData, workbench.Result, *REPORTS)
TUNING = "tuning_report"  # a study of its own
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(scope="module")
def runs(demo_copy):
    """Two runs, `demo` and a copy of it called `graph`, in a data folder of their own; the first is returned."""
    copy_folder(demo_copy, demo_copy.parent / "graph")
    return mmlab.open_run("demo")


@pytest.fixture
def names(runs, tmp_path, monkeypatch):
    """What the examples may use: the run, a step that writes, and an image dog.jpg in the working directory."""
    shutil.copy(runs.sample("image"), tmp_path / "dog.jpg")
    monkeypatch.chdir(tmp_path)
    step = start_step("example", "written")
    return {"mmlab": mmlab, "run": runs, "step": step, "Path": Path, "Result": workbench.Result}


def _first_line(test):
    """Return a line of the docstring as the file has it: since Python 3.13 the others lose their indentation."""
    return test.docstring.strip().splitlines()[0]


@pytest.mark.parametrize(
    "file", [pytest.param(name, marks=[pytest.mark.slow] * (name == TUNING)) for name in FILES]
)
def test_the_examples_of_a_file_run(file, names):
    """The example of a class comes first, and those of its methods go on with what it made."""
    scope, source = {**vars(MODULES[file]), **names}, inspect.getsource(MODULES[file])
    examples = [test for test in doctest.DocTestFinder().find(MODULES[file]) if test.examples]
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    said = []
    for example in sorted(examples, key=lambda test: source.index(_first_line(test))):
        example.globs = scope
        runner.run(example, out=said.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("public", ANSWERING, ids=lambda public: public.__name__)
def test_every_method_of_an_answer_has_an_example(public):
    methods = {name: one for name, one in vars(public).items() if inspect.isfunction(one) and name[0] != "_"}
    assert [name for name, one in methods.items() if ">>> " not in (one.__doc__ or "")] == []


@pytest.mark.parametrize("public", REPORTS, ids=lambda public: public.__name__)
def test_every_answer_shows_how_it_is_made(public):
    assert ">>> " in (public.__doc__ or "")


def test_no_example_is_skipped_but_those_of_an_extra():
    skipped = [
        line.strip()
        for module in MODULES.values()
        for line in inspect.getsource(module).splitlines()
        if "doctest: +SKIP" in line
    ]
    assert [line for line in skipped if ".atlas()" not in line] == []


def test_the_notebook_of_ones_own_needs_one_import(names):
    [code] = re.findall(r"```python\n(import mmlab\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall(r"^(?:import|from) .*", code, re.MULTILINE) == ["import mmlab"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    scope: dict = {}
    exec(code, scope)  # noqa: S102 - our own README
    assert scope["run"].name == "demo"
    assert len(scope["hits"]) == 8
    assert scope["mine"].table["direction"].unique().tolist() == ["text-to-image"]
