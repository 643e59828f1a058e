"""Notebooks run in this process, cell by cell, where a kernel of their own proves nothing more: half the time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmlab.runs import find_notebooks, run_folder
from tests.workbench.test_small_sets import run_cells


def run_here(
    name: str, parameters: Mapping[str, Any], notebooks: Sequence[Path] | None = None
) -> tuple[Path, str]:
    """Run notebooks (without `notebooks` the six) as `run_notebooks` does; the run's folder, and what cells showed."""
    chosen = find_notebooks() if notebooks is None else notebooks
    shown = [run_cells(notebook.stem, {**parameters, "name": name}) for notebook in chosen]
    return run_folder(name), "\n".join(html for cells in shown for html in cells.values())
