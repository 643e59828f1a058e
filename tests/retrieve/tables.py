"""Small rankings written by hand, and arbitrary ones."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mmlab.items.rankings import rankings_from_scores

Scores = dict[str, dict[str, float]]


def rankings(scores: Scores) -> pd.DataFrame:
    """{query: {item: score}} as rankings."""
    rows = [
        (query, item, rank, score)
        for query, found in scores.items()
        for rank, (item, score) in enumerate(
            sorted(found.items(), key=lambda hit: (-hit[1], hit[0])), start=1
        )
    ]
    table = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    return table.astype({"query_id": "str", "item_id": "str", "rank": "int64", "score": "float64"})


def scores_of(table: pd.DataFrame) -> Scores:
    """The way back."""
    found: Scores = {}
    for row in table.itertuples():
        found.setdefault(row.query_id, {})[row.item_id] = row.score
    return found


def order_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """{query: its items from first to last}, by rank."""
    return {query: part.sort_values("rank")["item_id"].tolist() for query, part in table.groupby("query_id")}


def qrels(right: dict[str, list[str]]) -> pd.DataFrame:
    """{query: its right items} as qrels."""
    rows = [(query, item, 1) for query, items in right.items() for item in items]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


# Steps of 1/64: sums and differences are exact, so that what differs stays different.
SCORES = st.integers(-640, 640).map(lambda step: step / 64)
FOUND = st.dictionaries(st.sampled_from("abcdefgh"), SCORES, min_size=1, max_size=8)
SOME_RANKINGS = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), FOUND, min_size=1, max_size=3).map(
    rankings
)


def random_rankings(k: int) -> list[pd.DataFrame]:
    """Two systems, 20 queries, the best k of 30 items, no ties."""
    rng = np.random.default_rng(0)
    queries, items = [f"q{i}" for i in range(20)], [f"i{i:02}" for i in range(30)]
    return [rankings_from_scores(rng.standard_normal((20, 30)), queries, items, k) for _ in range(2)]
