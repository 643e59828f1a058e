"""Two systems and more, query by query."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import changed_queries, compare_systems, holm

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


def test_holm_counts_all_rows() -> None:
    table = compare_systems(SYSTEMS, ITEMS)
    assert table["p_holm"].tolist() == holm(table["p"]).tolist()
    assert table["p_holm"].iloc[0] == pytest.approx(2 * table["p"].iloc[0])


def test_the_order_of_rows_does_not_matter_and_the_seed_decides() -> None:
    shuffled = {**SYSTEMS, "better": SYSTEMS["better"].sample(frac=1, random_state=1)}
    pd.testing.assert_frame_equal(compare_systems(SYSTEMS, ITEMS, 3), compare_systems(shuffled, ITEMS, 3))


def test_systems_that_were_not_asked_the_same_are_refused() -> None:
    with pytest.raises(
        ValueError, match="'base' and 'short' were not asked the same: 1 queries .*first 'q39'"
    ):
        compare_systems({"base": SYSTEMS["base"], "short": SYSTEMS["base"].head(39)}, ITEMS)
    with pytest.raises(ValueError, match="2 measures have only one of them, first 'AP'"):
        compare_systems({"base": SYSTEMS["base"], "AP": SYSTEMS["base"].rename(columns={"RR": "AP"})}, ITEMS)
    with pytest.raises(ValueError, match="two systems or more"):
        compare_systems({"base": SYSTEMS["base"]}, ITEMS)


def test_the_queries_that_changed_most_come_first() -> None:
    after = BASE.copy()
    after[[3, 5]] += [0.1, -0.3]
    table = changed_queries(scores(BASE), scores(after), "RR")
    assert table["query_id"].tolist() == ["q5", "q3"]
    assert table["change"].tolist() == pytest.approx([-0.3, 0.1])
