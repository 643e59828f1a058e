"""Cut work into batches of places: texts of like length together."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

# About a token each: a short word or a part of a long one, a digit, a sign, a letter of another script.
PIECE = re.compile(r"[a-zA-Z]{1,7}|\S")
ENDS = 2  # tokens: start and end
SPARE = 1.05  # tokens with padding, for each one without


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """About how many tokens each text has."""
    return [len(PIECE.findall(text)) + ENDS for text in texts]


def longest_first(tokens: Sequence[int], texts: Sequence[str]) -> list[int]:
    """The places of the texts, most tokens first: little padding, and memory ends at once or never."""
    return sorted(range(len(texts)), key=lambda place: (tokens[place], len(texts[place])), reverse=True)


def cut(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Consecutive batches of these sizes."""
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return [list(order[start:end]) for start, end in pairwise(ends)]


def cut_evenly(order: Sequence[int], size: int, lanes: int) -> Iterator[list[int]]:
    """Consecutive batches of at most `size`, so many of them and so equal that all lanes end together."""
    size = _even_size(len(order), size, lanes)
    for start in range(0, len(order), size):
        yield list(order[start : start + size])


def cut_alike(order: Sequence[int], tokens: Sequence[int], size: int, lanes: int) -> Iterator[list[int]]:
    """As `cut_evenly`, but a batch of texts, longest first, ends before padding is more than `SPARE` of it.

    A quarter of the size goes into one in any case, for the model to have enough to do.
    """
    size = _even_size(len(order), size, lanes)
    batch: list[int] = []
    needed = 0
    for place in order:
        padded = tokens[batch[0]] * (len(batch) + 1) if batch else 0
        if len(batch) == size or (len(batch) >= size / 4 and padded > SPARE * (needed + tokens[place])):
            yield batch
            batch, needed = [], 0
        batch.append(place)
        needed += tokens[place]
    if batch:
        yield batch


def _even_size(count: int, size: int, lanes: int) -> int:
    rounds = max(1, -(-count // (size * lanes)))
    return max(1, -(-count // (rounds * lanes)))
