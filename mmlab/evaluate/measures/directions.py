"""A run's queries scored in both directions, by pairs and by labels."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mmlab.evaluate.measures.qrels import qrels_from_labels, qrels_from_pairs
from mmlab.evaluate.measures.scoring import score_queries
from mmlab.items import DIRECTIONS, QREL_COLUMNS

CUTOFF = 10
GAIN = f"nDCG@{CUTOFF}"
BY_LABELS = f"{GAIN} by labels"


def measure_names(k_values: Sequence[int]) -> list[str]:
    """P, R and Success at each k, then RR, AP and nDCG@10."""
    return [f"{name}@{k}" for name in ("P", "R", "Success") for k in k_values] + ["RR", "AP", GAIN]


def score_directions(
    rankings: Mapping[str, pd.DataFrame],
    qrels: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    k_values: Sequence[int],
) -> dict[str, pd.DataFrame]:
    """Per-query scores for each direction: the measures of `measure_names`, and "nDCG@10 by labels".

    `rankings`, `qrels`: direction -> table. By labels an item of the query's pair is worth 2, one of its label 1
    (`qrels_from_labels`); the column is there only if the items carry labels. Rows are the queries of `qrels`.
    """
    names = measure_names(k_values)
    scores = {name: score_queries(rankings[name], qrels[name], names) for name in qrels}
    if items["label"].notna().any():
        for name, table in scores.items():
            judged = qrels_for_gain(rankings[name], items, *DIRECTIONS[name])
            graded = score_queries(rankings[name], judged, [GAIN])
            graded = graded.set_index("query_id")[GAIN].reindex(table["query_id"])
            scores[name] = table.assign(**{BY_LABELS: graded.to_numpy()})
    return scores


def qrels_for_gain(
    rankings: pd.DataFrame, items: pd.DataFrame, queries: str, gallery: str, k: int = CUTOFF
) -> pd.DataFrame:
    """Of `qrels_from_labels` as much as nDCG@k needs: the answers that are ranked, and k others for the best order.

    A few labels over many items have more right answers than memory has room for.
    """
    pairs = qrels_from_pairs(items, queries, gallery).assign(relevance=2)
    label = items.set_index("item_id")["label"].dropna()
    hits = rankings[["query_id", "item_id"]]
    asked, found = (hits[name].map(label) for name in ("query_id", "item_id"))
    few = items.groupby(["modality", "label"], sort=False).head(k)
    first = few[few["modality"] == gallery]
    most = qrels_from_labels(pd.concat([items[items["modality"] == queries], first]), queries, gallery)
    known = pd.concat([pairs, hits[asked == found].assign(relevance=1), most.assign(relevance=1)])
    return known[list(QREL_COLUMNS)].drop_duplicates(["query_id", "item_id"], ignore_index=True)


def join_directions(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables of both directions below each other, with the column direction in front."""
    columns = ["direction", *next(iter(tables.values())).columns]
    full = [table.assign(direction=name)[columns] for name, table in tables.items() if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=columns)
