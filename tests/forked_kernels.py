"""Kernels that are forked from a process in which all libraries are loaded: each saves the seconds of loading them.

They are ipykernel's own, over the same sockets; only the Python that they run in is not begun anew. Kernels that
programs started by a test start themselves begin as a user's do.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from jupyter_client.provisioning import local_provisioner

LOADED = [
    "ipykernel.kernelapp",
    "mmlab.embed.models.dual_encoders",
    "mmlab.panels",
    "mmlab.workbench.run",
    "pyarrow.parquet",
    "qdrant_client",
    "qdrant_edge",
    "scipy.stats",
    "sklearn.manifold",
    "torch",
    "transformers.models.auto.processing_auto",
    "transformers.models.clip.image_processing_pil_clip",
    "transformers.models.clip.modeling_clip",
    "umap.umap_",
]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(LOADED)
LAUNCHER = ["-m", "ipykernel_launcher"]
START = local_provisioner.launch_kernel
START_TIMEOUT_S = 60


class ForkedKernel:
    """What jupyter_client asks of a process that it started, as `subprocess.Popen` answers it."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self.process, self.pid = process, process.pid

    def poll(self) -> int | None:
        """Return the exit code; None while the process lives."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the process and return its exit code."""
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        with suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


@contextmanager
def forked_kernels() -> Iterator[None]:
    """Let all kernels that this process starts meanwhile be forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_provisioner, "launch_kernel", fork_kernel)
        yield


def fork_kernel(command: Sequence[str], **settings: Any) -> Any:
    """Start a process as jupyter_client does; a kernel is forked."""
    if list(command[1:3]) != LAUNCHER:
        return START(command, **settings)
    given = (command[3:], settings["env"], settings.get("cwd"))
    process = PROCESSES.Process(target=run_kernel, args=given)
    process.start()
    return ForkedKernel(_in_its_own_group(process))


def _in_its_own_group(process: Any) -> Any:
    """Return the process when signals to its group reach it alone."""
    until = time.monotonic() + START_TIMEOUT_S
    while process.is_alive() and time.monotonic() < until:
        if os.getpgid(process.pid) == process.pid:
            return process
        time.sleep(0.002)
    raise RuntimeError("the forked kernel did not start")


def run_kernel(arguments: Sequence[str], environment: Mapping[str, str], folder: str | None) -> None:
    """Be a kernel, as `python -m ipykernel_launcher` with these arguments would."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder or os.getcwd())
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    sys.argv = ["ipykernel_launcher", *arguments]
    os.setsid()
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
