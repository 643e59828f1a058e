"""Measures with and without judgements by hand."""

import pandas as pd
import pytest

from mmlab.evaluate import compare_labels


def table(rows, columns):
    return pd.DataFrame(rows, columns=columns)


ITEMS = table([("t1", "a"), ("t2", "b")], ["item_id", "pair_id"])
QRELS = table([("t1", "i1", 1), ("t2", "i2", 1)], ["query_id", "item_id", "relevance"])
RANKINGS = table(
    [("t1", "i2", 1, 0.9), ("t1", "i1", 2, 0.8), ("t2", "i2", 1, 0.9)],
    ["query_id", "item_id", "rank", "score"],
)


def test_a_judgement_moves_the_mean_and_counts_its_query():
    labels = table([("t1", "i2", 1)], ["query_id", "item_id", "relevance"])
    found = compare_labels(RANKINGS, QRELS, labels, ["RR", "R@1"], ITEMS).set_index("measure")
    assert found.loc["RR", ["without", "with", "queries_changed"]].tolist() == [(1 / 2 + 1) / 2, 1, 1]
    assert found.loc["R@1", ["without", "with"]].tolist() == [(0 + 1) / 2, (1 / 2 + 1) / 2]
    assert (found["low"] <= found["without"]).all() and (found["with"] <= found["with_high"]).all()


def test_a_query_that_loses_its_only_answer_is_not_judged_any_more():
    labels = table([("t1", "i1", 0)], ["query_id", "item_id", "relevance"])
    (row,) = compare_labels(RANKINGS, QRELS, labels, ["RR"], ITEMS).to_dict("records")
    assert (row["without"], row["with"], row["queries_changed"]) == pytest.approx((0.75, 1, 0))


def test_without_labels_there_is_nothing_to_compare():
    found = compare_labels(RANKINGS, QRELS, QRELS.head(0), ["RR"], ITEMS)
    assert found.empty
    assert "queries_changed" in found.columns
