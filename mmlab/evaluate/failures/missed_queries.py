"""The queries that missed, by what failed, one at a time; and the judgement of a hit by hand."""

from html import escape
from pathlib import Path

import pandas as pd

from mmlab.evaluate import merge_qrels, read_labels
from mmlab.evaluate.measures.qrels import append_labels
from mmlab.visualize import Html, query_gallery

ALL = "all misses"
JUDGED = {0: "judged not relevant", 1: "judged relevant"}


def failures(explained: pd.DataFrame, kind: str = ALL) -> list[str]:
    """The query_ids of the misses of one kind, in the order of `explained` (query_id, failed; see `explain_queries`).

    kind: ALL, or a value of `failed`: text, image, both, neither, unknown.
    """
    missed = explained[explained["failed"].notna()]
    return (missed if kind == ALL else missed[missed["failed"] == kind])["query_id"].tolist()


def failure_kinds(explained: pd.DataFrame) -> list[tuple[str, str]]:
    """The kinds that occur with their counts, ("text (3)", "text"), all misses first."""
    counts = explained["failed"].dropna().value_counts()
    kinds = [(f"{ALL} ({counts.sum()})", ALL)]
    return kinds + [(f"{kind} failed ({count})", str(kind)) for kind, count in counts.items()]


def failures_gallery(
    explained: pd.DataFrame,
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    kind: str = ALL,
    most: int = 3,
) -> Html:
    """The first `most` failures of a kind with their right answer and what was found: what the inspect panel walks."""
    chosen = failures(explained, kind)
    if not chosen:
        return Html(f"<p>No query failed ({escape(kind)}).</p>")
    return query_gallery(chosen[:most], rankings, qrels, items)


def judged_hits(
    query_id: str, rankings: pd.DataFrame, qrels: pd.DataFrame, labels: Path, k: int = 5
) -> pd.DataFrame:
    """The first `k` hits of a query with `relevant`, by the qrels and the labels over them, and `judged`.

    judged: the last relevance that was given by hand, missing where there is none.
    """
    hits = rankings[rankings["query_id"] == query_id].nsmallest(k, "rank")
    own = _by_hand(query_id, labels)
    right = judged_qrels(query_id, qrels, labels)["item_id"]
    given = hits["item_id"].map(own.set_index("item_id")["relevance"]).astype("Int64")
    return hits.assign(relevant=hits["item_id"].isin(right), judged=given).reset_index(drop=True)


def judged_qrels(query_id: str, qrels: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """What is right for a query, by the qrels and the labels over them; by the qrels alone where nothing is left."""
    own = qrels[qrels["query_id"] == query_id]
    known = merge_qrels(own, _by_hand(query_id, labels))
    right = known[known["relevance"] > 0]
    return own if right.empty else right


def _by_hand(query_id: str, labels: Path) -> pd.DataFrame:
    """The last judgement of each answer to a query."""
    given = read_labels(labels)
    return given[given["query_id"] == query_id].drop_duplicates("item_id", keep="last")


def judge_hit(labels: Path, query_id: str, item_id: str, relevance: int, by: str = "") -> str:
    """Append one judgement to the labels and say so: which version of the file holds it."""
    row = pd.DataFrame([{"query_id": query_id, "item_id": item_id, "relevance": relevance}])
    version = append_labels(labels, row, by)
    return f"{JUDGED[relevance]}: version {version} of {labels.name}"
