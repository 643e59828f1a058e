"""Exact rankings and ranks from vectors."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import exact_ranks, right_ranks
from mmlab.items import Space, SpaceMismatch, Vectors, exact_search, rankings, unit_rows

SPACE = Space("model", "1", "", "", "", 2)
QUERIES = Vectors(["q1", "q2"], np.array([[1, 0], [0, 1]]), SPACE)
GALLERY = Vectors(["a", "b", "c"], np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]]), SPACE)


def qrels(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


def test_the_best_items_come_first() -> None:
    table = exact_search(QUERIES, GALLERY, k=2)
    assert table.iloc[:, :3].to_numpy().tolist() == [
        ["q1", "a", 1],
        ["q1", "c", 2],
        ["q2", "b", 1],
        ["q2", "c", 2],
    ]
    assert table["score"].tolist() == pytest.approx([1, 0.8, 0.8, 0.6])


def test_ranks_are_those_in_the_whole_gallery() -> None:
    ranks = exact_ranks(QUERIES, GALLERY, qrels(("q2", "a", 1), ("q1", "c", 1), ("q2", "b", 1)))
    assert ranks["rank"].tolist() == [3, 2, 1]


def test_what_has_no_vector_has_no_rank() -> None:
    ranks = exact_ranks(QUERIES, GALLERY, qrels(("q1", "gone", 1), ("gone", "a", 1), ("q1", "a", 1)))
    assert ranks["rank"].tolist() == pytest.approx([np.nan, np.nan, 1], nan_ok=True)


def test_equal_items_count_against_the_right_one_and_right_ones_not_against_each_other() -> None:
    same = Vectors(["a", "b", "c", "d"], np.tile([1.0, 0.0], (4, 1)), SPACE)
    assert exact_ranks(QUERIES, same, qrels(("q1", "b", 1)))["rank"].tolist() == [4]
    both = exact_ranks(QUERIES, same, qrels(("q1", "b", 2), ("q1", "c", 1)))
    assert both["rank"].tolist() == [4, 3]  # a and d are wrong, then the lower grade


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


def test_two_spaces_do_not_meet_and_depth_is_positive() -> None:
    other = Vectors(["x"], np.array([[1, 0]]), Space("other", "1", "", "", "", 2))
    for work in (exact_search, lambda a, b: exact_ranks(a, b, qrels(("q1", "x", 1)))):
        with pytest.raises(SpaceMismatch, match="model"):
            work(QUERIES, other)
    with pytest.raises(ValueError, match="found k = 0 and 3 items"):
        exact_search(QUERIES, GALLERY, k=0)
