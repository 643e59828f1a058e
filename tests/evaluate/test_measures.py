"""Measures against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import score_queries


def rankings(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def qrels(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 1) for row in rows], columns=["query_id", "item_id", "relevance"])


TWO_QUERIES = rankings(
    ("q1", "a", 1, 0.9), ("q1", "b", 2, 0.8), ("q1", "c", 3, 0.7), ("q1", "d", 4, 0.6),
    ("q2", "c", 1, 0.9), ("q2", "d", 2, 0.5),
)  # fmt: skip
THREE_RIGHT = qrels(("q1", "b"), ("q1", "d"), ("q1", "x"), ("q2", "c"))


@pytest.mark.parametrize(
    ("measure", "first", "second"),
    [
        ("P@1", 0, 1),
        ("P@2", 1 / 2, 1 / 2),
        ("P@4", 2 / 4, 1 / 4),
        ("R@2", 1 / 3, 1),
        ("R@4", 2 / 3, 1),
        ("Success@1", 0, 1),
        ("Success@2", 1, 1),
        ("RR", 1 / 2, 1),
        ("RR@1", 0, 1),
    ],
)
def test_a_measure_is_what_its_formula_says(measure: str, first: float, second: float) -> None:
    scores = score_queries(TWO_QUERIES, THREE_RIGHT, [measure])
    assert scores["query_id"].tolist() == ["q1", "q2"]
    assert scores[measure].tolist() == pytest.approx([first, second])


def test_a_query_without_an_answer_scores_zero_and_stays() -> None:
    scores = score_queries(
        TWO_QUERIES, qrels(("q1", "a"), ("silent", "a")), ["P@1", "R@1", "Success@1", "RR"]
    )
    assert scores.set_index("query_id").loc["silent"].tolist() == [0, 0, 0, 0]


def test_a_ranked_query_that_has_no_right_answer_is_not_judged() -> None:
    assert score_queries(TWO_QUERIES, qrels(("q2", "c")), ["RR"])["query_id"].tolist() == ["q2"]


def test_among_equal_scores_the_wrong_answers_come_first() -> None:
    tied = rankings(
        ("q", "right", 1, 0.5), ("q", "wrong", 2, 0.5), ("q", "other", 3, 0.5), ("q", "last", 4, 0.1)
    )
    assert score_queries(tied, qrels(("q", "right")), ["RR"])["RR"].tolist() == [1 / 3]


def test_the_input_is_left_as_it_was() -> None:
    ranked, relevant = TWO_QUERIES.copy(), THREE_RIGHT.copy()
    score_queries(ranked, relevant, ["P@1", "RR"])
    pd.testing.assert_frame_equal(ranked, TWO_QUERIES)
    pd.testing.assert_frame_equal(relevant, THREE_RIGHT)


@pytest.mark.parametrize("name", ["nDCG@10", "P", "P@0", "R@", "Success@-1", ""])
def test_an_unknown_measure_names_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown measure .*known: P@k, R@k, Success@k, RR"):
        score_queries(TWO_QUERIES, THREE_RIGHT, [name])


def test_missing_columns_are_listed() -> None:
    with pytest.raises(ValueError, match=r"rankings: columns \['score'\] are missing"):
        score_queries(TWO_QUERIES.drop(columns="score"), THREE_RIGHT, ["RR"])


def test_measures_agree_with_a_plain_loop_on_random_rankings() -> None:
    rng = np.random.default_rng(0)
    rows, right = [], []
    for query in range(50):
        order = rng.permutation(30)
        rows += [(f"q{query}", f"i{item}", place + 1, 1 - place / 30) for place, item in enumerate(order)]
        right += [(f"q{query}", f"i{item}") for item in rng.choice(30, size=3, replace=False)]
    ranked, relevant = rankings(*rows), qrels(*right)
    scores = score_queries(ranked, relevant, ["P@5", "R@5", "Success@5", "RR"]).set_index("query_id")
    for query in scores.index:
        answers = set(relevant.loc[relevant["query_id"] == query, "item_id"])
        found = [item in answers for item in ranked.loc[ranked["query_id"] == query, "item_id"]]
        expected = [
            sum(found[:5]) / 5,
            sum(found[:5]) / 3,
            float(any(found[:5])),
            1 / (found.index(True) + 1),
        ]
        assert scores.loc[query].tolist() == pytest.approx(expected)
