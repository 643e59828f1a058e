"""How much memory work takes: the resident memory of this process, or what is allocated on a CUDA device."""

import gc
from collections.abc import Callable
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

LOOK = 0.005  # seconds between two looks at the resident memory


def used_memory(device: str = "cpu") -> int:
    """The bytes in use now."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_allocated(device)
    return _resident()


def free_memory(device: str = "cpu") -> int:
    """The bytes that are still to be had."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def watch_memory(work: Callable[[], T], device: str = "cpu") -> tuple[T, int]:
    """What `work` returns, and the most bytes that were in use meanwhile."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return work(), torch.cuda.max_memory_allocated(device)
    seen, ended = [_resident()], Event()
    watcher = Thread(target=_look, args=(seen, ended), daemon=True)
    watcher.start()
    try:
        result = work()
    finally:
        ended.set()
        watcher.join()
    return result, max(seen)


def _look(seen: list[int], ended: Event) -> None:
    while not ended.wait(LOOK):
        seen[:] = [max(seen[0], _resident())]
    seen[:] = [max(seen[0], _resident())]


def _resident() -> int:
    import psutil

    return psutil.Process().memory_info().rss
