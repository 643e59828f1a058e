"""Execute the notebooks of a run one after the other with papermill; none sees the variables of another.

The kernel is this very Python. Its working directory is the folder of the notebook, as in JupyterLab. One bar on
stderr shows which notebook and which of its cells is at work, and how far the cell is where it has a progress bar.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mmlab.runs.execute.cell_progress import CellProgress, reporting_client
from mmlab.runs.execute.notebooks import find_notebooks
from mmlab.runs.record.manifest import given_parameters, read_manifest
from mmlab.runs.record.parameters import check_parameters, complete_parameters, notebook_parameters
from mmlab.runs.record.run_files import EXECUTED, check_store, run_folder, run_lock
from mmlab.runs.report.html_report import write_page

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

    from mmlab.runs.execute.kernels import Kernel


class Progress:
    """Counts the cells of notebooks; `at` says where the execution is, like "02_embed cell 7/19"."""

    def __init__(self, notebooks: Sequence[Path], show: bool = True) -> None:
        from tqdm import tqdm

        self.at = "the start"
        counts = [_count_cells(notebook) for notebook in notebooks]
        names = [notebook.stem for notebook in notebooks]
        self._counts = dict(zip(names, counts, strict=True))
        self._before = dict(zip(names, accumulate(counts, initial=0), strict=False))
        layout = "{l_bar}{bar}| {elapsed}"
        self._bar = tqdm(total=sum(counts), disable=not show, bar_format=layout, dynamic_ncols=True)

    def show_start(self, name: str) -> None:
        """Show that the kernel of a notebook is starting."""
        self.at = f"{name} starting"
        self._show(self._before[name])

    def show_cell(self, name: str, cell_index: int, **_: Any) -> None:
        """Show that a notebook has come to this cell (from 0); nbclient calls it and adds the cell itself."""
        self.at = f"{name} cell {cell_index + 1}/{self._counts[name]}"
        self._show(self._before[name] + cell_index)

    def show_inside(self, name: str, cell_index: int, inside: CellProgress) -> None:
        """Show how far the work inside a cell is: "02_embed cell 7/19: 120/400, 36.2 image/s, 00:08 left"."""
        self._show(self._before[name] + cell_index + inside.share, f"{self.at}: {inside.words}")

    def _show(self, cells: float, words: str = "") -> None:
        self._bar.n = cells
        self._bar.set_description(words or self.at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._bar.n = self._bar.total
            self._bar.set_description("done")
        self._bar.close()


def _count_cells(notebook: Path) -> int:
    # and the one that papermill injects
    return len(json.loads(notebook.read_text(encoding="utf-8"))["cells"]) + 1


# characters of an error in a message; the executed copy has all of it
MAX_ERROR_CHARS = 1000
# what a kill of papermill itself may cost of an executed copy
SAVE_INTERVAL_S = 10
# jsonschema, which checks notebooks, takes a second to build it for addresses (IRIs) that no notebook's schema has
ADDRESS_GRAMMAR = "rfc3987_syntax"
ENGINE = "mmlab"
PAPERMILL_OPTIONS = {"kernel_name": "python3", "start_timeout": 300}


class NotebookFailed(RuntimeError):
    """A notebook raised an error; the message says where, and which executed copy shows it.

    `notebook` is the name of the notebook.
    """

    def __init__(self, message: str, notebook: str = "") -> None:
        super().__init__(message)
        self.notebook = notebook


class Stopped(KeyboardInterrupt):
    """Ctrl-C while a notebook was at work; `notebook` is its name."""

    def __init__(self, notebook: str) -> None:
        super().__init__(f"stopped in {notebook}")
        self.notebook = notebook


def run_notebooks(
    name: str,
    parameters: Mapping[str, Any],
    notebooks: Sequence[Path] | None = None,
    start: int = 0,
    progress: bool = True,
) -> Path:
    """Execute notebooks (without `notebooks` the six) for the run called `name`; return the folder of the run.

    Each notebook is given those of the parameters that it has. The notebooks before number `start` (from 0) are taken
    as done: the parameters that the manifest records for them are given to the others too, unless `parameters` say
    otherwise. The folder then holds a page of each notebook, and `notebooks/` the executed copies.

    Raises ValueError for a wrong parameter, and for a store that only the manifest names, before anything runs;
    NotebookFailed at the first notebook that fails; and Stopped, a KeyboardInterrupt, on Ctrl-C. What was executed
    until then stays.
    """
    from mmlab.runs.execute.kernels import start_kernels

    notebooks = find_notebooks() if notebooks is None else list(notebooks)
    values = check_parameters({**parameters, "name": name}, notebooks)
    coming, folder = notebooks[start:], run_folder(name)
    if start:
        values = _recorded_parameters(name, notebooks, start, values) | values
    copies = folder / EXECUTED
    copies.mkdir(parents=True, exist_ok=True)
    complete = [complete_parameters(notebook, values) for notebook in coming]
    with (
        run_lock(folder),
        # a page is written while the next notebook runs
        ThreadPoolExecutor(1) as pages,
        Progress(coming, show=progress) as bar,
        closing(start_kernels(coming, complete, values.get("models", ()))) as kernels,
    ):
        written = []
        for kernel, notebook, known in zip(kernels, coming, complete, strict=True):
            own = {key: value for key, value in known.items() if key in values}
            execute(notebook, copies / notebook.name, own, kernel, bar)
            written.append(pages.submit(write_page, copies / notebook.name, folder))
    for page in written:
        page.result()
    return folder


def execute(
    notebook: Path, copy: Path, parameters: Mapping[str, Any], kernel: "Kernel", bar: Progress
) -> None:
    """Execute one notebook into its copy.

    Raises NotebookFailed if a cell raises an error, or if the kernel dies or does not start.
    """
    papermill, name = _load_papermill(), notebook.stem
    from nbclient.exceptions import DeadKernelError

    bar.show_start(name)
    options = {"progress_bar": False, "on_cell_start": partial(bar.show_cell, name), **PAPERMILL_OPTIONS}
    options["on_progress"] = partial(bar.show_inside, name)
    try:
        papermill.execute_notebook(notebook, copy, dict(parameters), ENGINE, km=kernel, **options)
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(_failure(notebook, copy, error), name) from error
    except DeadKernelError as error:
        raise NotebookFailed(
            f"the kernel died at {bar.at}, as it does when memory runs out; executed copy: {copy}", name
        ) from error
    # jupyter_client raises it while it waits for the kernel
    except RuntimeError as error:
        raise NotebookFailed(f"{name}: its kernel did not start: {error}", name) from error
    except KeyboardInterrupt as error:
        raise Stopped(name) from error
    finally:
        kernel.stop_clients()


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let other modules load as if this optional one of theirs were not installed."""
    loaded = module in sys.modules
    if not loaded:
        sys.modules[module] = None  # type: ignore[assignment]  # by which `import` raises ImportError
    try:
        yield
    finally:
        if not loaded:
            del sys.modules[module]


@contextmanager
def _saving_seldom(manager: Any) -> Iterator[None]:
    """Let papermill write the executed copy every few seconds; it calls `manager.save` once more in the end."""
    save = manager.save

    def save_when_due(**given: Any) -> None:
        if (manager.now() - manager.last_save_time).total_seconds() >= SAVE_INTERVAL_S:
            save(**given)

    manager.save = save_when_due
    try:
        yield
    finally:
        manager.save = save


# once in a process
@lru_cache(maxsize=1)
def _load_papermill() -> Any:
    """Return papermill, with an engine registered that writes less often and tells more; it takes seconds to load.

    papermill writes the copy twice for each cell, and the next cell waits for that: 4 of 34 processor seconds of the
    demo. Here it is written every few seconds, and when the notebook ends, however it ends. The bar of a cell is read.
    """
    with _without(ADDRESS_GRAMMAR):
        import papermill
        from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

    from papermill.log import logger

    client = reporting_client()

    class SparingEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(
            cls, manager: NotebookExecutionManager, kernel_name: str, **settings: Any
        ) -> None:
            given = {name: settings[name] for name in ("km", "on_cell_start", "on_progress")}
            timeout = settings["start_timeout"]
            with _saving_seldom(manager):
                client(
                    manager, kernel_name=kernel_name, startup_timeout=timeout, log=logger, **given
                ).execute()

    papermill_engines.register(ENGINE, SparingEngine)
    return papermill


def _recorded_parameters(
    name: str, notebooks: Sequence[Path], start: int, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters that the manifest records for the notebooks that are done, for going on after them.

    Raises ValueError for a store that the manifest alone names, where one of the notebooks to come asks it.
    """
    steps, done = read_manifest(name)["steps"], {notebook.stem for notebook in notebooks[:start]}
    recorded = given_parameters({step: record for step, record in steps.items() if step in done})
    if "store" not in given and any("store" in notebook_parameters(one) for one in notebooks[start:]):
        check_store(name, str(recorded.get("store") or ""))
    return recorded


def _failure(notebook: Path, copy: Path, error: "PapermillExecutionError") -> str:
    lines = [line.strip() for line in error.source.splitlines() if line.strip()]
    return (
        f"{notebook.stem} failed at cell {error.cell_index + 1}, In [{error.exec_count}] under "
        f"{_heading_above(notebook, error.source)!r}, which begins {(lines or [''])[0]!r}: "
        f"{error.ename}: {str(error.evalue)[:MAX_ERROR_CHARS]}; executed copy: {copy}"
    )


def _heading_above(notebook: Path, source: str) -> str:
    heading = notebook.stem
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and text == source:
            break
        found = re.findall(r"^#+ +(.+)$", text, re.MULTILINE) if cell["cell_type"] == "markdown" else []
        heading = found[-1] if found else heading
    return heading
