"""Means over all queries and by group."""

import pandas as pd
import pytest

from mmlab.evaluate import mean_by_group, mean_by_groups, mean_measures

ITEMS = pd.DataFrame(
    {"item_id": ["a", "b", "c", "d"], "pair_id": ["1", "1", "2", "3"], "label": ["mug", "mug", "hat", None]}
)
PER_QUERY = pd.DataFrame({"query_id": ["a", "b", "c", "d"], "RR": [1.0, 0.5, 0.25, 0.25]})


def test_the_mean_lies_within_its_interval() -> None:
    (row,) = mean_measures(PER_QUERY, ITEMS).to_dict("records")
    assert (row["measure"], row["queries"]) == ("RR", 4)
    assert row["value"] == pytest.approx((1 + 0.5 + 0.25 + 0.25) / 4)
    assert row["low"] <= row["value"] <= row["high"]
    assert row["pairs"] == 3  # a and b are captions of one image


def test_one_pair_alone_tells_nothing_of_others() -> None:
    (row,) = mean_measures(PER_QUERY.head(2), ITEMS).to_dict("records")
    assert (row["low"], row["value"], row["high"], row["pairs"]) == (0, (1 + 0.5) / 2, 1, 1)


def test_groups_come_worst_first_and_keep_queries_without_a_label() -> None:
    table = mean_by_group(PER_QUERY, ITEMS, "RR", "label")
    assert table[["label", "value", "queries"]].to_numpy().tolist() == [
        ["(none)", 0.25, 1],
        ["hat", 0.25, 1],
        ["mug", 0.75, 2],
    ]
    assert {"low", "high"} <= set(table.columns)


def test_rounding_puts_no_constant_measure_beside_its_interval() -> None:
    items = pd.DataFrame({"item_id": [str(n) for n in range(1439)]}).assign(
        pair_id=lambda table: table["item_id"]
    )
    (row,) = mean_measures(pd.DataFrame({"query_id": items["item_id"], "P@10": 0.1}), items).to_dict(
        "records"
    )
    assert row["low"] <= row["value"] <= row["high"]
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))


def test_groups_may_be_numbers_with_gaps() -> None:
    items = ITEMS.assign(width=pd.array([64, 64, 32, None], dtype="Int32"))
    table = mean_by_group(PER_QUERY, items, "RR", "width")
    assert table[["width", "value"]].to_numpy().tolist() == [["(none)", 0.25], ["32", 0.25], ["64", 0.75]]


def test_an_unknown_group_names_the_columns() -> None:
    with pytest.raises(
        ValueError, match=r"items: columns \['brand'\] are missing; found \['item_id', 'pair_id', 'label'\]"
    ):
        mean_by_group(PER_QUERY, ITEMS, "RR", "brand")


def test_several_groupings_of_both_directions_stand_in_one_table() -> None:
    items = ITEMS.assign(split="test", origin=["caption", "ocr", "caption", "caption"], empty=None)
    both = {"text-to-image": PER_QUERY, "image-to-text": PER_QUERY.head(1)}
    table = mean_by_groups(both, items, "RR", ["split", "origin", "empty"])
    assert set(zip(table["direction"], table["column"], table["group"], table["value"], strict=True)) == {
        ("text-to-image", "split", "test", (1 + 0.5 + 0.25 + 0.25) / 4),
        ("image-to-text", "split", "test", 1 / 1),
        ("text-to-image", "origin", "caption", (1 + 0.25 + 0.25) / 3),
        ("text-to-image", "origin", "ocr", 0.5 / 1),
    }
