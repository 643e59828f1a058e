"""How inputs become batches, and the worker threads that embed them.

A batch is a list of positions in the whole. A worker takes a batch from its files to its vectors: while one decodes
images, another computes.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# About one token each: a short word or a part of a long one, a digit, a sign, a letter of another script.
TOKEN = re.compile(r"[a-zA-Z]{1,7}|\S")
# Start and end.
TOKENS_AROUND_TEXT = 2
# Tokens with padding, for each token without.
MAX_PADDING_FACTOR = 1.05
# Each worker holds a batch in memory.
MAX_WORKERS = 8


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate how many tokens each text has.

    >>> estimate_tokens(["a red shoe", "4711"])
    [5, 6]
    """
    return [len(TOKEN.findall(text)) + TOKENS_AROUND_TEXT for text in texts]


def longest_first(tokens: Sequence[int], texts: Sequence[str]) -> list[int]:
    """Return the positions of the texts, most tokens first.

    So batches have little padding, and if memory runs out, it does in the first batch.

    >>> longest_first([3, 5, 4], ["a", "a b c", "a b"])
    [1, 2, 0]
    """
    return sorted(
        range(len(texts)), key=lambda position: (tokens[position], len(texts[position])), reverse=True
    )


def cut_evenly(positions: Sequence[int], size: int, workers: int = 1) -> Iterator[list[int]]:
    """Yield consecutive batches of at most `size`, equal enough for all workers to end at the same time.

    >>> list(cut_evenly(range(5), 4))
    [[0, 1, 2], [3, 4]]
    """
    size = _even_size(len(positions), size, workers)
    for start in range(0, len(positions), size):
        yield list(positions[start : start + size])


def cut_by_length(
    positions: Sequence[int], tokens: Sequence[int], size: int, workers: int = 1
) -> Iterator[list[int]]:
    """Yield batches as `cut_evenly` does, but end a batch before its padding exceeds MAX_PADDING_FACTOR.

    positions: of texts, longest first. tokens: of each text, by its position. A batch has at least a quarter of the
    size, for the model to have enough to do.

    >>> list(cut_by_length(range(5), [10, 10, 5, 5, 5], size=5))
    [[0, 1], [2, 3, 4]]
    """
    size = _even_size(len(positions), size, workers)
    batch: list[int] = []
    needed = 0
    for position in positions:
        padded = tokens[batch[0]] * (len(batch) + 1) if batch else 0
        too_long = padded > MAX_PADDING_FACTOR * (needed + tokens[position])
        if len(batch) == size or (len(batch) >= size / 4 and too_long):
            yield batch
            batch, needed = [], 0
        batch.append(position)
        needed += tokens[position]
    if batch:
        yield batch


def count_workers() -> int:
    """Return one worker for each core that this process may use, at most MAX_WORKERS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


def run_in_workers(work: Callable[[T], R], batches: Iterable[T], workers: int) -> Iterator[R]:
    """Yield what `work` returns for each batch, in the order of the batches; hold at most `workers` of them at a time.

    Each worker gives torch its share of the cores, so that no core waits for another: on two cores, two workers embed
    1.6 to 1.7 times as many items a second as one (python -m tests.bench embed-workers).
    An error of `work` is raised when its batch is due; batches that have not begun are dropped then.
    """
    import torch

    before = torch.get_num_threads()
    share = max(1, before // workers)
    # Torch keeps the number per thread, but a library below it may keep one for all: it is restored at the end.
    threads = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(share,))
    remaining = iter(batches)
    try:
        running: deque[Future[R]] = deque(threads.submit(work, batch) for batch in islice(remaining, workers))
        while running:
            result = running.popleft().result()
            running.extend(threads.submit(work, batch) for batch in islice(remaining, 1))
            yield result
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _even_size(count: int, size: int, workers: int) -> int:
    rounds = max(1, -(-count // (size * workers)))
    return max(1, -(-count // (rounds * workers)))
