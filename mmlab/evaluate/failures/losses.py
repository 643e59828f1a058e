"""Where right answers are lost: the model, the index, the quantization, or what comes after."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.ranks import right_ranks
from mmlab.evaluate.statistics.means import pairs_of
from mmlab.evaluate.statistics.resampling import bootstrap_intervals

FOUND, NEVER = "found", "never close"
NO_STAGE = ("query_id", "booked", "failed", "text_share", "image_share")


def book_losses(stages: Mapping[str, pd.DataFrame], qrels: pd.DataFrame, k: int) -> pd.DataFrame:
    """Book every query once: query_id, booked, and per stage whether a right answer stands in the first k.

    `stages`: name -> rankings, in order: exact search first, then e.g. the index, the quantized index, the
    fused result. A query is booked by what the first and the last stage say, ties against it:

    - found by both: "found"
    - found by the first only: "lost by <stage>", the last stage that turned found into not found
    - found by the last only: "gained by <stage>", the last stage that turned not found into found
    - found by neither: "never close", an error of the model

    Raises ValueError for fewer than two stages or k under 1.
    """
    if len(stages) < 2 or k < 1:
        raise ValueError(f"expected two stages or more and k >= 1, found {list(stages)} and k={k}")
    found = {name: _found(rankings, qrels, k) for name, rankings in stages.items()}
    names, hits = list(stages), np.column_stack([column.to_numpy() for column in found.values()])
    booked = np.where(hits[:, 0], FOUND, NEVER).astype(object)
    for way, changed in (("lost", hits[:, :-1] & ~hits[:, 1:]), ("gained", ~hits[:, :-1] & hits[:, 1:])):
        net = hits[:, 0] & ~hits[:, -1] if way == "lost" else ~hits[:, 0] & hits[:, -1]
        last = changed.shape[1] - changed[:, ::-1].argmax(axis=1)
        booked[net] = [f"{way} by {names[stage]}" for stage in last[net]]
    queries = next(iter(found.values())).index
    return pd.DataFrame({"query_id": queries, "booked": booked, **{n: found[n].to_numpy() for n in names}})


def loss_waterfall(
    losses: pd.DataFrame, items: pd.DataFrame, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """The sums of `book_losses`: booked, queries, share, low, high (95 %, by pair); the queries add up to all.

    Order: found, then for each stage what it gained and lost (stages that did neither show 0 losses), never close.
    """
    stages = [name for name in losses.columns if name not in NO_STAGE]
    rows = [FOUND]
    for _, stage in pairwise(stages):
        gained, lost = f"gained by {stage}", f"lost by {stage}"
        rows += [gained, lost] if (losses["booked"] == gained).any() else [lost]
    rows.append(NEVER)
    values = np.column_stack([losses["booked"] == row for row in rows]).astype(float)
    low, high = bootstrap_intervals(values, pairs_of(losses["query_id"], items), seed=seed).T
    counts = values.sum(axis=0).astype(int)
    return pd.DataFrame(
        {"booked": rows, "queries": counts, "share": values.mean(axis=0), "low": low, "high": high}
    )


def waterfall_changes(losses: pd.DataFrame) -> pd.DataFrame:
    """The same as a way down from all queries to those found in the end: step, queries (each change, signed).

    "queries" first, then what the first stage misses, then what each stage after it loses and gains; their sum is
    the number that the last stage finds.
    """
    first, *others = [name for name in losses.columns if name not in NO_STAGE]
    rows = [("queries", len(losses)), (f"missed by {first} search", -int((~losses[first]).sum()))]
    for name in others:
        lost, gained = (int((losses["booked"] == f"{way} by {name}").sum()) for way in ("lost", "gained"))
        rows.append((f"lost by {name}", -lost))
        rows += [(f"gained by {name}", gained)] if gained else []
    return pd.DataFrame(rows, columns=["step", "queries"])


def _found(rankings: pd.DataFrame, qrels: pd.DataFrame, k: int) -> pd.Series:
    ranks = right_ranks(rankings, qrels)
    return (ranks["rank"] <= k).groupby(ranks["query_id"], sort=False).any()
