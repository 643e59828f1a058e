"""Means over all queries and by group, and the queries at either end."""

import pandas as pd
import pytest

from mmlab.evaluate import mean_by_groups, mean_measures
from mmlab.evaluate.resampling import best_queries, mean_by_group, random_queries, worst_queries

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


def test_the_worst_group_comes_first_whatever_its_name() -> None:
    items = ITEMS.assign(label=["apron", "apron", "zip", "mug"])
    table = mean_by_group(PER_QUERY.assign(RR=[1.0, 0.5, 0.1, 0.25]), items, "RR", "label")
    assert table["label"].tolist() == ["zip", "mug", "apron"]


def test_a_constant_measure_has_a_narrow_interval_that_is_no_point() -> None:
    items = pd.DataFrame({"item_id": [str(n) for n in range(1439)]}).assign(
        pair_id=lambda table: table["item_id"]
    )
    (row,) = mean_measures(pd.DataFrame({"query_id": items["item_id"], "P@10": 0.1}), items).to_dict(
        "records"
    )
    assert row["low"] < row["value"] < row["high"]
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1), abs=0.003)


def test_groups_are_sorted_by_their_mean_not_by_name_and_small_ones_are_marked() -> None:
    """The worst group comes last by name."""
    items = pd.DataFrame({"item_id": [f"q{n}" for n in range(23)], "pair_id": [f"p{n}" for n in range(23)]})
    items["label"] = ["a"] * 10 + ["z"] * 9 + ["m"] * 4
    scores = pd.DataFrame({"query_id": items["item_id"], "RR": [0.9] * 10 + [0.1] * 9 + [0.5] * 4})
    table = mean_by_group(scores, items, "RR", "label")
    assert table["label"].tolist() == ["z", "m", "a"]
    assert table["few"].tolist() == [True, True, False]


def test_a_small_group_is_one_of_few_pairs_however_many_captions() -> None:
    items = pd.DataFrame({"item_id": [f"q{n}" for n in range(40)]})
    items["pair_id"] = [f"p{n // 2}" for n in range(18)] + [f"p{n}" for n in range(18, 28)] + ["p30"] * 12
    items["label"] = ["nine"] * 18 + ["ten"] * 10 + ["one"] * 12
    per_query = pd.DataFrame({"query_id": items["item_id"], "RR": 0.5})
    table = mean_by_group(per_query, items, "RR", "label")
    assert table.columns.tolist() == ["label", "value", "low", "high", "queries", "pairs", "few"]
    assert table["label"].tolist() == ["nine", "one", "ten"]  # by name among equal means
    assert table[["queries", "pairs", "few"]].to_numpy().tolist() == [
        [18, 9, True],
        [12, 1, True],
        [10, 10, False],
    ]
    alone = mean_measures(per_query.head(18), items).iloc[0]
    assert table.loc[0, ["value", "low", "high"]].tolist() == alone[["value", "low", "high"]].tolist()


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


ASKED = pd.DataFrame({"item_id": ["clear", "close", "unsure", "sure", "silent"], "pair_id": list("ABCDE")})
SCORES = pd.DataFrame({"query_id": ["clear", "close", "unsure", "sure"], "RR": [1.0, 1.0, 0.0, 0.0]})
RANKINGS = pd.DataFrame(
    [
        ("clear", "a", 1, 0.7), ("clear", "b", 2, 0.1),
        ("close", "a", 1, 0.9), ("close", "b", 2, 0.8),
        ("unsure", "a", 1, 0.2), ("unsure", "b", 2, 0.1),
        ("sure", "a", 1, 0.95), ("sure", "b", 2, 0.1),
    ],
    columns=["query_id", "item_id", "rank", "score"],
)  # fmt: skip


def test_the_best_are_right_by_the_widest_gap() -> None:
    assert best_queries(SCORES, RANKINGS, ASKED, 2) == ["clear", "close"]


def test_among_equals_the_first_query_comes_first() -> None:
    ids = [f"q{n}" for n in range(30)]
    asked = pd.DataFrame({"item_id": ids, "pair_id": ids})
    scores = pd.DataFrame({"query_id": ids, "RR": [n % 2 for n in range(30)]}).astype({"RR": float})
    hits = pd.DataFrame({"query_id": ids * 2, "item_id": "a", "rank": [1] * 30 + [2] * 30, "score": 0.5})
    assert best_queries(scores, hits, asked, 15) == ids[1::2]
    assert worst_queries(scores, hits, asked, 15) == ids[::2]
    assert random_queries(scores, asked, 30) == random_queries(scores, asked, 30, seed=0)


def test_the_worst_are_wrong_and_surest_of_it() -> None:
    assert worst_queries(SCORES, RANKINGS, ASKED, 2) == ["sure", "unsure"]


def test_a_query_without_a_ranking_is_among_the_worst() -> None:
    silent = pd.concat([SCORES, pd.DataFrame({"query_id": ["silent"], "RR": [0.0]})])
    assert "silent" in worst_queries(silent, RANKINGS, ASKED, 3)


def test_of_a_pair_only_one_query_is_shown() -> None:
    one_pair = ASKED.assign(pair_id=["A", "A", "B", "B", "C"])
    assert best_queries(SCORES, RANKINGS, one_pair, 4) == ["clear", "sure"]
    assert worst_queries(SCORES, RANKINGS, one_pair, 4) == ["sure", "close"]


def test_random_queries_are_repeated_by_the_seed_and_come_from_different_pairs() -> None:
    drawn = [random_queries(SCORES, ASKED, 3, seed) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len({tuple(queries) for queries in drawn}) > 1
    assert all(len(queries) == len(set(queries)) == 3 for queries in drawn)
    one_pair = ASKED.assign(pair_id="A")
    assert len(random_queries(SCORES, one_pair, 3)) == 1


def test_without_queries_there_is_nothing_to_mean() -> None:
    none = SCORES.head(0)
    means = mean_measures(none, ASKED)
    assert means.empty
    assert means.columns.tolist() == ["measure", "value", "low", "high", "queries", "pairs"]
    groups = mean_by_groups({"text-to-image": none}, ASKED.assign(label=None), "RR", ["label"])
    assert groups.empty
    assert groups.columns.tolist()[:3] == ["direction", "column", "group"]
    assert best_queries(none, RANKINGS.head(0), ASKED, 3) == []
    assert worst_queries(none, RANKINGS.head(0), ASKED, 3) == []
