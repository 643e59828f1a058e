"""Which batch size, which precision: every setting embeds the same items, and speed, memory and loss are measured."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from mmlab.embed.embedding import embed_items
from mmlab.embed.encode import NO_MEMORY
from mmlab.embed.lanes import count_lanes
from mmlab.embed.memory import free_memory, used_memory, watch_memory
from mmlab.embed.models import Model, ModelError, load_model
from mmlab.embed.models.model import refusal
from mmlab.items import Vectors

SETTING = ("modality", "precision", "batch_size")
FIGURES = ("items_per_second", "memory_mb", "cosine_least", "cosine_mean")


def sweep_batches(
    items: pd.DataFrame,
    model: str,
    batch_sizes: Sequence[int] = (8, 16, 32, 64, 128),
    precisions: Sequence[str] = ("float32", "bfloat16"),
    rounds: int = 3,
    device: str = "auto",
) -> pd.DataFrame:
    """A row for each modality of the items that the model embeds, precision and batch size, in ascending sizes.

    modality, precision, batch_size;
    items_per_second: from file to vector without a cache, the median of the rounds after one to get warm;
    memory_mb: the most memory above that of the loaded model, in MB (10^6 bytes): resident memory of this
    process on a CPU, allocated memory of the device on CUDA;
    cosine_least, cosine_mean: of the vectors to those in float32, in [-1, 1];
    problem: why there are no figures (they are NaN then), "" where there are: "out of memory", "too few items"
    for all lanes to have a whole batch, or what the model says, such as vectors that are not finite.

    The items are embedded rounds + 1 times per row, so give a sample: the largest size for each core.
    Raises ModelError if the model cannot be loaded or embeds none of the items, ValueError for the rest.
    """
    reference = load_model(model, device)
    modalities = [name for name in items["modality"].unique() if name in reference.modalities]
    if not modalities:
        raise refusal(model, reference.modalities, items["modality"].iloc[0])
    rows = []
    for precision in precisions:
        embedder = reference if precision == "float32" else load_model(model, device, precision)
        for modality in modalities:
            chosen = items[items["modality"] == modality].drop_duplicates("content")
            exact = embed_items(chosen, reference, progress=False).vectors
            found = _sweep(chosen, embedder, sorted(batch_sizes), rounds, exact)
            rows += [{"modality": modality, "precision": precision} | row for row in found]
    return pd.DataFrame(rows, columns=[*SETTING, *FIGURES, "problem"])


def _sweep(
    items: pd.DataFrame, model: Model, sizes: Sequence[int], rounds: int, exact: Vectors
) -> list[dict[str, object]]:
    """A row per size; a size is not tried where the one before it says that it would not fit."""
    loaded, device = used_memory(model.device), model.device
    rows, per_item = [], 0.0
    for size in sizes:
        nothing = dict.fromkeys(FIGURES, np.nan) | {"batch_size": size}
        if size * count_lanes() > len(items):
            rows.append(nothing | {"problem": "too few items"})
        elif per_item * size > free_memory(device):
            rows.append(nothing | {"problem": NO_MEMORY})
        else:
            measured, peak = watch_memory(partial(_measure, items, model, size, rounds, exact), device)
            per_item = (peak - loaded) / size
            rows.append(nothing | measured | {"memory_mb": (peak - loaded) / 1e6})
    return rows


def _measure(items: pd.DataFrame, model: Model, size: int, rounds: int, exact: Vectors) -> dict[str, object]:
    """Items per second and the cosines to the exact vectors, or the problem."""
    speeds = []
    for _ in range(rounds + 1):
        try:
            embedded = embed_items(items, model, batch_size=size, progress=False)
        except ModelError as error:
            return {"problem": str(error)}
        if embedded.counts["halved"].sum():
            return {"problem": NO_MEMORY}
        speeds.append(embedded.counts["per_second"].iloc[0])
    cosines = (embedded.vectors.array * exact.take(embedded.vectors.ids).array).sum(axis=1)
    return {
        "items_per_second": float(np.median(speeds[1:])),
        "cosine_least": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "problem": "",
    }
