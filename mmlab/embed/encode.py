"""Batches go through the model; one that does not fit into memory goes in halves, down to a single input."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmlab.items import ImageError, file_hash, open_image

if TYPE_CHECKING:
    from mmlab.embed.models import Model

FULL = ("out of memory", "not enough memory", "can't allocate memory")  # CUDA and MPS; Windows; Linux
NO_MEMORY = "out of memory"


class Done(NamedTuple):
    """Places in the whole with their vectors (N, D), the places that failed with the reason, the model's time.

    halved counts the batches, whole ones and halves, that did not fit into memory and went in two.
    """

    places: list[int]
    vectors: np.ndarray
    failures: dict[int, str]
    seconds: float
    halved: int


def embed_texts(places: Sequence[int], texts: Sequence[str], model: "Model") -> Done:
    """Of the texts at these places, as one batch."""

    def embed(batch: list[int]) -> np.ndarray:
        return model.embed_texts([texts[place] for place in batch])

    return _embed(list(places), embed, model, {})


def embed_images(
    places: Sequence[int], paths: Sequence[str], contents: Sequence[str], model: "Model"
) -> Done:
    """Of the images at these places, as one batch; one at a time is in memory at its full size.

    A file fails with the reason of its ImageError, or as "changed file" where its bytes no longer have the hash
    in `contents`.
    """
    prepared, failures = {}, {}
    for place in places:
        try:
            prepared[place] = _prepare_image(paths[place], contents[place], model)
        except ImageError as error:
            failures[place] = str(error)
        except FileNotFoundError:  # gone between decoding and hashing
            failures[place] = "missing file"

    def embed(batch: list[int]) -> np.ndarray:
        return model.embed_prepared("image", _stack([prepared[place] for place in batch]))

    return _embed(list(prepared), embed, model, failures)


def _prepare_image(path: str, content: str, model: "Model") -> dict[str, Any]:
    image = open_image(path)
    if file_hash(path) != content:
        raise ImageError("changed file")
    return model.prepare_images([image])


def _stack(prepared: list[dict[str, Any]]) -> dict[str, Any]:
    """One batch of what was prepared image by image."""
    import torch

    def join(values: list[Any]) -> Any:
        return torch.cat(values) if isinstance(values[0], torch.Tensor) else values[0]

    return {name: join([single[name] for single in prepared]) for name in prepared[0]}


def _embed(
    places: list[int], embed: Callable[[list[int]], np.ndarray], model: "Model", failures: dict[int, str]
) -> Done:
    tries = []

    def embed_and_count(batch: list[int]) -> np.ndarray:
        tries.append(len(batch))
        return embed(batch)

    started = time.perf_counter()
    vectors = embed_in_halves(places, embed_and_count)
    seconds = time.perf_counter() - started
    rows = [vectors[place] for place in places if place in vectors]
    array = np.stack(rows) if rows else np.zeros((0, model.space.dimension), np.float32)
    full = {place: NO_MEMORY for place in places if place not in vectors}
    done = [place for place in places if place in vectors]
    return Done(done, array, failures | full, seconds, halved=len(tries) // 2)  # two tries more for each


def embed_in_halves(places: list[int], embed: Callable[[list[int]], np.ndarray]) -> dict[int, np.ndarray]:
    """The vectors of the places that fit into memory, at least alone; any other error is raised."""
    if not places:
        return {}
    try:
        return dict(zip(places, embed(places), strict=True))
    except (MemoryError, RuntimeError) as error:
        if not is_full(error):
            raise
    # Here the error is gone, and with it what its frames held.
    _release()
    if len(places) == 1:
        return {}
    middle = len(places) // 2
    return embed_in_halves(places[:middle], embed) | embed_in_halves(places[middle:], embed)


def is_full(error: Exception) -> bool:
    """Whether memory ran out, on the device or beside it."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in FULL)


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
