"""Means over all queries and by group."""

import pandas as pd
import pytest

from mmlab.evaluate import mean_by_group, mean_measures

ITEMS = pd.DataFrame(
    {"item_id": ["a", "b", "c", "d"], "pair_id": ["1", "1", "2", "3"], "label": ["mug", "mug", "hat", None]}
)
PER_QUERY = pd.DataFrame({"query_id": ["a", "b", "c", "d"], "RR": [1.0, 0.5, 0.25, 0.25]})


def test_the_mean_lies_within_its_interval() -> None:
    (row,) = mean_measures(PER_QUERY, ITEMS).to_dict("records")
    assert (row["measure"], row["queries"]) == ("RR", 4)
    assert row["value"] == pytest.approx((1 + 0.5 + 0.25 + 0.25) / 4)
    assert row["low"] <= row["value"] <= row["high"]


def test_groups_come_worst_first_and_keep_queries_without_a_label() -> None:
    table = mean_by_group(PER_QUERY, ITEMS, "RR", "label")
    assert table[["label", "value", "queries"]].to_numpy().tolist() == [
        ["(none)", 0.25, 1],
        ["hat", 0.25, 1],
        ["mug", 0.75, 2],
    ]
