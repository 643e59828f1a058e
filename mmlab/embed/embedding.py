"""Items become vectors: each content once, from the cache where it is known, in the order of the items."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.embed.batches import Batch, image_batches, text_batches
from mmlab.embed.cache import VectorCache
from mmlab.embed.models import Model
from mmlab.items import SKIPPED_COLUMNS, Vectors, check_items


@dataclass(frozen=True, repr=False)
class Embedded:
    """The vectors in the order of the items, the items that got none, and what was done.

    counts has one row per modality: items, embedded (contents that the model worked on), cached (items whose
    vector was at hand), failed, cut (texts longer than the model's window), seconds, per_second (embedded).
    """

    vectors: Vectors
    skipped: pd.DataFrame
    counts: pd.DataFrame

    def __repr__(self) -> str:
        done = ", ".join(f"{self.counts[name].sum():,} {name}" for name in ("embedded", "cached", "failed"))
        return f"Embedded({self.vectors!r}; {done})"


def embed_items(
    items: pd.DataFrame,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> Embedded:
    """The vectors of all items in the model's space; a picture that cannot be opened is a skipped row.

    With a cache file, known contents are not embedded again and each batch is kept when it is done: what was
    killed goes on where it stopped. Raises ValueError if the model cannot embed a modality of the items.
    """
    _check_request(items, model, batch_size)
    array = np.zeros((len(items), model.space.dimension), dtype=np.float32)
    reasons = np.full(len(items), None, dtype=object)
    counts = []
    with VectorCache(cache) if cache else nullcontext() as opened:
        for modality in items["modality"].unique():
            chosen = (items["modality"] == modality).to_numpy()
            started = time.perf_counter()
            array[chosen], reasons[chosen], worked = _embed_rows(
                items[chosen], model, opened, batch_size, progress
            )
            seconds = time.perf_counter() - started
            counts.append(_count(items[chosen], model, worked, pd.notna(reasons[chosen]).sum(), seconds))
    kept = pd.isna(reasons)
    return Embedded(
        vectors=Vectors(items["item_id"].to_numpy()[kept], array[kept], model.space),
        skipped=_skipped(items[~kept], reasons[~kept]),
        counts=pd.DataFrame(counts),
    )


def _check_request(items: pd.DataFrame, model: Model, batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, found {batch_size}")
    if check_items(items).empty:
        raise ValueError("items: expected at least one, found none: see what ingest skipped, and why")
    known = " and ".join(model.modalities)
    foreign = sorted(set(items["modality"]) - set(model.modalities))
    if foreign:
        raise ValueError(f"{model.space.model} embeds {known} only; found {foreign}")


def _embed_rows(
    rows: pd.DataFrame, model: Model, cache: VectorCache | None, batch_size: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """Of rows of one modality: vectors (N, D), why there is none (N,), how many contents were embedded."""
    todo = rows.drop_duplicates("content")
    contents = todo["content"].to_numpy(dtype=object)
    vectors, found = np.zeros((len(todo), model.space.dimension), np.float32), np.zeros(len(todo), bool)
    if cache:
        found, vectors = cache.get(contents, model.space)
    missing = np.flatnonzero(~found)
    reasons = np.full(len(todo), None, dtype=object)
    for batch in _batches(todo.iloc[missing], batch_size, progress):
        for place, reason in batch.failures.items():
            reasons[missing[place]] = reason
        if batch.places:
            done = missing[batch.places]
            vectors[done] = _embed_batch(rows["modality"].iloc[0], batch, model)
            if cache:
                cache.put(contents[done], vectors[done], model.space)
    where = pd.Index(contents).get_indexer(rows["content"])
    return vectors[where], reasons[where], len(missing) - pd.notna(reasons).sum()


def _batches(rows: pd.DataFrame, size: int, progress: bool) -> Iterator[Batch]:
    """The batches of rows of one modality, behind a bar that moves when a batch has been worked on."""
    from tqdm.auto import tqdm

    if rows.empty:
        return
    modality = rows["modality"].iloc[0]
    if modality == "text":
        batches = text_batches(rows["text"].tolist(), size)
    else:
        batches = image_batches(rows["image"].tolist(), rows["content"].tolist(), size)
    with tqdm(total=len(rows), desc=f"{modality}s", unit=modality, disable=not progress) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch.places) + len(batch.failures))


def _embed_batch(modality: str, batch: Batch, model: Model) -> np.ndarray:
    return model.embed_texts(batch.inputs) if modality == "text" else model.embed_images(batch.inputs)


def _count(
    rows: pd.DataFrame, model: Model, worked: int, failed: int, seconds: float
) -> dict[str, str | int | float]:
    modality = rows["modality"].iloc[0]
    return {
        "modality": modality,
        "items": len(rows),
        "embedded": worked,
        "cached": len(rows) - worked - failed,
        "failed": failed,
        "cut": model.count_cut(rows["text"].tolist()) if modality == "text" else 0,
        "seconds": seconds,
        "per_second": worked / seconds,
    }


def _skipped(rows: pd.DataFrame, reasons: np.ndarray) -> pd.DataFrame:
    fields = {
        "row": None,
        "source": rows["pair_id"],
        "text": None,
        "reason": reasons,
        "detail": rows["image"],
    }
    types = dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}
    return pd.DataFrame(fields, index=rows.index).astype(types).reset_index(drop=True)
