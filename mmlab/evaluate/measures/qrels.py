"""What counts as a right answer: query_id, item_id, relevance."""

import pandas as pd

from mmlab.items import MODALITIES, QREL_COLUMNS, check_columns


def qrels_from_pairs(items: pd.DataFrame, queries: str, gallery: str) -> pd.DataFrame:
    """Exact relevance: an item answers the queries of the other modality that share its `pair_id`.

    `queries` and `gallery` are "text" and "image", in either order. Returns query_id, item_id and
    relevance 1, one row per right answer. A query whose pair has no item in the gallery has no row:
    it cannot be judged.
    """
    return _join(items, queries, gallery, "pair_id").assign(relevance=1)[list(QREL_COLUMNS)]


def qrels_from_labels(
    items: pd.DataFrame, queries: str, gallery: str, same_pair: int = 2, same_label: int = 1
) -> pd.DataFrame:
    """Graded relevance: `same_pair` for an item of the query's pair, `same_label` for one of its label only.

    One row per right answer, those of a query's pair first. Queries without a label are answered by their
    pair alone. Raises ValueError as `qrels_from_pairs` does, and unless same_pair >= same_label >= 0.
    """
    if not same_pair >= same_label >= 0:
        raise ValueError(f"expected same_pair >= same_label >= 0, found {same_pair} and {same_label}")
    pairs = _join(items, queries, gallery, "pair_id").assign(relevance=same_pair)
    labels = _join(items, queries, gallery, "label").assign(relevance=same_label)
    both = pd.concat([pairs, labels])[list(QREL_COLUMNS)].drop_duplicates(["query_id", "item_id"])
    place, _ = pd.factorize(both["query_id"])
    return both.iloc[place.argsort(kind="stable")].reset_index(drop=True)


def merge_qrels(base: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """`base` with the judgements of `labels` (by hand) over it: where both judge an answer, the label holds.

    Of several labels for one answer the last holds. A label of relevance 0 takes a right answer away; a query
    that has none left is not judged any more.
    """
    for table, what in ((base, "qrels"), (labels, "labels")):
        check_columns(table, QREL_COLUMNS, what)
    both = pd.concat([base[list(QREL_COLUMNS)], labels[list(QREL_COLUMNS)]], ignore_index=True)
    return both.drop_duplicates(["query_id", "item_id"], keep="last", ignore_index=True)


def _join(items: pd.DataFrame, queries: str, gallery: str, column: str) -> pd.DataFrame:
    if sorted((queries, gallery)) != sorted(MODALITIES):
        raise ValueError(f"queries and gallery are 'text' and 'image', found {queries!r} and {gallery!r}")
    check_columns(items, ("item_id", "modality", column), "items")
    known = items[items[column].notna()]
    sides = [known.loc[known["modality"] == side, ["item_id", column]] for side in (queries, gallery)]
    return sides[0].rename(columns={"item_id": "query_id"}).merge(sides[1], on=column)
