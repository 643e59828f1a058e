"""Run tests in a process that is forked from one which has loaded the heavy libraries: half a second, not six."""

import os
import signal
import sys
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

LOADED = (
    "hypothesis", "matplotlib.pyplot", "nbformat", "pandas", "pyarrow.parquet", "pytest",
    "qdrant_client", "qdrant_edge", "scipy.optimize", "scipy.special", "scipy.stats", "sklearn.isotonic",
    "sklearn.linear_model", "torch",
)  # fmt: skip
LOG = "tests.log"  # what they print


def run_forked(folder: Path, tests: tuple[str, ...], limit: float, *, write_bytecode: bool = False) -> str:
    """Run tests of the project in `folder`; return survived if all pass, killed if one fails, or timeout."""
    for name in LOADED:
        import_module(name)
    child = get_context("fork").Process(target=_run, args=(folder, tests, write_bytecode))
    child.start()
    child.join(limit)
    if child.exitcode is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
        return "timeout"
    return "killed" if child.exitcode else "survived"


def _run(folder: Path, tests: tuple[str, ...], write_bytecode: bool) -> None:
    """Leave all that was imported of the project behind, and run the tests of the one in `folder`."""
    import pytest

    os.setsid()
    os.chdir(folder)
    with open(LOG, "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for name in list(sys.modules):
        if name.split(".")[0] in ("mmlab", "tests"):
            del sys.modules[name]
    sys.modules["__main__"] = import_module("pytest.__main__")  # what processes that a test spawns import
    sys.path.insert(0, str(folder))
    os.environ |= {"PYTHONPATH": str(folder), "MMLAB_DATA": str(folder / "data")}
    if not write_bytecode:  # nobody shall find a changed module's later
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))
