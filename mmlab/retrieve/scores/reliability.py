"""Do the probabilities hold? What was predicted beside what was observed."""

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.items import check_columns


def reliability(rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 15) -> pd.DataFrame:
    """Bins of equal width over [0, 1]: low, high, predicted (mean score), observed (share of relevant), count.

    A bin holds low <= score < high, the last one 1 too; bins without items are left out. Raises ValueError for
    scores outside [0, 1], which are no probabilities.
    """
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, found {bins}")
    judged = mark_relevant(rankings, qrels)
    if not judged["score"].between(0, 1).all():
        raise ValueError(
            f"expected probabilities in [0, 1], found scores from {judged['score'].min():.4g} to "
            f"{judged['score'].max():.4g}; calibrate the rankings first"
        )
    edges = np.linspace(0, 1, bins + 1)
    place = np.minimum(np.searchsorted(edges, judged["score"], side="right") - 1, bins - 1)
    grouped = judged.groupby(place)
    table = grouped.agg(predicted=("score", "mean"), observed=("relevant", "mean"), count=("score", "size"))
    table.insert(0, "low", edges[table.index])
    table.insert(1, "high", edges[table.index + 1])
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error of a reliability table, in [0, 1]: |observed - predicted|, weighted by count.

    Nearly all items of a deep ranking are irrelevant and fill the first bin, so compare rankings of the same depth.
    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017). Raises ValueError for an empty table.
    """
    check_columns(table, ("predicted", "observed", "count"), "reliability table")
    if table.empty:
        raise ValueError("the reliability table is empty: no ranked item was judged")
    return float(np.average((table["observed"] - table["predicted"]).abs(), weights=table["count"]))
