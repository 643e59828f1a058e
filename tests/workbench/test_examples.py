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
from mmlab.workbench.failure_report import FailureReport

README = Path(mmlab.__file__).parents[1] / "README.md"
FILES = [found.name for found in pkgutil.iter_modules(workbench.__path__)]
ANSWERING = (workbench.Run, workbench.Evaluation, FailureReport)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def names(demo_run, tmp_path, monkeypatch):
    """What the examples may use: a run, and an image file called dog.jpg in the working directory."""
    shutil.copy(demo_run.sample("image"), tmp_path / "dog.jpg")
    monkeypatch.chdir(tmp_path)
    return {"mmlab": mmlab, "run": demo_run, "Path": Path, "Result": workbench.Result}


@pytest.mark.parametrize("file", FILES)
def test_the_examples_of_a_file_run(file, names):
    module = import_module(f"mmlab.workbench.{file}")
    examples = [test for test in doctest.DocTestFinder().find(module, globs=dict(names)) if test.examples]
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    said = []
    for example in examples:
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("public", ANSWERING, ids=lambda public: public.__name__)
def test_every_method_that_answers_has_an_example(public):
    methods = {name: one for name, one in vars(public).items() if inspect.isfunction(one) and name[0] != "_"}
    without = [name for name, one in methods.items() if ">>> " not in (one.__doc__ or "")]
    assert without == [name for name in methods if name == "write"]


def test_the_notebook_of_ones_own_needs_one_import(names):
    [code] = re.findall(r"```python\n(import mmlab\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall(r"^(?:import|from) .*", code, re.MULTILINE) == ["import mmlab"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    scope: dict = {}
    exec(code, scope)  # noqa: S102 - our own README
    assert scope["run"].name == "demo"
    assert len(scope["hits"]) == 8
    assert scope["mine"].table["direction"].unique().tolist() == ["text-to-image"]
