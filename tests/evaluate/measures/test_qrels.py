"""Which answers count as right."""

import pandas as pd
import pytest

from mmlab.evaluate import merge_qrels, qrels_from_labels, qrels_from_pairs

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "t2", "i2", "t3"],
        "modality": ["image", "text", "text", "image", "text"],
        "pair_id": ["p1", "p1", "p1", "p2", "gone"],
    }
)


def test_texts_are_answered_by_the_image_of_their_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "text", "image")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("t1", "i1"), ("t2", "i1")]
    assert qrels["relevance"].tolist() == [1, 1]


def test_an_image_is_answered_by_all_texts_of_its_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "image", "text")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("i1", "t1"), ("i1", "t2")]


def test_other_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="found 'text' and 'text'"):
        qrels_from_pairs(ITEMS, "text", "text")


LABELLED = ITEMS.assign(label=["mug", "mug", None, "mug", "hat"])


def test_labels_grade_the_same_pair_above_the_same_label() -> None:
    qrels = qrels_from_labels(LABELLED, "text", "image")
    assert qrels.to_numpy().tolist() == [["t1", "i1", 2], ["t1", "i2", 1], ["t2", "i1", 2]]
    assert qrels_from_labels(LABELLED, "text", "image", 5, 3)["relevance"].tolist() == [5, 3, 5]


def test_a_label_is_not_worth_more_than_the_pair() -> None:
    with pytest.raises(ValueError, match="same_pair >= same_label >= 0, found 1 and 2"):
        qrels_from_labels(LABELLED, "text", "image", same_pair=1, same_label=2)


def test_a_judgement_by_hand_holds_over_the_pairs_and_a_later_one_over_an_earlier() -> None:
    def table(*rows):
        return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])

    base = table(("t1", "i1", 1), ("t2", "i1", 1))
    labels = table(("t1", "i2", 1), ("t2", "i1", 0), ("t1", "i2", 2))
    merged = merge_qrels(base, labels).set_index(["query_id", "item_id"])["relevance"].to_dict()
    assert merged == {("t1", "i1"): 1, ("t2", "i1"): 0, ("t1", "i2"): 2}
    assert merge_qrels(base, labels.head(0)).equals(base)
    with pytest.raises(ValueError, match="labels: columns"):
        merge_qrels(base, labels.drop(columns="relevance"))
