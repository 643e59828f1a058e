"""Every measure with and without the relevance judged by hand."""

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.qrels import merge_qrels
from mmlab.evaluate.measures.scoring import score_queries
from mmlab.evaluate.statistics.comparison import changed_queries
from mmlab.evaluate.statistics.means import mean_measures
from mmlab.items import is_among

COLUMNS = ["measure", "without", "low", "high", "with", "with_low", "with_high", "queries_changed"]


def compare_labels(
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    labels: pd.DataFrame,
    measures: list[str],
    items: pd.DataFrame,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """One row per measure: its mean on `qrels` (without, low, high) and with `labels` over them (with, with_low,
    with_high), intervals 95 % by pair, and queries_changed: how many queries score otherwise.

    `labels`: judgements of this direction (`labels_between`). A query whose last right answer they take away is
    not judged any more, and one that they give its first is judged now; neither counts as changed. Without
    labels there are no rows.
    """
    if labels.empty:
        return pd.DataFrame(columns=COLUMNS)
    tables = [score_queries(rankings, judged, measures) for judged in (qrels, merge_qrels(qrels, labels))]
    without, with_labels = (mean_measures(table, items, seed) for table in tables)
    both = set(tables[0]["query_id"]) & set(tables[1]["query_id"])
    shared = [table[is_among(table["query_id"], both)] for table in tables]
    changed = [len(changed_queries(*shared, measure)) for measure in measures]
    columns = [without["measure"], *(without[name] for name in ("value", "low", "high"))]
    columns += [with_labels[name] for name in ("value", "low", "high")]
    return pd.concat([*columns, pd.Series(changed)], axis=1).set_axis(COLUMNS, axis=1)
