"""Run a run again from its manifest, in an empty data folder, and hold its numbers against those that are there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from mmlab.items import data
from mmlab.runs.differences import find_differences
from mmlab.runs.execute import NOTEBOOKS, find_notebooks, run_notebooks
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.report.summary import given_parameters
from mmlab.runs.working import at_work

NUMBERS = NOTEBOOKS[:5]  # what 06 makes of them is to be looked at


def verify_run(run: str, tolerance: float = 1e-5, progress: bool = True) -> tuple[pd.DataFrame, Path]:
    """The differences (file, what, before, after) between the run and a second one, and the second one's folder.

    The second run, of 01 to 05, has the first one's parameters and begins with empty caches. Its index is built in
    its own folder, never on the server that the first one may have used: exact search answers the same from both.
    Its folder is removed where nothing differs by more than `tolerance`, and on Ctrl-C. Raises ValueError if there
    is nothing to verify, NotebookFailed if the second run fails.
    """
    records = read_manifest(run)["steps"]
    numbers = {name: record for name, record in records.items() if name in NUMBERS}
    notebooks = [path for path in find_notebooks() if path.stem in numbers]
    if not notebooks:
        raise ValueError(f"run {run!r} has no finished notebook of mmlab run: there is nothing to verify")
    first = run_folder(run)
    again = Path(tempfile.mkdtemp(prefix="verify-", dir=data()))
    given = given_parameters(numbers)
    given |= {"store": ""} if "store" in given else {}
    try:
        with data_folder(again), at_work(again):
            second = run_notebooks(run, given, notebooks, progress=progress)
    except KeyboardInterrupt:
        shutil.rmtree(again)
        raise
    found = find_differences(first, second, tolerance)
    if found.empty:
        shutil.rmtree(again)
    return found, second


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Everything is made in this folder for the block, in the kernels that it starts too."""
    before = os.environ.get("MMLAB_DATA")
    os.environ["MMLAB_DATA"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MMLAB_DATA"]
        else:
            os.environ["MMLAB_DATA"] = before
