"""Execute the notebooks of a run one after the other with papermill, each in a kernel that knows of no other.

The kernel is this very Python; its working directory is the notebooks' folder, as in JupyterLab.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.items import project
from mmlab.runs.manifest import run_folder
from mmlab.runs.pages import write_page
from mmlab.runs.parameters import check_parameters, earlier_parameters, notebook_parameters
from mmlab.runs.progress import Place, Progress
from mmlab.runs.working import at_work

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

    from mmlab.runs.kernels import Kernel

LONGEST = 1000  # characters of an error that are told; its executed copy has them all
NOTEBOOKS = ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize")


class NotebookFailed(RuntimeError):
    """A notebook raised; the message says where, and which executed copy shows it. `notebook` is its name."""

    def __init__(self, message: str, notebook: str = "") -> None:
        super().__init__(message)
        self.notebook = notebook


class Stopped(KeyboardInterrupt):
    """Ctrl-C while a notebook was at work; `notebook` is its name."""

    def __init__(self, notebook: str) -> None:
        super().__init__(f"stopped in {notebook}")
        self.notebook = notebook


def find_notebooks(folder: Path | None = None) -> list[Path]:
    """The six notebooks in `folder` (or the project's) in their order; FileNotFoundError if one is missing."""
    folder = folder or project() / "notebooks"
    paths = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}; mmlab runs from a checkout of the project"
        )
    return paths


def find_notebook(name: str) -> Path:
    """The notebook of this name beside the six; FileNotFoundError if the project has none."""
    path = project() / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    return path


def choose_notebooks(name: str | None = None) -> list[Path]:
    """The notebook of this name or number, as 04 or 04_retrieve, or all of the project; ValueError if none is."""
    known = sorted((project() / "notebooks").glob("*.ipynb"))
    chosen = [path for path in known if name in (None, path.stem, path.stem[:2])]
    if not chosen:
        raise ValueError(f"no notebook is called {name!r}; known: {', '.join(path.stem for path in known)}")
    return chosen


def notebook_number(name: str) -> int:
    """The place (from 0) of the notebook called `name`, as 04 or 04_retrieve; ValueError if none is."""
    for number, notebook in enumerate(NOTEBOOKS):
        if name in (notebook, notebook[:2]):
            return number
    raise ValueError(f"no notebook is called {name!r}; known: {', '.join(NOTEBOOKS)}")


def run_notebooks(
    run: str,
    parameters: Mapping[str, Any],
    notebooks: Sequence[Path] | None = None,
    start: int = 0,
    progress: bool = True,
) -> Path:
    """Execute the notebooks from number `start` (from 0) on, each with the parameters that it has.

    Those before `start` are taken as done: what the run's manifest says they were given is given to the others,
    unless `parameters` say otherwise. Returns the run's folder: it holds a page of each notebook, and
    `notebooks/` the executed copies.
    Raises ValueError for a wrong parameter, before anything runs, NotebookFailed at the first notebook that fails,
    whose copy is kept, and Stopped on Ctrl-C: either can be gone on from, with `start`.
    """
    from mmlab.runs.kernels import start_kernels

    notebooks = find_notebooks() if notebooks is None else list(notebooks)
    values = check_parameters({**parameters, "name": run}, notebooks)
    values = {**earlier_parameters(run, notebooks[start:]), **values} if start else values
    coming, pages = notebooks[start:], []
    copies = run_folder(run) / "notebooks"
    copies.mkdir(parents=True, exist_ok=True)
    with (
        at_work(run_folder(run)),
        ThreadPoolExecutor(1) as printer,  # a page is written while the next notebook works
        Progress(coming, show=progress) as bar,
        closing(start_kernels(coming, values.get("models", ()))) as kernels,
    ):
        for kernel, notebook in zip(kernels, coming, strict=True):
            own = {name: values[name] for name in notebook_parameters(notebook) if name in values}
            execute(notebook, copies / notebook.name, own, kernel, bar)
            pages.append(printer.submit(write_page, copies / notebook.name, run_folder(run)))
    for page in pages:
        page.result()  # raises what writing it raised
    return run_folder(run)


def execute(
    notebook: Path,
    copy: Path,
    parameters: Mapping[str, Any],
    kernel: "Kernel",
    bar: Progress | Place,
) -> None:
    """Execute one notebook into its copy; NotebookFailed if a cell raises, or the kernel dies or does not start."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from mmlab.runs.copies import ENGINE

    bar.show_start(notebook.stem)
    try:
        papermill.execute_notebook(
            notebook,
            copy,
            parameters=dict(parameters),
            kernel_name="python3",
            km=kernel,
            start_timeout=300,
            progress_bar=False,
            engine_name=ENGINE,
            on_cell_start=partial(bar.show_cell, notebook.stem),
        )
    except PapermillExecutionError as error:
        raise NotebookFailed(_failure(notebook, copy, error), notebook.stem) from error
    except DeadKernelError as error:
        raise NotebookFailed(
            f"the kernel died at {bar.at}, as it does when memory runs out; executed copy: {copy}",
            notebook.stem,
        ) from error
    except RuntimeError as error:  # of jupyter_client, while it waits for the kernel
        raise NotebookFailed(f"{notebook.stem}: its kernel did not start: {error}", notebook.stem) from error
    except KeyboardInterrupt as error:
        raise Stopped(notebook.stem) from error
    finally:
        kernel.hang_up()


def _failure(notebook: Path, copy: Path, error: "PapermillExecutionError") -> str:
    lines = [line.strip() for line in error.source.splitlines() if line.strip()]
    return (
        f"{notebook.stem} failed at cell {error.cell_index + 1}, In [{error.exec_count}] under "
        f"{_heading_above(notebook, error.source)!r}, which begins {(lines or [''])[0]!r}: "
        f"{error.ename}: {str(error.evalue)[:LONGEST]}; executed copy: {copy}"
    )


def _heading_above(notebook: Path, source: str) -> str:
    import nbformat

    heading = notebook.stem
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and cell.source == source:
            break
        found = re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []
        heading = found[-1] if found else heading
    return heading
