"""The queries of one direction that were missed, by the modality that failed, and what a person judged their hits."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmlab.evaluate.measures.qrels import append_labels, merge_qrels, read_labels

ALL_MISSES = "all misses"
RELEVANCE_WORDS = {0: "judged not relevant", 1: "judged relevant"}


@dataclass(frozen=True, repr=False)
class MissedQueries:
    """The missed queries of one direction, and the file of judgements about their hits.

    Attributes:
        explained: query_id and failed (text, image, both, neither, unknown; missing for a query that was found), see
            `explain_queries`.
        rankings: query_id, item_id, rank, score.
        qrels: query_id, item_id, relevance.
        labels: the file that judgements are appended to; it need not exist yet.

    >>> explained = pd.DataFrame({"query_id": ["a", "b", "c"], "failed": ["text", None, "both"]})
    >>> missed = MissedQueries(explained, pd.DataFrame(), pd.DataFrame(), Path("labels.jsonl"))
    >>> missed.query_ids(), missed.query_ids("both")
    (['a', 'c'], ['c'])
    """

    explained: pd.DataFrame
    rankings: pd.DataFrame
    qrels: pd.DataFrame
    labels: Path

    def query_ids(self, kind: str = ALL_MISSES) -> list[str]:
        """Return the missed queries in the order of `explained`; `kind`: ALL_MISSES or a value of failed."""
        missed = self.explained[self.explained["failed"].notna()]
        return (missed if kind == ALL_MISSES else missed[missed["failed"] == kind])["query_id"].tolist()

    def kinds(self) -> list[tuple[str, str]]:
        """Return the kinds that occur with their counts, as ("text failed (3)", "text"); all misses come first."""
        counts = self.explained["failed"].dropna().value_counts()
        first = (f"{ALL_MISSES} ({counts.sum()})", ALL_MISSES)
        return [first, *((f"{kind} failed ({count})", str(kind)) for kind, count in counts.items())]

    def hits(self, query_id: str, k: int = 5) -> pd.DataFrame:
        """Return the first `k` hits of a query as rankings with two more columns.

        relevant: whether the hit is right, by the qrels and the judgements over them. judged: the last relevance that a
        person gave it, <NA> where nobody did.
        """
        hits = self.rankings[self.rankings["query_id"] == query_id].nsmallest(k, "rank")
        right = self.right_answers(query_id)["item_id"]
        given = hits["item_id"].map(self._judgements(query_id).set_index("item_id")["relevance"])
        hits = hits.assign(relevant=hits["item_id"].isin(right), judged=given.astype("Int64"))
        return hits.reset_index(drop=True)

    def right_answers(self, query_id: str) -> pd.DataFrame:
        """Return the qrels of a query with the judgements over them; the qrels alone where nothing is left relevant."""
        own = self.qrels[self.qrels["query_id"] == query_id]
        merged = merge_qrels(own, self._judgements(query_id))
        right = merged[merged["relevance"] > 0]
        return own if right.empty else right

    def add_judgement(self, query_id: str, item_id: str, relevance: int, by: str = "") -> str:
        """Append one judgement to the file and return a sentence about it; `relevance`: 1 or 0, `by`: who judged."""
        row = pd.DataFrame([{"query_id": query_id, "item_id": item_id, "relevance": relevance}])
        version = append_labels(self.labels, row, by)
        return f"{RELEVANCE_WORDS[relevance]}: version {version} of {self.labels.name}"

    def _judgements(self, query_id: str) -> pd.DataFrame:
        """Return the last judgement of each hit of a query."""
        given = read_labels(self.labels)
        return given[given["query_id"] == query_id].drop_duplicates("item_id", keep="last")
