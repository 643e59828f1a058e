"""Items become vectors: each content once, from the cache where it is known, in the order of the items."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from mmlab.embed.cache import VectorCache
from mmlab.embed.models import Model
from mmlab.embed.models.model import refusal
from mmlab.embed.working import work_through
from mmlab.items import SKIPPED_COLUMNS, Vectors, check_items


@dataclass(frozen=True, repr=False)
class Embedded:
    """The vectors in the order of the items, the items that got none, and what was done.

    counts has one row per modality: items, embedded (contents that the model worked on), cached (items whose
    vector was at hand), failed, cut (texts longer than the model's window), halved (batches that did not fit
    into memory and went in two), seconds, per_second (embedded).
    batch_sizes has the size that was given or measured for each modality that the model worked on.
    """

    vectors: Vectors
    skipped: pd.DataFrame
    counts: pd.DataFrame
    batch_sizes: dict[str, int]

    def __repr__(self) -> str:
        done = ", ".join(f"{self.counts[name].sum():,} {name}" for name in ("embedded", "cached", "failed"))
        return f"Embedded({self.vectors!r}; {done})"


class _Rows(NamedTuple):
    """Of rows of one modality: vectors (N, D), why there is none (N,), and what it took."""

    vectors: np.ndarray
    reasons: np.ndarray
    embedded: int
    halved: int
    size: int


def embed_items(
    items: pd.DataFrame,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int | Literal["auto"] = 32,
    progress: bool = True,
) -> Embedded:
    """The vectors of all items in the model's space; an image that cannot be opened is a skipped row.

    With a cache file, known contents are not embedded again and each batch is kept when it is done: what was
    killed goes on where it stopped. `batch_size` "auto" tries several on the first items and goes on with the
    fastest; a batch that does not fit into memory is halved, and an item that does not fit alone is a skipped
    row. Raises ModelError if the model cannot embed a modality of the items, ValueError for the rest.
    """
    _check_request(items, model, batch_size)
    array = np.zeros((len(items), model.space.dimension), dtype=np.float32)
    reasons = np.full(len(items), None, dtype=object)
    counts, sizes = [], {}
    with VectorCache(cache) if cache else nullcontext() as opened:
        for modality in items["modality"].unique():
            chosen = (items["modality"] == modality).to_numpy()
            started = time.perf_counter()
            rows = _embed_rows(items[chosen], model, opened, batch_size, progress)
            array[chosen], reasons[chosen] = rows.vectors, rows.reasons
            counts.append(_count(items[chosen], model, rows, time.perf_counter() - started))
            sizes |= {modality: rows.size} if rows.size else {}
    kept = pd.isna(reasons)
    return Embedded(
        vectors=Vectors(items["item_id"].to_numpy()[kept], array[kept], model.space),
        skipped=_skipped(items[~kept], reasons[~kept]),
        counts=pd.DataFrame(counts),
        batch_sizes=sizes,
    )


def _check_request(items: pd.DataFrame, model: Model, batch_size: int | str) -> None:
    if batch_size != "auto" and not (isinstance(batch_size, int) and batch_size >= 1):
        raise ValueError(f"batch_size: expected 1 or more, or auto, found {batch_size!r}")
    if check_items(items).empty:
        raise ValueError("items: expected at least one, found none: see what ingest skipped, and why")
    for modality in items["modality"].unique():
        if modality not in model.modalities:
            raise refusal(model.space.model, model.modalities, modality)


def _embed_rows(
    rows: pd.DataFrame, model: Model, cache: VectorCache | None, batch_size: int | str, progress: bool
) -> _Rows:
    from tqdm.auto import tqdm

    todo = rows.drop_duplicates("content")
    contents = todo["content"].to_numpy(dtype=object)
    vectors, found = np.zeros((len(todo), model.space.dimension), np.float32), np.zeros(len(todo), bool)
    if cache:
        found, vectors = cache.get(contents, model.space)
    missing = np.flatnonzero(~found)
    reasons, size, halved = np.full(len(todo), None, dtype=object), 0, 0
    name = rows["modality"].iloc[0] + "s"
    with tqdm(
        total=len(missing), desc=name, unit=f" {name}", disable=not progress or not len(missing)
    ) as bar:
        for now, done in work_through(todo.iloc[missing], model, batch_size):
            size, halved = now, halved + done.halved
            places = missing[done.places]
            vectors[places] = _keep(cache, contents[places], done.vectors, model)
            reasons[missing[list(done.failures)]] = list(done.failures.values())
            bar.update(len(places) + len(done.failures))
    where = pd.Index(contents).get_indexer(rows["content"])
    return _Rows(vectors[where], reasons[where], len(missing) - pd.notna(reasons).sum(), halved, size)


def _keep(cache: VectorCache | None, contents: np.ndarray, vectors: np.ndarray, model: Model) -> np.ndarray:
    """The vectors (N, D) as they are in the cache afterwards: where another process was first, its ones."""
    if not cache or not len(contents):
        return vectors
    cache.put(contents, vectors, model.space)
    return cache.get(contents, model.space)[1]


def _count(items: pd.DataFrame, model: Model, rows: _Rows, seconds: float) -> dict[str, str | int | float]:
    modality, failed = items["modality"].iloc[0], pd.notna(rows.reasons).sum()
    return {
        "modality": modality,
        "items": len(items),
        "embedded": rows.embedded,
        "cached": len(items) - rows.embedded - failed,
        "failed": failed,
        "cut": model.count_cut(items["text"].tolist()) if modality == "text" else 0,
        "halved": rows.halved,
        "seconds": seconds,
        "per_second": rows.embedded / seconds,
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
