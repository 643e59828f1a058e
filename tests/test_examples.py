"""The examples in docstrings do what they say."""

import doctest
import importlib
import pkgutil

import pytest

import mmlab

NEED_A_RUN = "mmlab.workbench."  # see tests/workbench/test_examples.py
MODULES = [
    module.name
    for module in pkgutil.walk_packages(mmlab.__path__, "mmlab.")
    if not (module.ispkg or module.name.endswith("__main__") or module.name.startswith(NEED_A_RUN))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0
