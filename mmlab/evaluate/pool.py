"""Pooled hits to be judged by several people, and how far these agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.partial import unjudged_hits
from mmlab.evaluate.measures.qrels import add_judgement, read_labels
from mmlab.items.tables import TooFew

ANSWER = ["query_id", "item_id"]
Z = 1.96  # of a 95% interval


@dataclass(frozen=True)
class Pool:
    """The first `k` hits of several systems, put together, and the file that judgements of them are appended to.

    Whose hit it is and its rank are not known to who judges, since that would influence them.

    Attributes:
        systems: name -> rankings of all queries.
        qrels: judgements that are known already; such hits are not judged again.
        labels: the file of judgements by hand; it need not exist yet.
        k: how many first hits of each system.

    >>> ranked = pd.DataFrame({"query_id": "q", "item_id": ["b", "a"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> pool = Pool({"one": ranked}, pd.DataFrame(columns=["query_id", "item_id", "relevance"]), Path("none.jsonl"))
    >>> pool.left(by="someone").to_numpy().tolist()
    [['q', 'a'], ['q', 'b']]
    """

    systems: Mapping[str, pd.DataFrame]
    qrels: pd.DataFrame
    labels: Path
    k: int = 10

    @cached_property
    def hits(self) -> pd.DataFrame:
        """All hits to be judged: query_id, item_id, in the order of the queries and of the item ids."""
        queries = pd.concat([ranked["query_id"] for ranked in self.systems.values()]).unique()
        return unjudged_hits(self.systems, self.qrels, queries, self.k)

    def left(self, by: str) -> pd.DataFrame:
        """Return the hits that this person has not judged: each may be judged by several people."""
        return _without(self.hits, self._of(by))

    def of_query(self, query_id: str, by: str) -> pd.DataFrame:
        """Return the hits of a query with `judged`, the relevance that this person gave, <NA> where they gave none."""
        hits = self.hits[self.hits["query_id"] == query_id].reset_index(drop=True)
        own = self._of(by)
        given = own[own["query_id"] == query_id].drop_duplicates("item_id", keep="last")
        return hits.assign(
            judged=hits["item_id"].map(given.set_index("item_id")["relevance"]).astype("Int64")
        )

    def add(self, query_id: str, item_id: str, relevance: int | None, by: str) -> str:
        """Append the judgement of a person and return a sentence about it; None takes back what they said before."""
        return add_judgement(self.labels, query_id, item_id, relevance, by)

    def agreement(self) -> pd.DataFrame:
        """Return how far each two people agree on the hits that both have judged, see `cohens_kappa`."""
        return cohens_kappa(read_labels(self.labels))

    def _of(self, by: str) -> pd.DataFrame:
        labels = read_labels(self.labels)
        return labels[labels["by"] == by]


def _without(hits: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    there = pd.MultiIndex.from_frame(hits[ANSWER]).isin(pd.MultiIndex.from_frame(known[ANSWER]))
    return hits[~there].reset_index(drop=True)


def cohens_kappa(labels: pd.DataFrame) -> pd.DataFrame:
    """Return how far each two people agree on whether an answer is right, beyond what chance would give.

    labels: query_id, item_id, relevance, by; of several judgements of one answer by one person the last holds. Returns
    a row for each two people who judged some of the same answers: first, second, answers (that both judged), agreed
    (the share that both judged alike), kappa = (agreed - chance) / (1 - chance) with its 95% interval (low, high); NaN
    where both said the same of all. Source: Cohen, A coefficient of agreement for nominal scales (1960).

    >>> judged = {"query_id": "q", "item_id": list("abcd") * 2, "by": ["one"] * 4 + ["two"] * 4}
    >>> labels = pd.DataFrame({**judged, "relevance": [1, 1, 0, 0, 1, 0, 0, 0]})
    >>> cohens_kappa(labels)[["answers", "agreed", "kappa"]].to_numpy().tolist()
    [[4.0, 0.75, 0.5]]
    """
    last = labels.drop_duplicates([*ANSWER, "by"], keep="last")
    said = last.assign(right=last["relevance"] > 0).pivot_table("right", ANSWER, "by", "first", sort=False)
    rows = list(_agreements(said))
    columns = ["first", "second", "answers", "agreed", "kappa", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _agreements(said: pd.DataFrame) -> Iterator[tuple[str, str, int, float, float, float, float]]:
    for first, second in combinations(said.columns, 2):
        both = said[[first, second]].dropna().astype(bool)
        if both.empty:
            continue
        one, other = both[first].to_numpy(), both[second].to_numpy()
        agreed = float((one == other).mean())
        chance = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
        if chance == 1:
            yield (first, second, len(both), agreed, np.nan, np.nan, np.nan)
            continue
        kappa = (agreed - chance) / (1 - chance)
        error = Z * np.sqrt(agreed * (1 - agreed) / len(both)) / (1 - chance)
        yield (first, second, len(both), agreed, kappa, max(kappa - error, -1.0), min(kappa + error, 1.0))


def summarize_agreement(agreement: pd.DataFrame) -> str:
    """Say how far two people agree; raise TooFew where no two have judged the same hit."""
    if agreement.empty:
        raise TooFew("no two people have judged the same hit yet, so their agreement is not known")
    parts = [
        f"{row['first']} and {row['second']} agree on {100 * row['agreed']:.0f} of 100 of {row['answers']:,} hits "
        f"(Cohen's kappa {row['kappa']:.2f}, {row['low']:.2f} to {row['high']:.2f})"
        for row in agreement.to_dict("records")
    ]
    return "; ".join(parts) + "."
