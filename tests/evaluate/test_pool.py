"""Pooled hits and agreement, by values that are counted by hand."""

from pathlib import Path

import pandas as pd
import pytest

from mmlab.evaluate.measures.partial import Pool, cohens_kappa, summarize_agreement
from mmlab.items.tables import TooFew


def ranked(*items: str) -> pd.DataFrame:
    count = len(items)
    scores = [1 - place / 10 for place in range(count)]
    return pd.DataFrame({"query_id": "q", "item_id": items, "rank": range(1, count + 1), "score": scores})


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    known = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    return Pool(
        {"one": ranked("c", "a", "d"), "other": ranked("b", "c")}, known, tmp_path / "labels.jsonl", k=2
    )


def test_the_first_hits_of_all_systems_are_judged_once_in_no_order_of_theirs(pool):
    assert pool.hits.to_numpy().tolist() == [["q", "b"], ["q", "c"]]


def test_each_person_has_a_list_of_their_own(pool):
    assert pool.add("q", "b", 1, "one") == "judged relevant: version 1 of labels.jsonl"
    assert pool.left("one")["item_id"].tolist() == ["c"]
    assert pool.left("two")["item_id"].tolist() == ["b", "c"]
    judged = pool.of_query("q", "one").set_index("item_id")["judged"]
    assert judged["b"] == 1
    assert pd.isna(judged["c"])


def test_what_one_person_takes_back_leaves_the_judgement_of_another(pool):
    pool.add("q", "b", 1, "one")
    pool.add("q", "b", 0, "two")
    pool.add("q", "b", None, "two")
    assert pool.left("one")["item_id"].tolist() == ["c"]
    assert pool.left("two")["item_id"].tolist() == ["b", "c"]
    assert pool.agreement().empty


def test_kappa_is_agreement_beyond_chance():
    items = [f"i{number}" for number in range(10)]
    one, two = [1] * 6 + [0] * 4, [1] * 5 + [0] * 4 + [2]
    labels = pd.DataFrame(
        {
            "query_id": "q",
            "item_id": items * 2,
            "by": ["one"] * 10 + ["two"] * 10,
            "relevance": one + two,
        }
    )
    row = cohens_kappa(labels).iloc[0]
    # alike: 5 right and 3 wrong of 10; by chance .6 x .6 + .4 x .4 = .52
    assert (row["answers"], row["agreed"]) == (10, 0.8)
    assert row["kappa"] == pytest.approx((0.8 - 0.52) / 0.48)
    assert row["low"] == pytest.approx(row["kappa"] - 1.96 * (0.8 * 0.2 / 10) ** 0.5 / 0.48)
    assert row["high"] == 1.0  # a kappa is no larger
    assert "one and two agree on 8 of 10 hits (Cohen's kappa 0.58" in summarize_agreement(
        cohens_kappa(labels)
    )


def test_the_last_judgement_of_a_person_counts():
    labels = pd.DataFrame(
        {
            "query_id": "q",
            "item_id": ["a", "a", "a", "b", "b"],
            "by": list("xxyxy"),
            "relevance": [0, 1, 1, 0, 0],
        }
    )
    assert cohens_kappa(labels)["agreed"].tolist() == [1.0]


def test_agreement_is_unknown_where_both_said_the_same_of_all_or_nothing_is_shared():
    same = pd.DataFrame({"query_id": "q", "item_id": ["a", "a"], "by": ["x", "y"], "relevance": [1, 1]})
    assert pd.isna(cohens_kappa(same)["kappa"].item())
    apart = same.assign(item_id=["a", "b"])
    with pytest.raises(TooFew, match="no two people have judged the same hit yet"):
        summarize_agreement(cohens_kappa(apart))
