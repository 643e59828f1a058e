from dataclasses import replace

import pandas as pd
import pytest

from mmlab.evaluate import read_labels
from mmlab.evaluate.losses import MissedQueries


@pytest.fixture
def missed(tmp_path):
    """Three queries, of which the third was found; each has the same three hits, and a right answer that is none."""
    rows = [(query, item, rank, 1 / rank) for query in "abc" for rank, item in enumerate("xyz", 1)]
    rankings = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    qrels = pd.DataFrame({"query_id": [*"abc"], "item_id": [*"uvx"], "relevance": 1})
    explained = pd.DataFrame({"query_id": [*"abc"], "failed": ["text", "both", None]})
    return MissedQueries(explained, rankings, qrels, tmp_path / "labels.jsonl")


def test_queries_are_listed_by_the_modality_that_failed(missed):
    assert missed.query_ids() == ["a", "b"]
    assert missed.query_ids("both") == ["b"]
    assert missed.query_ids("image") == []
    assert missed.kinds() == [
        ("all misses (2)", "all misses"),
        ("text failed (1)", "text"),
        ("both failed (1)", "both"),
    ]
    assert replace(missed, explained=missed.explained.iloc[2:]).kinds() == [("all misses (0)", "all misses")]


def test_judgements_stand_over_the_qrels_and_the_last_one_counts(missed):
    assert missed.add_judgement("a", "x", 1) == "judged relevant: version 1 of labels.jsonl"
    assert missed.hits("a", k=2)["item_id"].tolist() == ["x", "y"]
    assert missed.hits("a", k=2)["relevant"].tolist() == [True, False]
    assert missed.hits("a", k=2)["judged"].fillna(-1).tolist() == [1, -1]
    assert sorted(missed.right_answers("a")["item_id"]) == ["u", "x"]
    assert (
        missed.add_judgement("a", "x", 0, "a colleague") == "judged not relevant: version 2 of labels.jsonl"
    )
    assert missed.hits("a", k=2)["relevant"].tolist() == [False, False]
    assert missed.hits("a", k=2)["judged"].fillna(-1).tolist() == [0, -1]
    assert missed.hits("b")["judged"].isna().all()  # a judgement is about one query


def test_a_query_whose_only_right_answer_is_judged_wrong_keeps_its_qrels(missed):
    missed.add_judgement("a", "u", 0)
    assert missed.right_answers("a")["item_id"].tolist() == ["u"]


def test_the_first_five_hits_are_shown_by_rank_and_kinds_by_how_many(missed):
    rows = [("a", f"x{rank}", rank, 1 / rank) for rank in (3, 7, 1, 6, 2, 5, 4)]
    more = pd.DataFrame([*rows, ("b", "y", 1, 0.5)], columns=["query_id", "item_id", "rank", "score"])
    explained = pd.DataFrame({"query_id": [*"abcde"], "failed": ["text", "both", "both", None, "both"]})
    missed = replace(missed, rankings=more, explained=explained)
    assert missed.hits("a")["item_id"].tolist() == [f"x{rank}" for rank in range(1, 6)]
    assert missed.hits("a").index.tolist() == [0, 1, 2, 3, 4]
    assert missed.hits("b")["item_id"].tolist() == ["y"]
    assert [name for name, _ in missed.kinds()] == ["all misses (4)", "both failed (3)", "text failed (1)"]
    assert missed.query_ids("both") == ["b", "c", "e"]
    graded = replace(
        missed, qrels=pd.DataFrame({"query_id": "a", "item_id": ["x1", "x2"], "relevance": [0, 2]})
    )
    assert graded.hits("a", 3)["relevant"].tolist() == [False, True, False]


def test_who_judged_is_kept(missed):
    missed.add_judgement("a", "x", 1, by="Zoë")
    missed.add_judgement("a", "y", 0)
    assert read_labels(missed.labels)["by"].tolist() == ["Zoë", ""]
