"""Rows of one modality go through the model in lanes, batch by batch, in a batch size given or measured."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import pandas as pd

from mmlab.embed.batch_size import fastest, trial_sizes
from mmlab.embed.batching import cut, cut_alike, cut_evenly, estimate_tokens, longest_first
from mmlab.embed.encode import Done, embed_images, embed_texts
from mmlab.embed.lanes import count_lanes, in_lanes
from mmlab.embed.models import Model


def work_through(
    rows: pd.DataFrame, model: Model, batch_size: int | Literal["auto"]
) -> Iterator[tuple[int, Done]]:
    """What became of each batch of the rows, all of one modality, and its batch size: the last is the chosen one."""
    if rows.empty:
        return
    lanes = count_lanes()
    if rows["modality"].iloc[0] == "text":
        texts = rows["text"].tolist()
        tokens = estimate_tokens(texts)
        order, work = longest_first(tokens, texts), partial(embed_texts, texts=texts, model=model)
        batches = partial(cut_alike, tokens=tokens)
    else:
        paths, contents = rows["image"].tolist(), rows["content"].tolist()
        order, batches = list(range(len(paths))), cut_evenly
        work = partial(embed_images, paths=paths, contents=contents, model=model)
    trial, seconds = trial_sizes(len(order), lanes) if batch_size == "auto" else [], []
    for size, done in zip(trial, in_lanes(work, cut(order, trial), lanes), strict=True):
        seconds.append(done.seconds)
        yield size, done
    size = fastest(trial, seconds, lanes) if batch_size == "auto" else batch_size
    for done in in_lanes(work, batches(order[sum(trial) :], size=size, lanes=lanes), lanes):
        yield size, done
