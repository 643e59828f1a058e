"""Ranks of the right answers, and equal scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmlab.evaluate import mark_relevant
from mmlab.evaluate.measures.ranks import exact_ranks, right_ranks
from mmlab.items import Space, SpaceMismatch, Vectors, exact_search, rankings, unit_rows

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
    with pytest.raises(ValueError, match="1 right answers are given twice, first a of q"):
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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


SPACE = Space("model", "1", "", "", "", 2)
ASKED = Vectors(["q1", "q2"], np.array([[1, 0], [0, 1]]), SPACE)
GALLERY = Vectors(["a", "b", "c"], np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]]), SPACE)


def qrels(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


def test_ranks_are_those_in_the_whole_gallery() -> None:
    ranks = exact_ranks(ASKED, GALLERY, qrels(("q2", "a", 1), ("q1", "c", 1), ("q2", "b", 1)))
    assert ranks["rank"].tolist() == [3, 2, 1]


def test_what_has_no_vector_has_no_rank() -> None:
    ranks = exact_ranks(ASKED, GALLERY, qrels(("q1", "gone", 1), ("gone", "a", 1), ("q1", "a", 1)))
    assert ranks["rank"].tolist() == pytest.approx([np.nan, np.nan, 1], nan_ok=True)


def test_equal_items_count_against_the_right_one_and_right_ones_not_against_each_other() -> None:
    same = Vectors(["a", "b", "c", "d"], np.tile([1.0, 0.0], (4, 1)), SPACE)
    assert exact_ranks(ASKED, same, qrels(("q1", "b", 1)))["rank"].tolist() == [4]
    both = exact_ranks(ASKED, same, qrels(("q1", "b", 2), ("q1", "c", 1)))
    assert both["rank"].tolist() == [4, 3]  # a and d are wrong, then the lower grade


def test_right_answers_that_are_nearly_equal_do_not_count_against_each_other() -> None:
    near = np.array([[1, 0], [np.cos(7e-4), np.sin(7e-4)], [0, 1]])  # cosines 1, 1 - 2.5e-7, 0
    ranks = exact_ranks(ASKED, Vectors(["a", "b", "c"], near, SPACE), qrels(("q1", "b", 1), ("q1", "a", 1)))
    assert ranks["rank"].tolist() == [2, 1]
    wrong = exact_ranks(ASKED, Vectors(["x", "b", "c"], near, SPACE), qrels(("q1", "b", 1)))
    assert wrong["rank"].tolist() == [2]  # a wrong one as near counts against it
    alone = exact_ranks(ASKED, Vectors(["a", "x", "c"], near, SPACE), qrels(("q1", "a", 1)))
    assert alone["rank"].tolist() == [2]  # also where it is a little farther


@pytest.mark.parametrize("block", [1, 100, 10**7])
def test_ranks_are_those_of_whole_rankings_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(rankings, "SCORES_PER_BLOCK", block)
    rng = np.random.default_rng(0)
    space = Space("model", "1", "", "", "", 8)
    queries = Vectors([f"q{n}" for n in range(20)], unit_rows(rng.standard_normal((20, 8))), space)
    gallery = Vectors([f"i{n}" for n in range(30)], unit_rows(rng.standard_normal((30, 8))), space)
    right = [
        (f"q{q}", f"i{i}", int(rng.integers(0, 3)))
        for q in range(20)
        for i in rng.choice(30, 7, replace=False)
    ]
    judged = qrels(*right).sample(frac=1, random_state=0)
    expected = right_ranks(exact_search(queries, gallery, k=30), judged)
    pd.testing.assert_frame_equal(exact_ranks(queries, gallery, judged), expected)


def test_two_spaces_do_not_meet() -> None:
    other = Vectors(["x"], np.array([[1, 0]]), Space("other", "1", "", "", "", 2))
    with pytest.raises(SpaceMismatch, match="model"):
        exact_ranks(ASKED, other, qrels(("q1", "x", 1)))
