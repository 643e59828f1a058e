"""Work in lanes: a thread takes a batch from its files to its vectors, and the next lane is one batch behind.

While one lane decodes, another multiplies. Each lane gives the model its share of the cores: two lanes of one core
do more than one of two, as no core waits for another, and a neighbour's load slows one lane only.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8  # each lane holds a batch in memory


def count_lanes() -> int:
    """A lane for each core that this process may use, up to `MOST`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST)


def in_lanes(work: Callable[[T], R], batches: Iterable[T], lanes: int) -> Iterator[R]:
    """What `work` returns for each batch, in their order; at most `lanes` of them are held at a time.

    An error of `work` is raised in its turn, and what has not begun is dropped then.
    """
    import torch

    before = torch.get_num_threads()
    share = max(1, before // lanes)
    # Torch keeps the number per thread, but a library below it may keep one for all: it is put back.
    threads = ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(share,))
    todo = iter(batches)
    try:
        running: deque[Future[R]] = deque(threads.submit(work, batch) for batch in islice(todo, lanes))
        while running:
            done = running.popleft().result()
            running.extend(threads.submit(work, batch) for batch in islice(todo, 1))
            yield done
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
