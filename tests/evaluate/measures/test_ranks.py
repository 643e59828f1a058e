"""Ranks of the right answers, and equal scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.evaluate import mark_relevant, right_ranks

QRELS = pd.DataFrame({"query_id": ["q", "q", "p"], "item_id": ["a", "b", "a"], "relevance": [1, 2, 1]})


def ranked(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def test_each_right_answer_has_its_rank_or_none() -> None:
    ranks = right_ranks(ranked(("q", "x", 1, 0.9), ("q", "b", 2, 0.8), ("other", "a", 1, 1.0)), QRELS)
    assert ranks[["query_id", "item_id", "relevance"]].equals(QRELS)
    assert ranks["rank"].tolist() == pytest.approx([np.nan, 2, np.nan], nan_ok=True)


def test_among_equal_scores_the_less_relevant_come_first_or_the_given_rank_holds() -> None:
    tied = ranked(("q", "b", 1, 0.5), ("q", "a", 2, 0.5), ("q", "x", 3, 0.5))
    assert right_ranks(tied, QRELS)["rank"].tolist()[:2] == [2, 3]  # x, a, b
    assert right_ranks(tied, QRELS, ties="as ranked")["rank"].tolist()[:2] == [2, 1]


@pytest.mark.parametrize(
    ("rows", "ties", "message"),
    [
        ([("q", "a", 1, 0.5)], "for us", "unknown ties 'for us'; known: 'against', 'as ranked'"),
        ([("q", "a", 1, np.nan)], "against", "1 scores are NaN"),
        ([("q", "a", 1, 0.5), ("q", "a", 2, 0.4)], "against", "a is ranked 2 times for q"),
    ],
)
def test_what_cannot_be_ranked_is_named(rows: list, ties: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        right_ranks(ranked(*rows), QRELS, ties)


def test_an_answer_judged_twice_is_named() -> None:
    with pytest.raises(ValueError, match="1 right answers are there twice, first a of q"):
        right_ranks(ranked(("q", "a", 1, 0.5)), pd.concat([QRELS, QRELS.head(1)]))


def test_the_hits_of_judged_queries_are_marked() -> None:
    hits = ranked(("q", "x", 1, 3), ("q", "b", 2, 2), ("other", "a", 1, 3), ("r", "a", 1, 1))
    judged = pd.concat([QRELS, pd.DataFrame({"query_id": ["r"], "item_id": ["a"], "relevance": [0]})])
    marked = mark_relevant(hits, judged)
    assert list(zip(marked["query_id"], marked["item_id"], marked["relevant"], strict=True)) == [
        ("q", "x", False), ("q", "b", True), ("r", "a", False),
    ]  # fmt: skip
    assert marked["score"].tolist() == [3.0, 2.0, 1.0]
    assert marked["score"].dtype == "float64"
    assert list(hits.columns) == ["query_id", "item_id", "rank", "score"]


def test_scores_that_are_not_finite_and_items_ranked_twice_are_not_marked() -> None:
    with pytest.raises(ValueError, match="1 scores are not finite numbers, first item a of query q"):
        mark_relevant(ranked(("q", "a", 1, np.inf)), QRELS)
    with pytest.raises(ValueError, match="a is ranked 2 times for q, expected once"):
        mark_relevant(ranked(("q", "a", 1, 0.5), ("q", "a", 2, 0.4)), QRELS)


HITS = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.sampled_from("abcd"), st.sampled_from([0.1, 0.5, 0.9])),
    unique_by=lambda hit: hit[:2],
)


@given(HITS, st.permutations(range(16)), st.sampled_from(["against", "as ranked"]))
def test_the_order_of_the_rows_changes_no_rank(hits: list, order: list, ties: str) -> None:
    rows = [(query, item, rank, score) for rank, (query, item, score) in enumerate(hits, start=1)]
    shuffled = [rows[place] for place in order if place < len(rows)]
    ranks = right_ranks(ranked(*rows), QRELS, ties)["rank"]
    assert right_ranks(ranked(*shuffled), QRELS, ties)["rank"].equals(ranks)
    relevance = QRELS.set_index(["query_id", "item_id"])["relevance"]
    for (query, item), rank in zip(relevance.index, ranks, strict=True):
        own = [row for row in rows if row[0] == query]
        if ties == "against":
            own.sort(key=lambda row: (-row[3], relevance.get((row[0], row[1]), 0)))
        places = {row[1]: place for place, row in enumerate(own, start=1)}
        assert rank == places[item] if item in places else np.isnan(rank)
