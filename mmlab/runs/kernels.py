"""The kernels that run the notebooks: of this very Python, quiet, and offline where the model is local."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.utils import run_sync

AHEAD = 2  # kernels that start up while one works: what 06 warms up takes longer than 05


def start_kernels(notebooks: Sequence[Path], models: Sequence[str] = ()) -> Iterator[AsyncKernelManager]:
    """Yield a kernel for each notebook; the next ones start and warm up while it works.

    A kernel is told to stop when the next is asked for; close the generator to stop them all.
    """
    kernels: list[AsyncKernelManager] = []
    try:
        for place in range(len(notebooks)):
            kernels += [
                start_kernel(notebook, models) for notebook in notebooks[len(kernels) : place + 1 + AHEAD]
            ]
            yield kernels[place]
            run_sync(kernels[place].request_shutdown)()
    finally:
        for kernel in kernels:
            if kernel.has_kernel:
                run_sync(kernel.shutdown_kernel)(now=True)


def start_kernel(notebook: Path, models: Sequence[str]) -> AsyncKernelManager:
    """Start a kernel in the notebook's folder and return at once, while it is still starting up.

    Its own messages do not reach the terminal; what cells print goes to the notebook as ever.
    """
    here = (
        Path(sys.prefix) / "share" / "jupyter" / "kernels"
    )  # not a kernel registered by another environment
    kernel = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(here)])
    )
    warm = f"__import__('mmlab.runs.warm').runs.warm.warm_up({notebook.stem!r})"  # leaves no name behind
    run_sync(kernel.start_kernel)(
        cwd=str(notebook.parent),
        env=os.environ | kernel_environment(notebook, models),
        stderr=subprocess.DEVNULL,
        extra_arguments=["--HistoryManager.hist_file=:memory:", f"--IPKernelApp.exec_lines={warm}"],
    )
    return kernel


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
