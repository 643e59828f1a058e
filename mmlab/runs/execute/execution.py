"""Execute the notebooks of a run one after the other with papermill; none sees the variables of another.

The kernel is this very Python. Its working directory is the folder of the notebook, as in JupyterLab. One bar on
stderr shows which notebook and which of its cells is at work, and how far the cell is where it has a progress bar: that
is read from the messages of its kernel. tqdm writes its bar as a widget where there are widgets, else as text; both
hold the same words.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from html import unescape
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from mmlab.items import data, replacing
from mmlab.items.files import find_shortage
from mmlab.runs.execute.notebooks import find_notebooks
from mmlab.runs.record.manifest import record_copy, recorded_parameters
from mmlab.runs.record.parameters import check_all, check_parameters, notebook_parameters
from mmlab.runs.record.run_files import EXECUTED, check_store, run_folder, run_lock
from mmlab.runs.report.html_report import write_page

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

    from mmlab.runs.execute.kernels import Kernel

BAR = re.compile(
    r"(?P<done>[\d.]+[kMG]?)/(?P<total>[\d.]+[kMG]?) \[[\d:]+<(?P<left>[\d:]+), +(?P<rate>[^\],]+/[^\],]+)"
)
FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9}


class CellProgress(NamedTuple):
    """The share of the work that is done, in [0, 1], and the same in words."""

    share: float
    words: str


def read_progress(message: Mapping[str, Any]) -> CellProgress | None:
    """Return what a message of a kernel tells of a progress bar, None where it tells nothing or no rate is known yet.

    >>> bar = "image:  25%|##5       | 10/40 [00:05<00:15,  2.00 image/s]"
    >>> read_progress({"msg_type": "stream", "content": {"name": "stderr", "text": bar}})
    CellProgress(share=0.25, words='10/40, 2.00 image/s, 00:15 left')
    """
    bars = list(BAR.finditer(_text_of(message)))
    if not bars:
        return None
    done, total, left, rate = bars[-1].group("done", "total", "left", "rate")
    if not _number(total):
        return None
    return CellProgress(min(_number(done) / _number(total), 1), f"{done}/{total}, {rate}, {left} left")


def _reporting_client(plain: Any) -> Any:
    """Return the class of a client, papermill's own, with one more argument, `on_progress`.

    It is called with each progress inside a cell: the number of the cell, from 0, and a `CellProgress`.
    """

    class ReportingClient(plain):
        def __init__(
            self, *given: Any, on_progress: Callable[[int, CellProgress], None], **settings: Any
        ) -> None:
            super().__init__(*given, **settings)
            self._on_progress = on_progress

        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
            if inside := read_progress(msg):
                self._on_progress(cell_index, inside)
            return super().process_message(msg, cell, cell_index)

    return ReportingClient


def _text_of(message: Mapping[str, Any]) -> str:
    """Return the text that a message writes to a stream or into a widget, with plain spaces."""
    content = message["content"]
    if message["msg_type"] == "stream":
        return str(content.get("text", ""))
    if message["msg_type"] != "comm_msg":
        return ""
    data = content.get("data", {})
    value = data.get("state", {}).get("value", "") if isinstance(data, Mapping) else ""
    return unescape(value).replace("\u2007", " ") if isinstance(value, str) else ""


def _number(text: str) -> float:
    return float(text.rstrip("kMG")) * FACTORS.get(text[-1], 1)


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

    Raises ValueError for a wrong parameter or a store that only the manifest names, and RunInUse while another process
    runs notebooks of this run, before anything is written; NotebookFailed at the first notebook that fails; and
    Stopped, a KeyboardInterrupt, on Ctrl-C. What was executed until then stays.
    """
    from mmlab.runs.execute.kernels import start_kernels

    notebooks = find_notebooks() if notebooks is None else list(notebooks)
    done, coming = notebooks[:start], notebooks[start:]
    values, folder = _values(name, parameters, done, coming), run_folder(name)
    complete = check_all(coming, values)
    copies = folder / EXECUTED
    with (
        run_lock(folder),
        # a page is written while the next notebook runs
        ThreadPoolExecutor(1) as pages,
        Progress(coming, show=progress) as bar,
        closing(start_kernels(coming, complete, values.get("models", ()))) as kernels,
    ):
        copies.mkdir(exist_ok=True)
        written, names = [], [notebook.stem for notebook in coming]
        for kernel, notebook, known in zip(kernels, coming, complete, strict=True):
            own = {key: value for key, value in known.items() if key in values}
            execute(notebook, copies / notebook.name, own, kernel, bar)
            written.append(pages.submit(write_page, copies / notebook.name, folder, names))
    for page in written:
        page.result()
    return folder


def _values(
    name: str, parameters: Mapping[str, Any], done: Sequence[Path], coming: Sequence[Path]
) -> dict[str, Any]:
    """Return the parameters as given, and those that the manifest records for the notebooks that are done."""
    given = check_parameters({**parameters, "name": name}, coming, done)
    recorded = recorded_parameters(name, done)
    if "store" not in given and any("store" in notebook_parameters(notebook) for notebook in coming):
        check_store(name, str(recorded.get("store") or ""))
    return recorded | given


def execute(
    notebook: Path, copy: Path, parameters: Mapping[str, Any], kernel: "Kernel", bar: Progress
) -> None:
    """Execute one notebook into its copy, and record that the copy is whole.

    Raises NotebookFailed if a cell raises an error, or if the kernel dies or does not start.
    """
    papermill, name = _load_papermill(), notebook.stem
    from nbclient.exceptions import DeadKernelError

    bar.show_start(name)
    options = {"progress_bar": False, "on_cell_start": partial(bar.show_cell, name), **PAPERMILL_OPTIONS}
    options["on_progress"] = partial(bar.show_inside, name)
    try:
        papermill.execute_notebook(notebook, copy, dict(parameters), ENGINE, km=kernel, **options)
        record_copy(copy)
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(_failure(notebook, copy, error), name) from error
    except DeadKernelError as error:
        raise NotebookFailed(f"{bar.at}: {find_shortage(str(error))}; executed copy: {copy}", name) from error
    # jupyter_client raises it while it waits for the kernel
    except RuntimeError as error:
        reason = find_shortage(str(error)) or f"its kernel did not start: {error}"
        raise NotebookFailed(f"{name}: {reason}", name) from error
    # of the executed copy, which cannot be written
    except OSError as error:
        raise NotebookFailed(f"{bar.at}: {find_shortage(str(error)) or error}", name) from error
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
    demo. Here it is written every few seconds, and when the notebook ends, however it ends; whole, or not at all. The
    bar of a cell is read.
    """
    with _without(ADDRESS_GRAMMAR):
        import papermill
        from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

    from papermill.log import logger

    client = _reporting_client(papermill.clientwrap.PapermillNotebookClient)

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
    files: Any = papermill.iorw.LocalHandler()
    files.write = _write_whole
    papermill.iorw.papermill_io.register(data().anchor, files)
    return papermill


def _write_whole(content: str, path: str) -> None:
    """Write a notebook in place of papermill: a full disk or a kill leaves the copy of before."""
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _failure(notebook: Path, copy: Path, error: "PapermillExecutionError") -> str:
    lines = [line.strip() for line in error.source.splitlines() if line.strip()]
    reason = f"{error.ename}: {str(error.evalue)[:MAX_ERROR_CHARS]}"
    return (
        f"{notebook.stem} failed at cell {error.cell_index + 1}, In [{error.exec_count}] under "
        f"{_heading_above(notebook, error.source)!r}, which begins {(lines or [''])[0]!r}: "
        f"{find_shortage(reason) or reason}; executed copy: {copy}"
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
