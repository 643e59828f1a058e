"""One order: score from high to low, then item_id."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mmlab.evaluate import score_queries
from mmlab.items import Space, Vectors, exact_search, unit_rows
from mmlab.items.rankings import (
    SORTED_ROWS,
    find_best,
    rank_by_score,
    rankings_from_scores,
    ranks,
    sort_rows,
    tie_near_scores,
)
from mmlab.retrieve import fuse
from tests.retrieve.tables import SOME_RANKINGS, order_of, rankings


def test_rows_are_ranked_anew_by_score_and_ties_by_id_with_queries_in_their_order() -> None:
    table = pd.DataFrame(
        {
            "query_id": ["z", "a", "z", "z"],
            "item_id": ["c", "x", "b", "d"],
            "rank": [1, 7, 2, 3],
            "score": [1.0, 0.5, 1.0, 2.0],
            "note": ["third", "only", "second", "first"],
        }
    )
    before = table.copy()
    ranked = rank_by_score(table)
    assert ranked["query_id"].tolist() == ["z", "z", "z", "a"]
    assert ranked["item_id"].tolist() == ["d", "b", "c", "x"]
    assert ranked["rank"].tolist() == [1, 2, 3, 1]
    assert ranked["note"].tolist() == ["first", "second", "third", "only"]
    pd.testing.assert_frame_equal(table, before)


@settings(max_examples=25, deadline=None)
@given(SOME_RANKINGS)
def test_the_order_of_the_rows_does_not_matter(table: pd.DataFrame) -> None:
    shuffled = table.sample(frac=1, random_state=1)
    assert order_of(rank_by_score(shuffled)) == order_of(table)


def test_many_rows_are_sorted_in_blocks_as_in_one() -> None:
    rng = np.random.default_rng(0)
    query, item = (rng.integers(0, high, 3 * SORTED_ROWS) for high in (50, 1000))
    score = rng.integers(0, 5, 3 * SORTED_ROWS) / 4
    query[: 2 * SORTED_ROWS] = 7  # a query that is longer than a block
    order, rank = sort_rows(query, item, score), ranks(query)
    assert order.tolist() == np.lexsort((item, -score, query)).tolist()
    first = np.flatnonzero(np.diff(query[order], prepend=-1))
    assert (rank[first] == 1).all()
    assert (np.diff(rank)[np.setdiff1d(np.arange(1, len(rank)), first) - 1] == 1).all()


def test_rows_in_order_are_left_and_interleaved_queries_are_not_in_order() -> None:
    item, score = np.array([0, 1, 0]), np.array([0.9, 0.5, 0.9])
    assert sort_rows(np.array([0, 0, 1]), item, score) == slice(None)
    assert sort_rows(np.array([0, 1, 0]), item, score).tolist() == [0, 2, 1]  # q1, q2, q1
    table = pd.DataFrame({"query_id": ["q1", "q2", "q1"], "item_id": ["a", "b", "c"], "rank": 1})
    ranked = rank_by_score(table.assign(score=[0.9, 0.5, 0.1]))
    assert ranked["query_id"].tolist() == ["q1", "q1", "q2"]
    assert ranked["rank"].tolist() == [1, 2, 1]


def test_only_the_queries_that_are_not_in_order_are_sorted() -> None:
    query, item = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([0, 1, 5, 4, 3, 7, 7])
    score = np.array([0.9, 0.5, 0.2, 0.8, 0.8, 0.1, 0.1])
    assert sort_rows(query, item, score).tolist() == [0, 1, 4, 3, 2, 5, 6]
    assert sort_rows(query[5:], item[5:], score[5:]) == slice(None)  # alike in all: nothing to sort


@pytest.mark.parametrize("width", [3, 512, 1300, 3000])  # fewer columns than groups, whole groups, and a rest
def test_the_best_columns_are_found_as_by_sorting_with_those_within_the_tolerance(width: int) -> None:
    scores = np.random.default_rng(width).permuted(np.tile(np.arange(width) / 4, (5, 1)), axis=1)
    row, column = find_best(scores, 2)
    assert row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(scores[row, column]) == [(width - 2) / 4] * 5 + [(width - 1) / 4] * 5
    assert len(find_best(scores, 2, tolerance=0.25)[0]) == 15


def test_scores_of_minus_infinity_are_never_among_the_best() -> None:
    scores = np.array([[-np.inf, 0.5, -np.inf], [-np.inf] * 3, [0.1, 0.2, 0.3]])
    assert [found.tolist() for found in find_best(scores, 2)] == [[0, 2, 2], [1, 1, 2]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="1 scores are not finite numbers, first item b of query q"):
        rank_by_score(rankings({"q": {"a": 1, "b": wrong}}))


def test_an_item_that_comes_twice_is_refused() -> None:
    table = rankings({"q": {"a": 1, "b": 0}})
    with pytest.raises(ValueError, match="2 items come twice for a query, first item a of query q"):
        rank_by_score(pd.concat([table, table]))


def test_a_row_without_an_id_is_refused() -> None:
    table = rankings({"q": {"a": 1, "b": 0}}).assign(item_id=["a", None])
    with pytest.raises(ValueError, match="1 rows have no item_id"):
        rank_by_score(table)


def test_a_score_matrix_becomes_rankings_with_ties_by_id_and_the_best_k() -> None:
    scores = np.array([[1, 3, 3], [0, 0, 0]], dtype=np.float32)
    ranked = rankings_from_scores(scores, ["q2", "q1"], ["c", "b", "a"], k=2)
    assert ranked["query_id"].tolist() == ["q2", "q2", "q1", "q1"]
    assert ranked["item_id"].tolist() == ["a", "b", "a", "b"]
    assert ranked["rank"].tolist() == [1, 2, 1, 2]
    assert ranked["score"].tolist() == [3, 3, 0, 0]
    assert len(rankings_from_scores(scores, ["q2", "q1"], ["c", "b", "a"])) == 6
    assert len(rankings_from_scores(scores, ["q2", "q1"], ["c", "b", "a"], k=9)) == 6


def test_scores_that_follow_each_other_within_a_millionth_are_equal() -> None:
    scores = np.array([[0.5, 0.5 + 5e-7, 0.5 + 1e-6, 0.4, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]])
    ranked = rankings_from_scores(scores, ["q", "p"], list("abcde"))
    assert ranked["item_id"].tolist() == [*"eabcd", *"edcba"]
    assert ranked["score"].tolist()[:5] == [0.9, *[0.5 + 1e-6] * 3, 0.4]
    assert rankings_from_scores(scores[:1], ["q"], list("abcde"), k=2)["item_id"].tolist() == ["e", "a"]
    table = rankings({"q": {"b": 0.7, "a": 0.7 - 1e-7, "c": 0.2}, "p": {"a": 0.2}})
    level = tie_near_scores(table)
    assert level["item_id"].tolist() == ["a", "b", "c", "a"]
    assert level["score"].tolist() == [0.7, 0.7, 0.2, 0.2]
    assert tie_near_scores(level) is level


@pytest.mark.parametrize("dimension", [5, 64, 512])
def test_an_image_that_is_there_twice_is_never_found_first(dimension: int) -> None:
    """Every image stands under another pair too: the two cannot be told apart, so nothing is right at rank 1."""
    rng = np.random.default_rng(dimension)
    images = unit_rows(rng.standard_normal((211, dimension)))
    texts = unit_rows(images + 0.1 * unit_rows(rng.standard_normal(images.shape)))
    place = rng.permutation(422)  # columns of a product differ in their last digits
    ids = np.array([f"i{n}" for n in range(211)] + [f"copy {n}" for n in range(211)])
    space = Space("s", "1", "", "", "", dimension)
    gallery = Vectors(ids[place], np.concatenate([images, images])[place], space)
    queries = Vectors([f"t{n}" for n in range(211)], texts, space)
    right = pd.DataFrame({"query_id": queries.ids, "item_id": ids[:211], "relevance": 1})
    ranked = exact_search(queries, gallery, 10)
    fused = fuse("rrf", [ranked, exact_search(queries, gallery, 7)])
    for found in (ranked, fused, fuse("weighted_sum", [ranked, ranked])):
        scored = score_queries(found, right, ["Success@1", "Success@2"])
        assert scored["Success@1"].sum() == 0
        assert scored["Success@2"].mean() > 0.9


def test_more_queries_than_a_block_keep_their_rows() -> None:
    scores = np.random.default_rng(0).random((600, 4))
    ids = [f"q{row}" for row in range(600)]
    ranked = rankings_from_scores(scores, ids, list("abcd"), k=1)
    assert ranked["query_id"].tolist() == ids
    assert ranked["item_id"].tolist() == [list("abcd")[best] for best in scores.argmax(axis=1)]


def test_an_empty_gallery_or_no_query_gives_empty_rankings() -> None:
    assert rankings_from_scores(np.empty((2, 0)), ["a", "b"], []).empty
    assert rankings_from_scores(np.empty((0, 2)), [], ["a", "b"], k=1).columns.tolist() == [
        "query_id", "item_id", "rank", "score",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "items", "k", "message"),
    [
        ([[1, 2]], ["a"], None, r"expected \(1, 1\), found \(1, 2\)"),
        ([[1, np.nan]], ["a", "b"], None, "not finite"),
        ([[1, 2]], ["a", "a"], None, "an id comes twice"),
        ([[1, 2]], ["a", "b"], 0, "at least 1; found 0"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(
    scores: list, items: list, k: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rankings_from_scores(np.array(scores, dtype=float), ["q"], items, k)
