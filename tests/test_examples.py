"""The examples in the docstrings run, those of all rooms but the workbench, whose examples need a run."""

import doctest
import pkgutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab import items

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = [
    found.name
    for found in pkgutil.walk_packages(mmlab.__path__, "mmlab.")
    if not found.name.startswith("mmlab.workbench") and not found.name.endswith("__main__")
]


def examples_of(module):
    """The docstrings of a module that hold examples, with what an example may use beside the module's own names."""
    names = {"np": np, "pd": pd, **{name: getattr(items, name) for name in items.__all__}, **vars(module)}
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs=names)
    return [test for test in found if test.examples]


EXAMPLES = [pytest.param(test, id=test.name) for name in MODULES for test in examples_of(import_module(name))]


@pytest.mark.parametrize("test", EXAMPLES)
def test_an_example_runs(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    said = []
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_there_are_examples_in_every_room():
    rooms = {param.values[0].name.split(".")[1] for param in EXAMPLES}
    assert rooms >= {"embed", "evaluate", "index", "ingest", "items", "retrieve", "runs", "visualize"}
