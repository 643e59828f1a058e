"""Several models embed the same items, each what it can, and are told side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mmlab.embed.embedding import Embedded, embed_items
from mmlab.embed.models import load_for, load_model
from mmlab.embed.models.model import refusal
from mmlab.items import Space, Vectors, is_among

EXACT = "float32"
SAMPLE = 32  # items of each modality that are embedded again for the cosine to float32


def embed_with_models(
    items: pd.DataFrame,
    models: Sequence[str],
    prompts: Sequence[str] = (),
    precision: str = EXACT,
    cache: str | Path | None = None,
    batch_size: int | Literal["auto"] = 32,
    progress: bool = True,
) -> list[Embedded]:
    """What `embed_items` returns for each model of the list, in its order, and for the items that it embeds.

    One model is in memory at a time; one that reads no texts has no use for the prompts. Raises ValueError if
    two of them make one space, ModelError if one cannot be loaded or embeds none of the items.
    """
    done: dict[Space, Embedded] = {}
    for name in models:
        model = load_model(name, precision=precision, prompts=prompts)
        if model.space in done:
            raise ValueError(f"models: expected different ones, found {name!r} twice: {list(models)}")
        chosen = items[items["modality"].isin(model.modalities)]
        if chosen.empty and len(items):
            raise refusal(name, model.modalities, items["modality"].iloc[0])
        done[model.space] = embed_items(chosen, model, cache, batch_size, progress)
        del model  # its memory is the next one's
    if not done:
        raise ValueError("models: expected at least one, found none")
    return list(done.values())


def describe_spaces(results: Sequence[Embedded]) -> pd.DataFrame:
    """The parts of each space: a row per part, a column per space."""
    spaces = [result.vectors.space for result in results]
    columns = {space.key: list(space.to_dict().values()) for space in spaces}
    return pd.DataFrame({"part": list(spaces[0].to_dict()), **columns})


def describe_work(results: Sequence[Embedded]) -> pd.DataFrame:
    """What each model did, a row per space and modality: the counts of `Embedded`, and the batch size."""
    rows = []
    for result in results:
        sizes = result.counts["modality"].map(result.batch_sizes).astype("Int64").astype(str)
        rows.append(result.counts.assign(batch=sizes.replace("<NA>", "-"), space=result.vectors.space.key))
    names = ("items", "embedded", "cached", "failed", "cut", "halved", "batch", "per_second")
    told = pd.concat(rows, ignore_index=True)[["space", "modality", *names]]
    return told.rename(columns={"per_second": "items per second"})


def describe_rows(results: Sequence[Embedded], items: pd.DataFrame) -> pd.DataFrame:
    """What the unit rows look like, per space and modality of the items.

    space, modality, smallest norm, largest norm, norm of the mean vector in [0, 1] (1: all point one way), and
    the least cosine of a sample to its vectors in float32, which is 1 where they are float32 themselves.
    """
    modality = items.set_index("item_id")["modality"]
    rows = []
    for vectors in [result.vectors for result in results]:
        kinds, cosines = modality.loc[vectors.ids].to_numpy(), cosines_to_float32(vectors, items)
        for kind in pd.unique(kinds):
            part = vectors.array[kinds == kind]
            norms, mean = np.linalg.norm(part, axis=1), np.linalg.norm(part.mean(axis=0))
            least = cosines[modality.loc[cosines.index] == kind].min()
            rows.append((vectors.space.key, kind, norms.min(), norms.max(), mean, least))
    names = ("smallest norm", "largest norm", "norm of the mean", "least cosine to float32")
    return pd.DataFrame(rows, columns=["space", "modality", *names])


def cosines_to_float32(vectors: Vectors, items: pd.DataFrame, sample: int = SAMPLE) -> pd.Series:
    """Item id -> the cosine in [-1, 1] of its vector to the one in float32, of some items of each modality.

    The model embeds the sample again in float32; vectors that are float32 have 1 without that.
    """
    held = items[is_among(items["item_id"], vectors.ids)]
    kept = pd.concat([_spread(rows, sample) for _, rows in held.groupby("modality", sort=False)])
    space = vectors.space
    parts, precision = space.preprocessing.rsplit(", ", 1)
    if precision == EXACT:
        return pd.Series(1.0, index=kept["item_id"])
    exact_space = replace(space, preprocessing=f"{parts}, {EXACT}")
    exact = embed_items(kept, load_for(exact_space), progress=False).vectors
    near = vectors.take(exact.ids)
    return pd.Series((near.array * exact.array).sum(axis=1), index=exact.ids)


def _spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """So many rows from first to last, at even distances."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
