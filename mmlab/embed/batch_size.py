"""Batch size by measurement: the first batches are of several sizes, and the fastest size per input wins."""

from collections.abc import Sequence

SIZES = (8, 16, 32, 64, 128)
ROUNDS = 2  # of each size, for the better one of the two to count


def trial_sizes(count: int, lanes: int) -> list[int]:
    """The sizes of the trial's batches: one per lane to get warm, then each size; no more than half of `count`."""
    sizes = [SIZES[0]] * lanes + [size for size in SIZES for _ in range(ROUNDS)]
    while sum(sizes) > count / 2:
        sizes.pop()
    return sizes


def fastest(sizes: Sequence[int], seconds: Sequence[float], lanes: int) -> int:
    """The size with the least seconds per input behind the first `lanes` batches; the smallest if none was tried."""
    tried = list(zip(sizes, seconds, strict=True))[lanes:]
    return min(tried, key=lambda batch: batch[1] / batch[0], default=(SIZES[0], 0.0))[0]
