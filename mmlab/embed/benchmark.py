"""Batch sizes and precisions compared: each setting embeds the same items, and speed, memory and loss are measured."""

import gc
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from mmlab.embed.embedding import embed_items
from mmlab.embed.encode import OUT_OF_MEMORY, count_workers
from mmlab.embed.models import Model, ModelError, load_model
from mmlab.embed.models.interface import unsupported_modality
from mmlab.items import Vectors

T = TypeVar("T")

SETTING = ("modality", "precision", "batch_size")
FIGURES = ("items_per_second", "memory_mb", "cosine_least", "cosine_mean")
# Between two readings of the resident memory.
SECONDS_BETWEEN_READINGS = 0.005


def sweep_batches(
    items: pd.DataFrame,
    model: str,
    batch_sizes: Sequence[int] = (8, 16, 32, 64, 128),
    precisions: Sequence[str] = ("float32", "bfloat16"),
    rounds: int = 3,
    device: str = "auto",
) -> pd.DataFrame:
    """Measure each precision and batch size, in ascending sizes, on each modality of the items that the model embeds.

    Returns a row per setting:
    modality, precision, batch_size;
    items_per_second: from file to vector without a cache, the median of the rounds after one to warm up;
    memory_mb: the most memory above that of the loaded model, in MB (10^6 bytes): resident memory of this process on a
    CPU, allocated memory of the device on CUDA;
    cosine_least, cosine_mean: of the vectors to those in float32, in [-1, 1];
    problem: "" if there are figures. Otherwise they are NaN and it says why: "out of memory", "too few items" (fewer
    than a whole batch for each worker), or the model's error, such as vectors that are not finite.

    The items are embedded rounds + 1 times per row, so give a sample: the largest batch size times the number of cores.
    Raises ModelError if the model cannot be loaded or embeds none of the items, ValueError for other wrong arguments.
    """
    reference = load_model(model, device)
    modalities = [name for name in items["modality"].unique() if name in reference.modalities]
    if not modalities:
        raise unsupported_modality(model, reference.modalities, items["modality"].iloc[0])
    rows = []
    for precision in precisions:
        embedder = reference if precision == "float32" else load_model(model, device, precision)
        for modality in modalities:
            chosen = items[items["modality"] == modality].drop_duplicates("content")
            exact = embed_items(chosen, reference, progress=False).vectors
            found = _sweep(chosen, embedder, sorted(batch_sizes), rounds, exact)
            rows += [{"modality": modality, "precision": precision} | row for row in found]
    return pd.DataFrame(rows, columns=[*SETTING, *FIGURES, "problem"])


def used_memory(device: str = "cpu") -> int:
    """Return the bytes in use now: of this process, or allocated on a CUDA device."""
    gc.collect()
    if device.startswith("cuda"):
        return _cuda().memory_allocated(device)
    return _resident_memory()


def free_memory(device: str = "cpu") -> int:
    """Return the bytes that are still available."""
    if device.startswith("cuda"):
        return _cuda().mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def measure_peak_memory(work: Callable[[], T], device: str = "cpu") -> tuple[T, int]:
    """Return what `work` returns, and the most bytes that were in use meanwhile.

    >>> result, peak = measure_peak_memory(lambda: sum(range(10)))
    >>> result, peak > 1_000_000
    (45, True)
    """
    if device.startswith("cuda"):
        _cuda().empty_cache()
        _cuda().reset_peak_memory_stats(device)
        return work(), _cuda().max_memory_allocated(device)
    peak, ended = [_resident_memory()], Event()
    watcher = Thread(target=_watch_memory, args=(peak, ended), daemon=True)
    watcher.start()
    try:
        result = work()
    finally:
        ended.set()
        watcher.join()
    return result, peak[0]


def _cuda() -> Any:
    import torch

    return torch.cuda


def _sweep(
    items: pd.DataFrame, model: Model, sizes: Sequence[int], rounds: int, exact: Vectors
) -> list[dict[str, object]]:
    """Return a row per size; a size is not tried where the one before it shows that it would not fit."""
    loaded, device = used_memory(model.device), model.device
    rows, per_item = [], 0.0
    for size in sizes:
        row: dict[str, object] = {**dict.fromkeys(FIGURES, np.nan), "batch_size": size}
        if size * count_workers() > len(items):
            row["problem"] = "too few items"
        elif per_item * size > free_memory(device):
            row["problem"] = OUT_OF_MEMORY
        else:
            measure = partial(_measure, items, model, size, rounds, exact)
            figures, peak = measure_peak_memory(measure, device)
            taken = max(peak - loaded, 0)  # less where the process gave back what it had loaded with
            per_item = taken / size
            row |= figures | {"memory_mb": taken / 1e6}
        rows.append(row)
    return rows


def _measure(items: pd.DataFrame, model: Model, size: int, rounds: int, exact: Vectors) -> dict[str, object]:
    """Return items per second and the cosines to the exact vectors, or the problem."""
    speeds = []
    for _ in range(rounds + 1):
        try:
            embedded = embed_items(items, model, batch_size=size, progress=False)
        except ModelError as error:
            return {"problem": str(error)}
        if embedded.counts["halved"].sum():
            return {"problem": OUT_OF_MEMORY}
        speeds.append(embedded.counts["per_second"].iloc[0])
    cosines = (embedded.vectors.array * exact.take(embedded.vectors.ids).array).sum(axis=1)
    return {
        "items_per_second": float(np.median(speeds[1:])),
        "cosine_least": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "problem": "",
    }


def _watch_memory(peak: list[int], ended: Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_READINGS):
        peak[0] = max(peak[0], _resident_memory())
    peak[0] = max(peak[0], _resident_memory())


def _resident_memory() -> int:
    import psutil

    return psutil.Process().memory_info().rss
