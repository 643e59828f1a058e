"""Cut work into batches: texts of like length together, pictures decoded ahead while the model works."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from mmlab.items import PictureError, file_hash, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image


class Batch(NamedTuple):
    """Inputs for the model, their places in the whole, and the places that failed with the reason."""

    places: list[int]
    inputs: "list[str] | list[Image]"
    failures: dict[int, str]


def text_batches(texts: Sequence[str], size: int) -> Iterator[Batch]:
    """Batches of at most `size` texts, longest first: little padding, and memory ends at once or never."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        yield Batch(places, [texts[place] for place in places], {})


def image_batches(paths: Sequence[str], contents: Sequence[str], size: int) -> Iterator[Batch]:
    """Batches of at most `size` pictures, in order; threads decode the next one while the caller works.

    No more than these decoded pictures are in memory. A file fails with the reason of its PictureError, or as
    "changed file" where its bytes no longer have the hash in `contents`.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:

        def decode(start: int) -> dict[int, Future]:
            places = range(start, min(start + size, len(paths)))
            return {place: threads.submit(_open_unchanged, paths[place], contents[place]) for place in places}

        ahead = decode(0)
        for start in range(0, len(paths), size):
            now, ahead = ahead, decode(start + size)
            yield _collect(now)


def _open_unchanged(path: str, content: str) -> "Image":
    picture = open_picture(path)
    if file_hash(path) != content:
        raise PictureError("changed file")
    return picture


def _collect(decoding: dict[int, Future]) -> Batch:
    pictures, failures = {}, {}
    for place, future in decoding.items():
        try:
            pictures[place] = future.result()
        except PictureError as error:
            failures[place] = str(error)
        except FileNotFoundError:  # gone between decoding and hashing
            failures[place] = "missing file"
    return Batch(list(pictures), list(pictures.values()), failures)
