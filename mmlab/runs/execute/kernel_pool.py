"""Hand kernels from one notebook to the next: two that take turns at one run, or a pool for several runs at a time."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mmlab.runs.execute.kernels import Kernel, empty_kernel, kill_kernel, shut_down, start_kernel, work_ahead

# what `empty_kernel` raises for a kernel that died or hangs
LOST = (RuntimeError, TimeoutError)


def start_kernels(
    notebooks: Sequence[Path], parameters: Sequence[Mapping[str, Any]], models: Sequence[str] = ()
) -> Generator[Kernel, None, None]:
    """Yield a kernel for each notebook; two take turns, and while one runs a notebook the other works ahead.

    Imported modules stay loaded between notebooks, and variables are cleared. `parameters`: all of each notebook.
    Close the generator to end the kernels.
    """
    ahead = [work_ahead(*each) for each in zip(notebooks, parameters, strict=True)]
    kernels = [start_kernel(notebook, models, ahead[place]) for place, notebook in enumerate(notebooks[:2])]
    try:
        for place in range(len(notebooks)):
            turn = place % 2
            yield kernels[turn]
            if place + 2 < len(notebooks):
                coming = notebooks[place + 2]
                kernels[turn] = _ready_kernel(kernels[turn], coming, models, ahead[place + 2])
    finally:
        for kernel in kernels:
            shut_down(kernel)


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


def _ready_kernel(kernel: Kernel, notebook: Path, models: Sequence[str], ahead: str) -> Kernel:
    """Return the kernel, emptied for the notebook, or a new kernel in place of one that died or hangs."""
    try:
        empty_kernel(kernel, notebook, ahead)
    except LOST:
        kill_kernel(kernel)
        return start_kernel(notebook, models, ahead)
    return kernel
