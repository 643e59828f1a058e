"""The kernels of a sweep: as many as work at a time, handed from step to step."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from jupyter_client.utils import run_sync

from mmlab.runs.kernels import Kernel, empty_kernel, kill_kernel, start_kernel


class Workers:
    """Kernels that are free: one to begin with at once, the others warm up until they are needed."""

    def __init__(self, count: int, notebooks: Sequence[Path], models: Sequence[str]) -> None:
        self._notebook, self._models = notebooks[0], models
        self._free: queue.LifoQueue[Kernel] = queue.LifoQueue()  # the last one used is the warmest
        self._all: list[Kernel] = []
        self._lock = threading.Lock()
        self._stopped = False
        for place in range(count):
            self._free.put(self._start([] if place == count - 1 else notebooks))

    @contextmanager
    def kernel(self, notebook: Path) -> Iterator[Kernel]:
        """A kernel for one notebook; one that died is replaced by a new one."""
        kernel = self._free.get()
        try:
            try:
                empty_kernel(kernel, notebook)
            except (RuntimeError, TimeoutError):  # it died, or hangs
                kill_kernel(kernel)
                kernel = self._start([])
            yield kernel
        finally:
            self._free.put(kernel)

    def stop(self) -> None:
        """End all kernels at once and start no other; may be called while they are at work."""
        with self._lock:
            self._stopped = True
            for kernel in self._all:
                kill_kernel(kernel)

    def _start(self, warm: Sequence[Path]) -> Kernel:
        with self._lock:
            if self._stopped:
                raise InterruptedError("the sweep was stopped")
            kernel = start_kernel(self._notebook, self._models, warm)
            self._all.append(kernel)
            return kernel

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kernel in self._all:
            if kernel.has_kernel:
                run_sync(kernel.shutdown_kernel)(now=True)
