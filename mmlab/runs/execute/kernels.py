"""Kernels that run notebooks: of this very Python, quiet, and offline where the model is on this machine.

`mmlab lab` starts JupyterLab over the project, and a kernel for the notebook that it opens: while the browser loads
JupyterLab the kernel loads the models; the extension in `lab_extension/` then runs the notebook's cells. Notebooks of
one's own, the opened one among them, lie in `work/`, which git ignores.

Kernels that execute a run are handed from one notebook to the next: two and one for the maps serve one run, a pool
serves several at a time.

A kernel works ahead for a notebook while the notebooks before run: it loads or computes what the notebook will wait
for. That saves time and nothing else. Processor seconds on the machine of the benches, where the demo needs 80 in all
the first time and 38 the second: the workbench 1.0, matplotlib 0.3, torch and transformers 4.1, scipy's statistics 1.2,
the maps of 06 11 unless they are known, of which compiling umap takes 4 once in an installation.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.utils import run_sync
from jupyter_core.paths import jupyter_runtime_dir
from psutil import Process
from traitlets import default

from mmlab.items import replacing
from mmlab.items.files import project
from mmlab.runs.execute.notebooks import find_notebook

# Without `freeze`, each full garbage collection goes through all modules that stay loaded: 0.36 s.
EMPTY_CODE = """
import os, sys
if "matplotlib.pyplot" in sys.modules:
    sys.modules["matplotlib.pyplot"].close("all")
os.environ["MMLAB_NOTEBOOK"] = {!r}
get_ipython().reset()
__import__("gc").freeze()
"""
# Resident in a kernel that was emptied; one that holds more, as the files that a notebook has mapped, is not handed on.
MAX_LEFT_BYTES = 2 << 30
# Threads of numpy, torch and scikit-learn that wait for work sleep, and leave the core to other kernels. Without it two
# kernels need a sixth more processor time. 2 ** 4 turns of a loop; the default is 2 ** 26, a fiftieth of a second.
# Arrow's own allocator keeps a third of the memory that 01 has freed of its tables; the system's gives it back. The C
# library keeps what threads have freed apart, in up to 8 arenas a core: 50 MB in 02 after 100,000 images, 45 with two
# arenas, 4 with one, in the same time.
KERNEL_SETTINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_THREAD_TIMEOUT": "4",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}
# Without collecting garbage, which takes 1.1 of the 6 s in which all of them are loaded.
LOAD = """
import gc
gc.disable()
try:
    import {}
finally:
    gc.freeze()
    gc.enable()
"""
WORKBENCH = "mmlab.workbench, matplotlib.pyplot"
MODELS = "torch, transformers.models.clip.modeling_clip, transformers.models.auto.processing_auto"
LAY_OUT_MAPS = """
import mmlab
settings = {"umap_neighbours": umap_neighbours, "perplexity": perplexity, "seed": seed}
mmlab.open_run(name).map(sample, group_by, **settings).points
mmlab.visualize.map_layout.load_sklearn()
"""
ALONE = "06_visualize"
# What a kernel does ahead of a notebook: Python with the notebook's parameters as names.
AHEAD = {
    "01_ingest": LOAD.format(WORKBENCH),
    "02_embed": LOAD.format(f"{WORKBENCH}, {MODELS}"),
    "03_index": LOAD.format(f"{WORKBENCH}, scipy.stats"),
    "04_retrieve": LOAD.format(f"{WORKBENCH}, {MODELS}, scipy.stats, mmlab.panels"),
    "05_evaluate": LOAD.format(f"{WORKBENCH}, scipy.stats"),
    ALONE: LOAD.format(WORKBENCH) + LAY_OUT_MAPS,
}
START_TIMEOUT_S = 300
EMPTY_TIMEOUT_S = 60
# what `empty_kernel` raises for a kernel that died or hangs
LOST = (RuntimeError, TimeoutError)
ASK = "00_ask"
WORK = "work"
EXTENSIONS = Path(__file__).parent / "lab_extension"
LAB_TIMEOUT_S = 120
LAB_REQUEST_TIMEOUT_S = 30
# The panel needs no model to be drawn: it is loaded meanwhile.
WARM_UP = f"""
import threading, mmlab.panels
threading.Thread(target=exec, args=("import {MODELS}", {{}}), daemon=True).start()
"""


class PromptClient(AsyncKernelClient):
    """A client that is ready once its kernel answers and is heard; others listen on for 0.2 s before each notebook."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return when the kernel has answered; raise RuntimeError if it died or does not answer in time (seconds)."""
        until = time.monotonic() + (timeout or START_TIMEOUT_S)
        while time.monotonic() < until:
            self.kernel_info()
            with suppress(Empty):
                await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)
                return
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it answered")
        raise RuntimeError("the kernel does not answer")


class Kernel(AsyncKernelManager):
    """A kernel that knows its clients, so that they can be stopped when a notebook is done."""

    # it has started up: `empty_kernel` need not wait for that again
    has_started = False

    @default("client_factory")
    def _client_factory_default(self) -> type[PromptClient]:
        return PromptClient

    def client(self, **settings: Any) -> AsyncKernelClient:  # type: ignore[override]  # as its own base class does
        """Return a new client, which `stop_clients` stops."""
        found = super().client(**settings)
        self._clients = [*getattr(self, "_clients", []), found]
        return found

    def stop_clients(self) -> None:
        """Stop the clients that executed a notebook; nbclient leaves them listening."""
        for client in getattr(self, "_clients", []):
            if client.channels_running:
                client.stop_channels()
        self._clients = []


def start_kernel(notebook: Path, models: Sequence[str], ahead: str = "") -> Kernel:
    """Start a kernel in the folder of the notebook and return at once, while it is still starting up.

    It then executes the code `ahead`, as `work_ahead` returns it. Its own messages do not reach the terminal; what
    cells print goes to the notebook.
    """
    # not a kernel that another environment has registered
    own = Path(sys.prefix) / "share" / "jupyter" / "kernels"
    kernel = Kernel(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(own)]))
    run_sync(kernel.start_kernel)(
        cwd=str(notebook.parent),
        env=KERNEL_SETTINGS | os.environ | kernel_environment(notebook, models),
        stderr=subprocess.DEVNULL,
        extra_arguments=[
            "--HistoryManager.hist_file=:memory:",
            f"--IPKernelApp.exec_lines={ahead}",
        ],
    )
    return kernel


def empty_kernel(kernel: Kernel, notebook: Path, ahead: str = "") -> None:
    """Clear the variables of a kernel that has executed a notebook; imported modules stay loaded.

    It then executes the code `ahead`, which is not waited for. Raises RuntimeError if the kernel died or holds more
    than MAX_LEFT_BYTES after all, and TimeoutError if it does not answer.
    """

    async def send() -> None:
        client = kernel.client()
        # a heartbeat that is stopped as soon as it starts never ends
        client.start_channels(hb=False)
        if not kernel.has_started:
            await client.wait_for_ready(timeout=START_TIMEOUT_S)
            kernel.has_started = True
        elif not await kernel.is_alive():
            raise RuntimeError("the kernel died")
        code = EMPTY_CODE.format(notebook.name)
        await client.execute(code, silent=True, reply=True, timeout=EMPTY_TIMEOUT_S)
        if _resident_bytes(kernel) > MAX_LEFT_BYTES:
            raise RuntimeError("the kernel holds what a notebook has left in it")
        if ahead:
            client.execute(ahead, silent=True)

    try:
        run_sync(send)()
    finally:
        kernel.stop_clients()


def _resident_bytes(kernel: Kernel) -> int:
    process = getattr(kernel.provisioner, "process", None)
    return int(Process(process.pid).memory_info().rss) if process is not None else 0


def kill_kernel(kernel: Kernel) -> None:
    """End a kernel at once, whatever it does; may be called from another thread than the one that uses it."""
    process = getattr(kernel.provisioner, "process", None)
    if process is not None and process.poll() is None:
        process.kill()


def shut_down(kernel: Kernel) -> None:
    """End a kernel and free what it holds on this side."""
    if kernel.has_kernel:
        run_sync(kernel.shutdown_kernel)(now=True)


def kernel_environment(notebook: Path, models: Sequence[str]) -> dict[str, str]:
    """Return what the environment of a kernel has beside that of its parent."""
    settings = {
        # so that a locked store can name its holder
        "MMLAB_NOTEBOOK": notebook.name,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if models and all(model == "demo" or Path(model).is_dir() for model in models):
        settings["HF_HUB_OFFLINE"] = "1"
    return settings


def work_ahead(notebook: Path, parameters: Mapping[str, Any]) -> str:
    """Return the code that a kernel executes ahead of the notebook, one line that leaves no name behind; "" for none.

    An error in it stays without consequence: the notebook meets it too, and says so.

    >>> work_ahead(Path("07_tune.ipynb"), {})
    ''
    """
    code = AHEAD.get(notebook.stem)
    return f"exec({code!r}, {dict(parameters)!r})" if code else ""


def start_kernels(
    notebooks: Sequence[Path], parameters: Sequence[Mapping[str, Any]], models: Sequence[str] = ()
) -> Generator[Kernel, None, None]:
    """Yield a kernel for each notebook; two take turns, and while one runs a notebook the other is made ready.

    06 has a kernel of its own, which lays out its maps from the third notebook on. Imported modules stay loaded between
    notebooks, and variables are cleared. `parameters`: all of each notebook. Close the generator to end the kernels.
    """
    ahead = [work_ahead(*each) for each in zip(notebooks, parameters, strict=True)]
    alone = [place for place, notebook in enumerate(notebooks) if notebook.stem == ALONE and place > 2]
    in_turn = [place for place in range(len(notebooks)) if place not in alone]
    following = dict(zip(in_turn, in_turn[2:], strict=False))
    started_before = {0: in_turn[:2], 2: alone}
    ready: dict[int, Future[Kernel]] = {}
    with ThreadPoolExecutor(1) as thread:

        def prepare(place: int, kernel: Kernel | None = None) -> None:
            ready[place] = thread.submit(_ready_kernel, notebooks[place], models, ahead[place], kernel)

        try:
            for place in range(len(notebooks)):
                for other in started_before.get(place, ()):
                    prepare(other)
                kernel = ready[place].result()
                yield kernel
                if place in following:
                    prepare(following[place], kernel)
        finally:
            for each in ready.values():
                if each.exception() is None:
                    shut_down(each.result())


class KernelPool:
    """Kernels for notebooks that run at the same time; whoever needs one takes that which was used last.

    One begins at once, while the others work ahead for the second notebook.
    """

    def __init__(self, count: int, notebooks: Sequence[Path], models: Sequence[str]) -> None:
        self._first, self._models = notebooks[0], models
        self._all: list[Kernel] = []
        self._lock = threading.Lock()
        self._stopped = False
        ahead = work_ahead(notebooks[1], {}) if len(notebooks) > 1 else ""
        self._stack = [self._start(ahead) for _ in range(count - 1)]
        self._stack.append(self._start())
        self._free = threading.Semaphore(count)

    @contextmanager
    def kernel(self, notebook: Path) -> Iterator[Kernel]:
        """Take a kernel for one notebook, as soon as one is free; a new one in place of one that died."""
        with self._free:
            kernel = self._stack.pop()
            try:
                try:
                    empty_kernel(kernel, notebook)
                except LOST:
                    kill_kernel(kernel)
                    kernel = self._start()
                yield kernel
            finally:
                self._stack.append(kernel)

    def stop(self) -> None:
        """End all kernels at once and start no other; may be called while they are at work."""
        with self._lock:
            self._stopped = True
            for kernel in self._all:
                kill_kernel(kernel)

    def _start(self, ahead: str = "") -> Kernel:
        with self._lock:
            if self._stopped:
                raise InterruptedError("the sweep was stopped")
            kernel = start_kernel(self._first, self._models, ahead)
            self._all.append(kernel)
            return kernel

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kernel in self._all:
            shut_down(kernel)


def _ready_kernel(notebook: Path, models: Sequence[str], ahead: str, kernel: Kernel | None = None) -> Kernel:
    """Return a kernel, emptied for the notebook; a new one where none is given, or where it died or hangs."""
    if kernel is not None:
        try:
            empty_kernel(kernel, notebook, ahead)
            return kernel
        except LOST:
            kill_kernel(kernel)
    return start_kernel(notebook, models, ahead)


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab.

    Attributes:
        address: its URL, with a slash at the end.
        token: what a browser needs to be let in; empty where the user's own settings ask for a password.
    """

    address: str
    token: str
    process: "subprocess.Popen[bytes]"

    def url(self, notebook: Path) -> str:
        """Return the address at which JupyterLab opens a notebook of the project."""
        path = quote(notebook.relative_to(project()).as_posix())
        return f"{self.address}lab/tree/{path}{f'?token={self.token}' if self.token else ''}"

    def start_kernel(self, notebook: Path) -> str:
        """Start the kernel of a notebook and return its id; the browser will find it running."""
        path = notebook.relative_to(project()).as_posix()
        kernel = {"name": "python3"}
        session = {"path": path, "name": notebook.name, "type": "notebook", "kernel": kernel}
        return str(self._post("api/sessions", session)["kernel"]["id"])

    def _post(self, path: str, content: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.address}{path}",
            json.dumps(content).encode(),
            {"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=LAB_REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - our own server
            return json.load(answer)


def notebook_to_ask(run: str) -> Path:
    """Return the notebook in `work/` that opens a run and its panel; written where there is none yet."""
    path = project() / WORK / (f"{ASK}.ipynb" if run == "demo" else f"{ASK}_{run}.ipynb")
    if not path.exists():
        text = find_notebook(ASK).read_text(encoding="utf-8")
        named = json.dumps(f"open_run({json.dumps(run)})")[1:-1]
        with replacing(path) as temporary:
            temporary.write_text(text.replace('open_run(\\"demo\\")', named), encoding="utf-8")
    return path


@contextmanager
def lab_server(arguments: Sequence[str] = ()) -> Iterator[LabServer]:
    """Start JupyterLab over the project with further command-line arguments, and stop it with all its kernels.

    Raises OSError where it does not start.
    """
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={project()}"]
    command += [f"--LabServerApp.extra_labextensions_path={EXTENSIONS}", *arguments]
    process = subprocess.Popen(command, cwd=project(), env=KERNEL_SETTINGS | os.environ)  # noqa: S603 - of the user
    try:
        yield _wait_for(process)
    finally:
        process.terminate()
        process.wait()


def warm_up(kernel: str) -> None:
    """Let a kernel load what the first question needs; return when it has begun."""
    client = BlockingKernelClient(connection_file=f"{jupyter_runtime_dir()}/kernel-{kernel}.json")
    client.load_connection_file()
    client.start_channels(hb=False)  # on a busy machine a beat is late, and the kernel taken for dead
    try:
        client.execute(WARM_UP, silent=True, reply=True, timeout=LAB_TIMEOUT_S)
    finally:
        client.stop_channels()


def _wait_for(process: "subprocess.Popen[bytes]") -> LabServer:
    """Return the server when it answers, by the file in which Jupyter says where a process listens."""
    described = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    until = time.monotonic() + LAB_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            known = json.loads(described.read_text(encoding="utf-8"))
            with urllib.request.urlopen(f"{known['url']}api", timeout=5):  # noqa: S310 - our own server
                return LabServer(known["url"], known["token"], process)
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    raise OSError("JupyterLab did not start; the lines above say why")
