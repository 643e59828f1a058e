"""Notebooks run in this process, cell by cell, where a kernel of their own proves nothing more: half the time."""

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmlab.runs import find_notebook, find_notebooks, run_folder


def run_here(
    name: str, parameters: Mapping[str, Any], notebooks: Sequence[Path] | None = None
) -> tuple[Path, str]:
    """Run notebooks (without `notebooks` the six) as `run_notebooks` does; the run's folder, and what cells showed."""
    chosen = find_notebooks() if notebooks is None else notebooks
    shown = [run_cells(notebook.stem, {**parameters, "name": name}) for notebook in chosen]
    return run_folder(name), "\n".join(html for cells in shown for html in cells.values())


def run_cells(notebook: str, given: dict) -> dict[str, str]:
    """Execute the cells of a notebook in this process; return what each shows, by the name that it gives its answer."""
    cells = json.loads(find_notebook(notebook).read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    namespace: dict = {}
    shown = {}
    for cell in code:
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell["id"], "exec"), namespace)  # noqa: S102 - the notebook's own code
        if "parameters" in cell["metadata"].get("tags", []):
            namespace |= {name: value for name, value in given.items() if name in namespace}
        if last is not None:
            answer = eval(compile(ast.Expression(last.value), cell["id"], "eval"), namespace)  # noqa: S307
            shown[cell["id"]] = answer._repr_html_() if hasattr(answer, "_repr_html_") else ""
    return shown
