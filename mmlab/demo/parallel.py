"""Spreads work over processes, in order and with a progress bar."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tqdm.auto import tqdm

MOST_PROCESSES = 8


def map_processes(function: Callable, tasks: list, description: str, progress: bool = True) -> Iterator:
    """Yields function(task) for each task, in order; each process starts afresh ("spawn"), so it works anywhere.

    A single task is done here, without another process.
    """
    bar = {"desc": description, "total": len(tasks), "disable": not progress}
    processes = min(len(tasks), os.cpu_count() or 1, MOST_PROCESSES)
    if processes <= 1:
        yield from tqdm(map(function, tasks), **bar)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from tqdm(pool.map(function, tasks), **bar)
