"""Every query with where its answer was lost, and which modality failed if it was."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.evaluate.failures.losses import book_losses
from mmlab.evaluate.failures.sides import failed_sides
from mmlab.evaluate.statistics.means import mean_measures
from mmlab.items import Vectors

ORDER = ("text", "image", "both", "neither", "unknown")


def explain_queries(
    stages: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    sides: Mapping[str, Vectors],
    items: pd.DataFrame,
    k: int,
) -> pd.DataFrame:
    """`book_losses` with the columns of `failed_sides` beside: failed, text_share, image_share.

    They are given for the misses: queries without a right answer in the first k of the last stage, missing for
    all others.
    """
    losses = book_losses(stages, qrels, k)
    missed = losses.loc[~losses[list(stages)[-1]], "query_id"].tolist()
    failed = failed_sides(sides, items, qrels, missed)
    return losses.merge(failed.drop(columns="item_id"), on="query_id", how="left")


def share_failed(explained: pd.DataFrame, items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Of the misses the share of each kind of failure: failed, value, low, high (95 %, by pair), queries.

    One row each for text, image, both, neither and unknown; no rows without misses.
    """
    missed = explained[explained["failed"].notna()]
    if missed.empty:
        return pd.DataFrame(columns=["failed", "value", "low", "high", "queries"])
    kinds = {name: (missed["failed"] == name).astype(float) for name in ORDER}
    means = mean_measures(pd.DataFrame({"query_id": missed["query_id"], **kinds}), items, seed)
    counts = np.array([int(column.sum()) for column in kinds.values()])
    table = means.rename(columns={"measure": "failed"}).assign(queries=counts)
    return table[["failed", "value", "low", "high", "queries"]]
