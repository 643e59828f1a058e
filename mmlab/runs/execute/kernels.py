"""The kernels that run the notebooks: of this very Python, quiet, and offline where the model is local."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.utils import run_sync

from mmlab.runs.execute.warm_up import find_warm_ups

EMPTY = """
import os, sys
if "matplotlib.pyplot" in sys.modules:
    sys.modules["matplotlib.pyplot"].close("all")
os.environ["MMLAB_NOTEBOOK"] = {!r}
get_ipython().reset()
__import__("gc").freeze()  # what is left is modules: looking through them for what can go took half a second each time
"""
WARM = "__import__('mmlab.runs.execute.warm_up').runs.warm.warm_up(*{!r})"  # leaves no name behind
PATIENT = {  # threads of numpy, torch and scikit-learn that wait for work sleep, and leave the core to other kernels
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_THREAD_TIMEOUT": "4",  # 2 ** 4 turns of a loop; by itself 2 ** 26, a fiftieth of a second
}


class Kernel(AsyncKernelManager):
    """A kernel that knows who listens to it, so that it can hang up when a notebook is over."""

    answered = False  # it has started up: `empty_kernel` need not wait for that again

    def client(self, **settings: Any) -> AsyncKernelClient:
        """A new client, which `hang_up` stops."""
        found = super().client(**settings)
        self._clients = [*getattr(self, "_clients", []), found]
        return found

    def hang_up(self) -> None:
        """Stop the clients that executed a notebook; nbclient leaves them listening."""
        for client in getattr(self, "_clients", []):
            if client.channels_running:
                client.stop_channels()
        self._clients = []


def start_kernels(notebooks: Sequence[Path], models: Sequence[str] = ()) -> Iterator[Kernel]:
    """Yield a kernel for each notebook: two take turns, and while one works the other is made ready for the next.

    What a kernel has loaded, torch above all, serves the notebook after the next one too; of what a notebook has
    named, nothing is left for another. Close the generator to stop them.
    """
    kernels = [start_kernel(notebook, models) for notebook in notebooks[:2]]
    try:
        for place in range(len(notebooks)):
            turn = place % 2
            yield kernels[turn]
            if place + 2 < len(notebooks):
                kernels[turn] = _ready_kernel(kernels[turn], notebooks[place + 2], models)
    finally:
        for kernel in kernels:
            if kernel.has_kernel:
                run_sync(kernel.shutdown_kernel)(now=True)


def _ready_kernel(kernel: Kernel, notebook: Path, models: Sequence[str]) -> Kernel:
    """The kernel, emptied and warming up for the notebook; a new one in place of one that died, or hangs."""
    try:
        empty_kernel(kernel, notebook, warm=[notebook])
    except (RuntimeError, TimeoutError):
        kill_kernel(kernel)
        return start_kernel(notebook, models)
    return kernel


def start_kernel(notebook: Path, models: Sequence[str], warm: Sequence[Path] | None = None) -> Kernel:
    """Start a kernel in the notebook's folder and return at once, while it is still starting up.

    It warms up for the notebook, or for those in `warm`. Its own messages do not reach the terminal; what
    cells print goes to the notebook as ever.
    """
    here = (
        Path(sys.prefix) / "share" / "jupyter" / "kernels"
    )  # not a kernel registered by another environment
    kernel = Kernel(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(here)]))
    names = find_warm_ups(*([notebook] if warm is None else warm))
    run_sync(kernel.start_kernel)(
        cwd=str(notebook.parent),
        env=PATIENT | os.environ | kernel_environment(notebook, models),
        stderr=subprocess.DEVNULL,
        extra_arguments=[
            "--HistoryManager.hist_file=:memory:",
            f"--IPKernelApp.exec_lines={WARM.format(names)}",
        ],
    )
    return kernel


def empty_kernel(kernel: Kernel, notebook: Path, warm: Sequence[Path] = ()) -> None:
    """Make a kernel that has executed a notebook as good as new for another: no name is left, modules stay loaded.

    It then warms up for the notebooks in `warm`, which is not waited for.
    """

    async def send() -> None:
        client = kernel.client()
        client.start_channels(hb=False)  # a heartbeat that is stopped as soon as it starts never ends
        if not kernel.answered:
            await client.wait_for_ready(timeout=300)
            kernel.answered = True
        elif not await kernel.is_alive():
            raise RuntimeError("the kernel died")
        await client.execute(EMPTY.format(notebook.name), silent=True, reply=True, timeout=60)
        if warm:
            client.execute(WARM.format(find_warm_ups(*warm)), silent=True)

    try:
        run_sync(send)()
    finally:
        kernel.hang_up()


def kill_kernel(kernel: Kernel) -> None:
    """End a kernel at once, whatever it does; may be called from another thread than the one that uses it."""
    process = getattr(kernel.provisioner, "process", None)
    if process is not None and process.poll() is None:
        process.kill()


def kernel_environment(notebook: Path, models: Sequence[str]) -> dict[str, str]:
    """What a kernel's environment has beside that of its parent."""
    settings = {
        "MMLAB_NOTEBOOK": notebook.name,  # so that a locked store can name its holder
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if models and all(model == "demo" or Path(model).is_dir() for model in models):
        settings["HF_HUB_OFFLINE"] = "1"
    return settings
