"""The examples of the docstrings run, on a real run; the notebook of one's own in README does too."""

import doctest
import re
import shutil
from pathlib import Path

import pytest

import mmlab
from mmlab import workbench

README = Path(mmlab.__file__).parents[1] / "README.md"
PUBLIC = [getattr(workbench, name) for name in workbench.__all__]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def names(demo_run, tmp_path, monkeypatch):
    """What the examples may use: a run, and an image file called dog.jpg in the working directory."""
    shutil.copy(demo_run.sample("image"), tmp_path / "dog.jpg")
    monkeypatch.chdir(tmp_path)
    return {"mmlab": mmlab, "run": demo_run, "Path": Path, "Result": workbench.Result}


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_the_examples_of_public_names_run(public, names):
    examples = [test for test in doctest.DocTestFinder().find(public, globs=dict(names)) if test.examples]
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    said = []
    for example in examples:
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_every_method_of_a_run_that_answers_has_an_example():
    for name in ("search", "sample", "rank", "evaluate", "calibrate", "vectors", "panel"):
        assert ">>> " in getattr(workbench.Run, name).__doc__, name


def test_the_notebook_of_ones_own_needs_one_import(names):
    [code] = re.findall(r"```python\n(import mmlab\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall(r"^(?:import|from) .*", code, re.MULTILINE) == ["import mmlab"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    scope: dict = {}
    exec(code, scope)  # noqa: S102 - our own README
    assert scope["run"].name == "demo"
    assert len(scope["hits"]) == 8
    assert scope["mine"].table["direction"].unique().tolist() == ["text-to-image"]
