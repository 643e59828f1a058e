"""Two systems and more, query by query."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import changed_queries, compare_systems
from mmlab.evaluate.paired_comparison import label_effect

QUERIES = [f"q{n}" for n in range(40)]
ITEMS = pd.DataFrame({"item_id": QUERIES, "pair_id": [f"p{n // 2}" for n in range(40)]})


def scores(values: list[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"query_id": QUERIES, "RR": values})


BASE = np.random.default_rng(0).random(40) / 2
SYSTEMS = {"base": scores(BASE), "better": scores(BASE + 0.25), "same": scores(BASE)}


def test_each_system_stands_beside_the_first_with_intervals() -> None:
    better, same = compare_systems(SYSTEMS, ITEMS).to_dict("records")
    assert (better["system"], better["baseline"], better["measure"]) == ("better", "base", "RR")
    assert better["value"] == pytest.approx(BASE.mean() + 0.25)
    assert better["low"] < better["value"] < better["high"]
    assert [better[f"difference{end}"] for end in ("", "_low", "_high")] == pytest.approx([0.25] * 3)
    assert (better["queries"], better["pairs"]) == (40, 20)
    assert better["p"] < 0.001
    assert (same["difference"], same["p"], same["p_holm"]) == (0, 1, 1)


def test_holm_counts_the_rows_of_all_measures() -> None:
    two = {name: table.assign(AP=BASE) for name, table in SYSTEMS.items()}
    table = compare_systems(two, ITEMS)
    assert table["measure"].tolist() == ["RR", "AP"] * 2
    assert table["p"].iloc[1:].tolist() == [1, 1, 1]
    assert table["p_holm"].tolist() == pytest.approx([4 * table["p"].iloc[0], 1, 1, 1])


def test_two_captions_alike_add_no_certainty() -> None:
    values = np.random.default_rng(1).random((20, 2))
    one = {name: pd.DataFrame({"query_id": QUERIES[::2], "RR": values[:, n]}) for n, name in enumerate("ab")}
    both = {name: scores(np.repeat(values[:, n], 2)) for n, name in enumerate("ab")}
    alone, doubled = (compare_systems(systems, ITEMS, 5) for systems in (one, both))
    assert (alone["queries"].item(), doubled["queries"].item()) == (20, 40)
    pd.testing.assert_frame_equal(doubled.drop(columns="queries"), alone.drop(columns="queries"))


def test_the_order_of_rows_does_not_matter_and_the_seed_decides() -> None:
    shuffled = {**SYSTEMS, "better": SYSTEMS["better"].sample(frac=1, random_state=1)}
    table = compare_systems(SYSTEMS, ITEMS, 3)
    pd.testing.assert_frame_equal(table, compare_systems(shuffled, ITEMS, 3))
    other = compare_systems(SYSTEMS, ITEMS, 4)
    assert (table["low"] != other["low"]).all()
    pd.testing.assert_series_equal(table["value"], other["value"])


def test_systems_that_were_not_asked_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="1 queries are in only one of 'base' and 'short', first 'q39'"):
        compare_systems({"base": SYSTEMS["base"], "short": SYSTEMS["base"].head(39)}, ITEMS)
    with pytest.raises(ValueError, match="2 measures are in only one of 'base' and 'AP', first 'AP'"):
        compare_systems({"base": SYSTEMS["base"], "AP": SYSTEMS["base"].rename(columns={"RR": "AP"})}, ITEMS)
    with pytest.raises(ValueError, match="two systems or more"):
        compare_systems({"base": SYSTEMS["base"]}, ITEMS)


def test_the_queries_that_changed_most_come_first() -> None:
    after = BASE.copy()
    after[[3, 5]] += [0.1, -0.3]
    table = changed_queries(scores(BASE), scores(after), "RR")
    assert table["query_id"].tolist() == ["q5", "q3"]
    assert table["change"].tolist() == pytest.approx([-0.3, 0.1])


def table(rows, columns):
    return pd.DataFrame(rows, columns=columns)


TWO = table([("t1", "a"), ("t2", "b")], ["item_id", "pair_id"])
RIGHT = table([("t1", "i1", 1), ("t2", "i2", 1)], ["query_id", "item_id", "relevance"])
FOUND = table(
    [("t1", "i2", 1, 0.9), ("t1", "i1", 2, 0.8), ("t2", "i2", 1, 0.9)],
    ["query_id", "item_id", "rank", "score"],
)


def test_a_judgement_moves_the_mean_and_counts_its_query():
    labels = table([("t1", "i2", 1)], ["query_id", "item_id", "relevance"])
    found = label_effect(FOUND, RIGHT, labels, ["RR", "R@1"], TWO).set_index("measure")
    assert found.loc["RR", ["without", "with", "queries_changed"]].tolist() == [(1 / 2 + 1) / 2, 1, 1]
    assert found.loc["R@1", ["without", "with"]].tolist() == [(0 + 1) / 2, (1 / 2 + 1) / 2]
    assert (found["low"] <= found["without"]).all() and (found["with"] <= found["with_high"]).all()


def test_a_query_that_loses_its_only_answer_is_not_judged_any_more():
    labels = table([("t1", "i1", 0)], ["query_id", "item_id", "relevance"])
    (row,) = label_effect(FOUND, RIGHT, labels, ["RR"], TWO).to_dict("records")
    assert (row["without"], row["with"], row["queries_changed"]) == pytest.approx((0.75, 1, 0))


def test_without_labels_there_is_nothing_to_compare():
    found = label_effect(FOUND, RIGHT, RIGHT.head(0), ["RR"], TWO)
    assert found.empty
    assert "queries_changed" in found.columns
