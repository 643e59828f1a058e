"""From items or queries to their vectors, in batches; a batch that does not fit into memory is split in two.

This is the one file that says what is done when memory runs out. A batch is a list of positions in the whole. A worker
takes a batch from its files to its vectors: while one decodes images, another computes.
Letters: N inputs, D dimensions.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from mmlab.embed.models import Model
from mmlab.embed.models.interface import Inputs, empty_rows
from mmlab.items import ImageError, open_image
from mmlab.items.files import MEMORY_RAN_OUT, file_hash
from mmlab.items.vector_files import blocks_of
from mmlab.items.workers import count_cores

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
R = TypeVar("R")
ByPosition = Sequence[str] | Mapping[int, str]

QUERY_BATCH_SIZE = 32
OUT_OF_MEMORY = "out of memory"
# About one token each: a short word or a part of a long one, a digit, a sign, a letter of another script.
TOKEN = re.compile(r"[a-zA-Z]{1,7}|\S")
# Start and end.
TOKENS_AROUND_TEXT = 2
# Tokens with padding, for each token without.
MAX_PADDING_FACTOR = 1.05
# Each worker holds a batch in memory.
MAX_WORKERS = 8


class EncodedBatch(NamedTuple):
    """The vectors (N,) of `positions` in the whole, and the positions that failed with the reason.

    halved counts the splits: batches, or halves of them, that did not fit into memory.
    """

    positions: list[int]
    vectors: np.ndarray
    failures: dict[int, str]
    halved: int


def encode_items(
    rows: pd.DataFrame, model: Model, batch_size: int, as_queries: bool = False, workers: int = 0
) -> Iterator[EncodedBatch]:
    """Embed items of one modality, in worker threads; yield each batch when it is done.

    `as_queries`: texts as they ask, behind the model's query prompt.
    `workers`: how many threads, 0 for as many as `count_workers`.

    A file fails with the reason of its ImageError, or as "changed file" where its bytes no longer have the hash in
    the column content. An item that does not fit into memory even alone fails as "out of memory".
    """
    if rows.empty:
        return
    workers = workers or count_workers()
    cut: Callable[..., Iterator[tuple[Any, ...]]] = _image_batches
    encode: Callable[..., EncodedBatch] = partial(encode_images, model=model)
    if rows["modality"].iloc[0] == "text":
        cut, encode = _text_batches, partial(encode_texts, model=model, as_queries=as_queries)
    # of some thousand rows at a time, for whatever is held of each
    blocks = ((part.start, rows.iloc[part]) for part in blocks_of(len(rows)))
    batches = (batch for start, block in blocks for batch in cut(block, start, batch_size, workers))
    yield from run_in_workers(lambda batch: encode(*batch), batches, workers)


def _text_batches(
    rows: pd.DataFrame, start: int, size: int, workers: int
) -> Iterator[tuple[list[int], dict[int, str]]]:
    """Yield positions and texts of batches, texts of like lengths together; the first row has position start."""
    texts = rows["text"].tolist()
    tokens = estimate_tokens(texts)
    for batch in cut_by_length(longest_first(tokens, texts), tokens, size, workers):
        yield [start + place for place in batch], {start + place: texts[place] for place in batch}


def _image_batches(
    rows: pd.DataFrame, start: int, size: int, workers: int
) -> Iterator[tuple[list[int], dict[int, str], dict[int, str]]]:
    """Yield positions, paths and hashes of batches; the first row has position start."""
    paths, contents = (dict(enumerate(rows[name].tolist(), start)) for name in ("image", "content"))
    for batch in cut_evenly(list(paths), size, workers):
        yield batch, paths, contents


def encode_texts(
    positions: Sequence[int], texts: ByPosition, model: Model, as_queries: bool = False
) -> EncodedBatch:
    """Embed the texts at these positions as one batch."""
    embed_batch = model.embed_queries if as_queries else model.embed_texts

    def embed(batch: list[int]) -> np.ndarray:
        return embed_batch([texts[position] for position in batch])

    return _encode(list(positions), embed, model, {})


def encode_images(
    positions: Sequence[int], paths: ByPosition, contents: ByPosition, model: Model
) -> EncodedBatch:
    """Embed the images at these positions as one batch; only one at a time is in memory at its full size."""
    prepared: dict[int, Inputs] = {}
    failures: dict[int, str] = {}
    for position in positions:
        try:
            prepared[position] = _prepare_image(paths[position], contents[position], model)
        except ImageError as error:
            failures[position] = str(error)
        except FileNotFoundError:
            # The file was deleted between decoding and hashing.
            failures[position] = "missing file"

    def embed(batch: list[int]) -> np.ndarray:
        return model.embed_prepared("image", model.stack([prepared[position] for position in batch]))

    return _encode(list(prepared), embed, model, failures)


def embed_queries(
    model: Model, queries: "Sequence[str | Image]", batch_size: int = QUERY_BATCH_SIZE
) -> np.ndarray:
    """Embed queries, texts and RGB images, and return unit rows in their order: float32 (N, D).

    Texts stand behind the model's own query prompt, if it has one. A batch that does not fit into memory is split in
    two; raises MemoryError if a query does not fit even alone.
    """
    rows = np.zeros((len(queries), model.space.dimension), dtype=np.float32)
    texts = {position: query for position, query in enumerate(queries) if isinstance(query, str)}
    images = {position: query for position, query in enumerate(queries) if not isinstance(query, str)}
    for batch in cut_evenly(list(texts), batch_size):
        rows[batch] = _embed_all([texts[position] for position in batch], model.embed_queries, model)
    for batch in cut_evenly(list(images), batch_size):
        rows[batch] = _embed_all([images[position] for position in batch], model.embed_images, model)
    return rows


def embed_in_halves(
    positions: list[int], embed: Callable[[list[int]], np.ndarray]
) -> tuple[dict[int, np.ndarray], int]:
    """Embed the positions as one batch; where memory runs out, embed the first half, then the second.

    embed: returns one row per position, or raises MemoryError or a RuntimeError such as torch.OutOfMemoryError.
    Returns the vectors of the positions that fit into memory, at least alone, and the number of splits. Any other
    error is raised.

    >>> embed_in_halves([0, 1], lambda batch: np.ones((len(batch), 1)))
    ({0: array([1.]), 1: array([1.])}, 0)
    """
    if not positions:
        return {}, 0
    try:
        return dict(zip(positions, embed(positions), strict=True)), 0
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Here the error is gone, and with it what its frames held.
    _empty_device_cache()
    if len(positions) == 1:
        return {}, 0
    middle = len(positions) // 2
    first, first_splits = embed_in_halves(positions[:middle], embed)
    second, second_splits = embed_in_halves(positions[middle:], embed)
    return first | second, 1 + first_splits + second_splits


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out, on the device or in the process.

    >>> is_out_of_memory(RuntimeError("CUDA out of memory."))
    True
    """
    return isinstance(error, MemoryError) or bool(MEMORY_RAN_OUT.search(str(error)))


def _embed_all(queries: list[T], embed: Callable[[list[T]], np.ndarray], model: Model) -> np.ndarray:
    """Embed the queries as one batch, in halves where memory runs out; raise MemoryError if one does not fit."""
    positions = list(range(len(queries)))
    vectors, _ = embed_in_halves(positions, lambda part: embed([queries[position] for position in part]))
    if len(vectors) < len(queries):
        raise MemoryError(
            f"{len(queries) - len(vectors)} of {len(queries)} queries do not fit into the memory of {model.device}, "
            "not even one at a time: free memory there, or load the model on another device"
        )
    return np.stack([vectors[position] for position in positions])


def _encode(
    positions: list[int], embed: Callable[[list[int]], np.ndarray], model: Model, failures: dict[int, str]
) -> EncodedBatch:
    vectors, halved = embed_in_halves(positions, embed)
    done = [position for position in positions if position in vectors]
    array = empty_rows(model.space, len(done))
    for place, position in enumerate(done):
        array[place] = vectors[position]
    too_large = {position: OUT_OF_MEMORY for position in positions if position not in vectors}
    return EncodedBatch(done, array, failures | too_large, halved)


def _prepare_image(path: str, content: str, model: Model) -> Inputs:
    image = open_image(path)
    if file_hash(path) != content:
        raise ImageError("changed file")
    return model.prepare_images([image])


def _empty_device_cache() -> None:
    if _torch().cuda.is_available():
        _torch().cuda.empty_cache()


def _torch() -> Any:
    import torch

    return torch


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
    return min(count_cores(), MAX_WORKERS)


def run_in_workers(work: Callable[[T], R], batches: Iterable[T], workers: int) -> Iterator[R]:
    """Yield what `work` returns for each batch, in the order of the batches; hold at most `workers` of them at a time.

    Each worker gives torch its share of the cores, so that no core waits for another: on two cores, two workers embed
    1.6 to 1.7 times as many items a second as one (python -m tests.bench embed-workers).
    An error of `work` is raised when its batch is due; batches that have not begun are dropped then.
    """
    torch = _torch()
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
