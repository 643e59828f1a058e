"""The examples in the docstrings run, those of all rooms but the workbench, whose examples need a run."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab import items

PACKAGE = Path(mmlab.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = [  # found by their text: nothing heavy is imported to collect the tests
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8") and "workbench" not in path.parts
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    """An example may use the names of its module, those of items, np and pd."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    module = import_module(name)
    names = {"np": np, "pd": pd, **{name: getattr(items, name) for name in items.__all__}, **vars(module)}
    examples = [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]
    assert examples
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failures = []
    for example in examples:
        runner.run(example, out=failures.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(failures)


def test_there_are_examples_in_every_room():
    rooms = {name.split(".")[1] for name in MODULES}
    assert rooms >= {"demo", "embed", "evaluate", "index", "ingest", "items", "retrieve", "runs", "visualize"}
