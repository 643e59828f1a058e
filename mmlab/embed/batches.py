"""Cut work into batches of places: texts of like length together."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

# About a token each: a short word or a part of a long one, a digit, a sign, a letter of another script.
PIECE = re.compile(r"[a-zA-Z]{1,7}|\S")


def longest_first(texts: Sequence[str]) -> list[int]:
    """The places of the texts, most tokens (estimated) first: little padding, and memory ends at once or never."""
    lengths = [(len(PIECE.findall(text)), len(text)) for text in texts]
    return sorted(range(len(texts)), key=lambda place: lengths[place], reverse=True)


def cut(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Consecutive batches of these sizes."""
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return [list(order[start:end]) for start, end in pairwise(ends)]


def cut_evenly(order: Sequence[int], size: int, lanes: int) -> Iterator[list[int]]:
    """Consecutive batches of at most `size`, so many of them and so equal that all lanes end together."""
    if not len(order):
        return
    rounds = -(-len(order) // (size * lanes))
    size = -(-len(order) // (rounds * lanes))
    for start in range(0, len(order), size):
        yield list(order[start : start + size])
