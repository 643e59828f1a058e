"""Several models embed the same items, each those that it can, and are described side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.embed.embedding import QUERY, Embedded, embed_items, embed_with_queries
from mmlab.embed.models import load_for, load_model
from mmlab.embed.models.interface import check_prompts, unsupported_modality
from mmlab.items import Space, Vectors, is_among
from mmlab.items.options import entries_of
from mmlab.items.parameter_table import check_values

FULL_PRECISION = "float32"
# Items of each modality that are embedded again for their cosine to float32.
PRECISION_SAMPLE = 32
WORK_COLUMNS = ("items", "embedded", "cached", "failed", "truncated", "halved", "per_second")
ROW_COLUMNS = ("smallest norm", "largest norm", "norm of the mean", "least cosine to float32")


def embed_with_models(
    items: pd.DataFrame,
    models: Sequence[str],
    prompts: Sequence[str] = (),
    precision: str = FULL_PRECISION,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> list[Embedded]:
    """Embed with each model the items that it can; return what `embed_with_queries` does, in the order of the models.

    models, prompts, precision: as in `load_model`. cache, batch_size, progress: as in `embed_items`.
    One model is in memory at a time. Raises ValueError if two models make the same space or none is given, ModelError
    if one cannot be loaded or embeds none of the items.
    """
    check_values(models=entries_of(models), precision=precision, batch_size=batch_size)
    prompts = check_prompts(prompts)
    results: dict[Space, Embedded] = {}
    for name in models:
        model = load_model(name, precision=precision, prompts=prompts)
        if model.space in results:
            raise ValueError(f"models: expected different ones, found {name!r} twice: {list(models)}")
        chosen = items[items["modality"].isin(model.modalities)]
        if chosen.empty and len(items):
            raise unsupported_modality(name, model.modalities, items["modality"].iloc[0])
        results[model.space] = embed_with_queries(chosen, model, cache, batch_size, progress)
        # Free its memory for the next model.
        del model
    return list(results.values())


def describe_spaces(results: Sequence[Embedded]) -> pd.DataFrame:
    """Return the fields of each space: a row per field (column `part`), a column per space, called by its key.

    The last row says whether a text that asks is embedded in another way than one that is found.
    """
    spaces = [result.vectors.space for result in results]
    columns = {
        result.vectors.space.key: [*result.vectors.space.to_dict().values(), _asked_as(result)]
        for result in results
    }
    return pd.DataFrame({"part": [*spaces[0].to_dict(), "texts that ask"], **columns})


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
    modality_by_id = items.set_index("item_id")["modality"]
    rows = []
    for vectors in [result.vectors for result in results]:
        modalities, cosines = modality_by_id.loc[vectors.ids].to_numpy(), cosines_to_float32(vectors, items)
        for modality in pd.unique(modalities):
            part = vectors.array[modalities == modality]
            norms, mean = np.linalg.norm(part, axis=1), np.linalg.norm(part.mean(axis=0))
            least = cosines[modality_by_id.loc[cosines.index] == modality].min()
            rows.append((vectors.space.key, modality, norms.min(), norms.max(), mean, least))
    return pd.DataFrame(rows, columns=["space", "modality", *ROW_COLUMNS])


def cosines_to_float32(
    vectors: Vectors, items: pd.DataFrame, sample_size: int = PRECISION_SAMPLE
) -> pd.Series:
    """Return the cosine in [-1, 1] of vectors to the same ones in float32, by item id.

    At most `sample_size` items of each modality are embedded again in float32. Vectors that are float32 themselves
    have a cosine of 1, and nothing is embedded.
    """
    known = items[is_among(items["item_id"], vectors.ids)]
    sample = pd.concat([_spread(rows, sample_size) for _, rows in known.groupby("modality", sort=False)])
    space = vectors.space
    preprocessing, precision = space.preprocessing.rsplit(", ", 1)
    if precision == FULL_PRECISION:
        return pd.Series(1.0, index=sample["item_id"])
    exact_space = replace(space, preprocessing=f"{preprocessing}, {FULL_PRECISION}")
    exact = embed_items(sample, load_for(exact_space), progress=False).vectors
    near = vectors.take(exact.ids)
    return pd.Series((near.array * exact.array).sum(axis=1), index=exact.ids)


def _spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows from the first to the last, at even distances."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
