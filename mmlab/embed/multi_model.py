"""Several models embed the same items, each those that it can, and the queries of a user.

Settings of one model are measured side by side.
"""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from mmlab.embed.embedding import QUERY, Embedded, embed_items, embed_with_queries, encode_timed
from mmlab.embed.encode import OUT_OF_MEMORY, count_workers
from mmlab.embed.models import Model, ModelError, load_for, load_model
from mmlab.embed.models.interface import check_prompts, unsupported_modality
from mmlab.embed.ray_engine import RayEngine
from mmlab.items import ITEM_COLUMNS, Space, Vectors, is_among, open_image, unit_rows
from mmlab.items.files import file_hash
from mmlab.items.options import entries_of
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.tables import Ids, places_among, rows_where
from mmlab.items.vector_files import blocks_of
from mmlab.items.vectors import DENSE

T = TypeVar("T")

LOCAL, RAY = "local", "ray"
FULL_PRECISION, INT8 = "float32", "int8"
# Items of each modality that are embedded again for their cosine to float32.
PRECISION_SAMPLE = 32
WORK_COLUMNS = ("items", "embedded", "cached", "failed", "truncated", "halved", "per_second")
ROW_COLUMNS = ("smallest norm", "largest norm", "norm of the mean", "least cosine to float32")
# To float32, of a sample: what "auto" asks of int8.
GOOD_COSINE = 0.999
REFUSED = "model %r: precision auto leaves int8 alone: %s"
SETTING = ("modality", "precision", "batch_size")
FIGURES = ("items_per_second", "memory_mb", "cosine_least", "cosine_mean")
# Between two readings of the resident memory.
SECONDS_BETWEEN_READINGS = 0.005

log = logging.getLogger(__name__)


def embed_with_models(
    items: pd.DataFrame,
    models: Sequence[str],
    prompts: Sequence[str] = (),
    precision: str = FULL_PRECISION,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
    pool_tokens: int = 1,
    truncate_dim: int = 0,
    engine: str = LOCAL,
    own_queries: pd.DataFrame | None = None,
) -> list[Embedded]:
    """Embed with each model the items that it can; return what `embed_with_queries` does, in the order of the models.

    models, prompts, precision, pool_tokens, truncate_dim: as in `load_model`; but "auto" is int8 where that is
    installed and faster, and where a sample of the items has cosines to float32 of GOOD_COSINE at least. cache,
    batch_size, progress: as in `embed_items`. engine: "local", or "ray" for a cluster (see `RayEngine`).
    own_queries: the user's own queries, see `embed_own_queries`.
    One model is in memory at a time. Raises ValueError if two models make the same space or none is given, ModelError
    if one cannot be loaded or embeds none of the items, and what `RayEngine` raises.
    """
    check_values(
        models=entries_of(models),
        precision=precision,
        batch_size=batch_size,
        pool_tokens=pool_tokens,
        truncate_dim=truncate_dim,
        engine=engine,
    )
    prompts = check_prompts(prompts)
    results: dict[Space, Embedded] = {}
    with RayEngine() if engine == RAY else nullcontext() as cluster:
        encode = cluster.encode if cluster else encode_timed
        for name in models:
            model = _load(name, precision, prompts, items, pool_tokens=pool_tokens, truncate_dim=truncate_dim)
            if model.space in results:
                raise ValueError(f"models: expected different ones, found {name!r} twice: {list(models)}")
            found = embed_with_queries(
                _embeddable(items, model, name), model, cache, batch_size, progress, encode
            )
            own = embed_own_queries(own_queries, model, cache, batch_size, progress)
            results[model.space] = replace(found, own_queries=own)
            # Free its memory for the next model.
            del model
    return list(results.values())


def _embeddable(items: pd.DataFrame, model: Model, name: str) -> pd.DataFrame:
    embeddable = items["modality"].isin(model.modalities)
    if len(items) and not embeddable.any():
        raise unsupported_modality(name, model.modalities, items["modality"].iloc[0])
    return items if embeddable.all() else rows_where(items, embeddable)


def _load(name: str, precision: str, prompts: Sequence[str], items: pd.DataFrame, **settings: Any) -> Model:
    """Load a model; say in one line why "auto" leaves int8 alone where it does."""
    if precision == "auto" and _gains_from_int8():
        try:
            model = load_model(name, precision=INT8, prompts=prompts, **settings)
            least = _least_cosine(model, items)
        except ModelError as error:
            log.warning(REFUSED, name, error)
        else:
            if least >= GOOD_COSINE:
                return model
            log.warning(REFUSED, name, f"the least cosine to float32 is {least:.5f}, under {GOOD_COSINE}")
    return load_model(name, precision=precision, prompts=prompts, **settings)


def _gains_from_int8() -> bool:
    from mmlab.embed.models.int8 import gains_from_int8

    return gains_from_int8()


def _least_cosine(model: Model, items: pd.DataFrame) -> float:
    held = items["modality"].isin(model.modalities).to_numpy()
    if not held.any():
        return 1.0
    sample = _spread_by_modality(items, held)
    vectors = embed_items(sample, model, progress=False).dense
    return float(cosines_to_float32(vectors, sample).min())


def embed_own_queries(
    queries: pd.DataFrame | None,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> AnyVectors | None:
    """Return the vectors of queries as they ask; None where there are none that the model can be asked.

    queries: query_id, text and image (the path of a file), "" where a query has none. A query of both is one input of a
    model that takes such; otherwise it is the unit mean of both vectors, and what the model reads of it where that is
    one of them. An image that cannot be opened does not ask. Models of weighted terms or token vectors are asked by
    text alone.

    Example: `embed_own_queries(queries, load_model("demo"))`.
    """
    if queries is None:
        return None
    dense = model.space.kind == DENSE
    known = [one for one in model.modalities if one == "text" or dense]
    found = {one: _embed_part(queries, one, model, cache, batch_size, progress) for one in known}
    parts = {one: vectors for one, vectors in found.items() if vectors is not None}
    if not parts:
        return None
    if len(parts) == 1 or not dense:
        return next(iter(parts.values()))
    return _joined(queries, parts["text"], parts["image"], model)


def _embed_part(
    queries: pd.DataFrame, modality: str, model: Model, cache: Any, batch_size: int, progress: bool
) -> Any:
    """Return the vectors of the texts or of the images of the queries; None where there are none."""
    part = queries[queries[modality] != ""]
    rows = _as_items(part, modality)
    if rows.empty:
        return None
    vectors: Any = embed_items(rows, model, cache, batch_size, progress, as_queries=True).vectors
    return replace(vectors, queries=None) if len(vectors) else None


def _as_items(queries: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Return the texts or the images of queries as a table of items, without images that are not there."""
    if modality == "image":
        there = np.array([Path(path).is_file() for path in queries["image"]], dtype=bool)
        queries = queries[there]
        contents = [file_hash(path) for path in queries["image"]]
    else:
        contents = [sha256(text.encode()).hexdigest() for text in queries["text"]]
    given = {"item_id": queries["query_id"], "modality": modality, modality: queries[modality]}
    table = pd.DataFrame({**dict.fromkeys(ITEM_COLUMNS), **given, "content": contents})
    return table.assign(pair_id=table["item_id"]).reset_index(drop=True)


def _joined(queries: pd.DataFrame, texts: Vectors, images: Vectors, model: Model) -> Vectors:
    """Return one row for each query: of its text, of its image, or of both."""
    asked = queries["query_id"].to_numpy(dtype=str)
    both = asked[is_among(asked, texts.ids) & is_among(asked, images.ids)]
    alone = [own.take(own.ids[~is_among(own.ids, both)]) for own in (texts, images)]
    rows = _rows_of_both(queries.set_index("query_id").loc[both], texts.take(both), images.take(both), model)
    ids = np.concatenate([*(one.ids for one in alone), both])
    vectors = Vectors(ids, np.concatenate([*(one.array for one in alone), rows]), model.space)
    return vectors.take(asked[is_among(asked, ids)])


def _rows_of_both(queries: pd.DataFrame, texts: Vectors, images: Vectors, model: Model) -> np.ndarray:
    """Return unit rows (N, D) of queries of a text and an image: as one input, or the mean of both vectors."""
    rows = texts.array + images.array
    for place, (text, path) in enumerate(zip(queries["text"], queries["image"], strict=True)):
        try:
            rows[place] = model.embed_both([text], [open_image(path)], as_queries=True)[0]
        except ModelError:  # the model takes no such input
            break
    return unit_rows(rows)


def describe_spaces(results: Sequence[Embedded]) -> pd.DataFrame:
    """Return the fields of each space: a row per field (column `part`), a column per space, called by its key.

    Then what a vector is (dense, sparse or late) and how many bytes one has on average. The last row says whether a
    text that asks is embedded in another way than one that is found.
    """
    spaces = [result.vectors.space for result in results]
    columns = {
        space.key: [*space.to_dict().values(), space.kind, round(result.bytes_per_item), _asked_as(result)]
        for space, result in zip(spaces, results, strict=True)
    }
    return pd.DataFrame(
        {"part": [*spaces[0].to_dict(), "kind", "bytes an item", "texts that ask"], **columns}
    )


def _asked_as(result: Embedded) -> str:
    if "text" not in set(result.counts["modality"]):
        return "none"
    return "as queries" if QUERY in set(result.counts["side"]) else "as they are found"


def describe_work(results: Sequence[Embedded]) -> pd.DataFrame:
    """Return what each model did: a row per space, modality and side with the counts of `Embedded`."""
    rows = [result.counts.assign(space=result.vectors.space.key) for result in results]
    table = pd.concat(rows, ignore_index=True)[["space", "modality", "side", *WORK_COLUMNS]]
    return table.rename(columns={"per_second": "items per second"})


def describe_rows(results: Sequence[Embedded], items: pd.DataFrame) -> pd.DataFrame:
    """Describe the unit rows of each space and modality of the items.

    Returns space, modality, smallest norm, largest norm, norm of the mean (in [0, 1]; 1 if all vectors point the same
    way) and least cosine to float32: of a sample to its vectors in float32, 1 where they are float32 themselves.
    """
    rows = []
    for vectors in [result.dense for result in results]:
        modalities, cosines = _modalities(vectors.id_texts, items), cosines_to_float32(vectors, items)
        near = _modalities(cosines.index.to_numpy(), items)
        for modality in modalities.unique():
            figures = _describe_norms(vectors.array, np.flatnonzero(modalities == modality))
            rows.append((vectors.space.key, modality, *figures, cosines[near == modality].min()))
    return pd.DataFrame(rows, columns=["space", "modality", *ROW_COLUMNS])


def _modalities(ids: Ids, items: pd.DataFrame) -> Any:
    """Return the modality of each of these items."""
    return items["modality"].array.take(places_among(ids, items["item_id"]))


def _describe_norms(array: np.ndarray, rows: np.ndarray) -> tuple[float, float, float]:
    """Return the least and the largest norm of these rows (N, D), and the norm of their mean, read block by block."""
    least, largest, total = np.inf, 0.0, np.zeros(array.shape[1])
    for part in blocks_of(len(rows)):
        block = array[rows[part]]
        norms = np.linalg.norm(block, axis=1)
        least, largest = min(least, float(norms.min())), max(largest, float(norms.max()))
        total += block.sum(axis=0, dtype=float)
    return least, largest, float(np.linalg.norm(total / len(rows)))


def cosines_to_float32(
    vectors: Vectors, items: pd.DataFrame, sample_size: int = PRECISION_SAMPLE
) -> pd.Series:
    """Return the cosine in [-1, 1] of vectors to the same ones in float32, by item id.

    At most `sample_size` items of each modality are embedded again in float32. Vectors that are float32 themselves
    have a cosine of 1, and nothing is embedded.
    """
    sample = _spread_by_modality(items, is_among(items["item_id"], vectors.id_texts), sample_size)
    space = vectors.space
    preprocessing, precision = space.preprocessing.rsplit(", ", 1)
    if precision == FULL_PRECISION:
        return pd.Series(1.0, index=sample["item_id"])
    exact_space = replace(space, preprocessing=f"{preprocessing}, {FULL_PRECISION}")
    exact = embed_items(sample, load_for(exact_space), progress=False).dense
    near = vectors.take(exact.ids)
    return pd.Series((near.array * exact.array).sum(axis=1), index=exact.ids)


def _spread_by_modality(items: pd.DataFrame, held: np.ndarray, count: int = PRECISION_SAMPLE) -> pd.DataFrame:
    """Return `count` of the items held (N,) of each modality, from the first to the last, at even distances."""
    chosen = []
    for modality in items["modality"].unique():
        places = np.flatnonzero(held & (items["modality"] == modality).to_numpy())
        chosen.append(places[np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).astype(int))])
    return items.iloc[np.concatenate(chosen)]


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
        try:
            embedder = reference if precision == FULL_PRECISION else load_model(model, device, precision)
        except ModelError as error:  # not every network converts to int8
            rows += _unmeasured(modalities, precision, batch_sizes, str(error))
            continue
        for modality in modalities:
            chosen = items[items["modality"] == modality].drop_duplicates("content")
            exact = embed_items(chosen, reference, progress=False).dense
            found = _sweep(chosen, embedder, sorted(batch_sizes), rounds, exact)
            rows += [{"modality": modality, "precision": precision} | row for row in found]
    return pd.DataFrame(rows, columns=[*SETTING, *FIGURES, "problem"])


def _unmeasured(
    modalities: Sequence[str], precision: str, sizes: Sequence[int], problem: str
) -> list[dict[str, object]]:
    row = {**dict.fromkeys(FIGURES, np.nan), "precision": precision, "problem": problem}
    return [row | {"modality": name, "batch_size": size} for name in modalities for size in sorted(sizes)]


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
    cosines = (embedded.dense.array * exact.take(embedded.dense.ids).array).sum(axis=1)
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
