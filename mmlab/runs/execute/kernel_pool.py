"""The kernels of a sweep: as many as work at a time, handed from step to step."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from jupyter_client.utils import run_sync

from mmlab.runs.execute.kernels import Kernel, empty_kernel, kill_kernel, start_kernel


class KernelPool:
    """Kernels that are free, the one used last on top.

    The first begins at once, without warming up, while the others warm up for the second step; when it is free again
    it goes below them and warms up there, for all that is to come.
    """

    def __init__(self, count: int, notebooks: Sequence[Path], models: Sequence[str]) -> None:
        self._notebooks, self._models = list(notebooks), models
        self._all: list[Kernel] = []
        self._lock = threading.Lock()
        self._stopped = False
        started = [self._start(notebooks[1:2]) for _ in range(count - 1)]
        self._cold: Kernel | None = self._start([])
        self._stack = deque([*started, self._cold])
        self._free = threading.Semaphore(count)

    @contextmanager
    def kernel(self, notebook: Path) -> Iterator[Kernel]:
        """A kernel for one notebook; one that died is replaced by a new one."""
        self._free.acquire()
        kernel = self._stack.pop()
        try:
            try:
                empty_kernel(kernel, notebook)
            except (RuntimeError, TimeoutError):  # it died, or hangs
                kill_kernel(kernel)
                kernel = self._start([])
            yield kernel
        finally:
            self._give_back(kernel)

    def _give_back(self, kernel: Kernel) -> None:
        cold = kernel is self._cold and len(self._stack) > 0  # with no other free it is needed as it is
        put = self._stack.appendleft if cold else self._stack.append
        try:
            if cold:
                self._cold = None
                with suppress(RuntimeError, TimeoutError):  # it died, or hangs: whoever takes it replaces it
                    empty_kernel(kernel, self._notebooks[0], warm=self._notebooks)
        finally:
            put(kernel)
            self._free.release()

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
            kernel = start_kernel(self._notebooks[0], self._models, warm)
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
