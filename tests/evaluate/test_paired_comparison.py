"""Two systems and more, query by query."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from mmlab.evaluate import changed_queries, compare_systems, mean_measures, score_queries
from mmlab.evaluate.paired_comparison import label_effect, non_inferiority, pairs_needed, power_curve
from mmlab.items.tables import TooFew

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
    hidden = 1 - 0.025 ** (1 / 20)  # of the pairs, which may differ by -1 or 1 where 20 differ by 0.25
    bounds = [0.25 - hidden * 1.25, 0.25 + hidden * 0.75]
    assert [better[f"difference{end}"] for end in ("_low", "_high")] == pytest.approx(bounds)
    assert better["difference"] == pytest.approx(0.25)
    assert [better[name] for name in ("wins", "ties", "losses")] == [40, 0, 0]
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
    counts = ["queries", "wins", "losses"]  # of queries
    assert (doubled[counts] == 2 * alone[counts]).all(axis=None)
    pd.testing.assert_frame_equal(doubled.drop(columns=counts), alone.drop(columns=counts))


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = {**SYSTEMS, "better": SYSTEMS["better"].sample(frac=1, random_state=1)}
    table = compare_systems(SYSTEMS, ITEMS, 3)
    pd.testing.assert_frame_equal(table, compare_systems(shuffled, ITEMS, 3))


def test_the_seed_decides_what_is_drawn() -> None:
    values = np.random.default_rng(2).random((100, 2))
    queries = [f"q{n}" for n in range(100)]
    items = pd.DataFrame({"item_id": queries, "pair_id": queries})
    systems = {name: pd.DataFrame({"query_id": queries, "RR": values[:, n]}) for n, name in enumerate("ab")}
    one, same, other = (compare_systems(systems, items, seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one, same)
    assert one["difference_low"].item() != other["difference_low"].item()
    pd.testing.assert_series_equal(one["value"], other["value"])


UNEVEN = np.repeat(np.arange(40), np.arange(40) % 4 + 1)  # pairs of one to four captions


def uneven(seed: int) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    rng = np.random.default_rng(seed)
    queries = [f"q{n}" for n in range(len(UNEVEN))]
    of_pair = rng.random(40)[UNEVEN]
    systems = {
        name: pd.DataFrame(
            {"query_id": queries, "RR": np.clip(of_pair + shift * rng.random(len(queries)), 0, 1)}
        )
        for name, shift in (("base", 0.1), ("new", 0.3))
    }
    return systems, pd.DataFrame({"item_id": queries, "pair_id": [f"p{n}" for n in UNEVEN]})


def test_intervals_of_a_system_and_of_a_difference_draw_pairs_of_unlike_size() -> None:
    """Resampled by a loop over pairs."""
    systems, items = uneven(0)
    (row,) = compare_systems(systems, items).to_dict("records")
    change = (systems["new"]["RR"] - systems["base"]["RR"]).to_numpy()
    rng, means = np.random.default_rng(7), []
    rows = [np.flatnonzero(pair == UNEVEN) for pair in range(40)]
    for _ in range(4000):
        drawn = np.concatenate([rows[pair] for pair in rng.integers(40, size=40)])
        means.append(change[drawn].mean())
    low, high = np.quantile(means, [0.025, 0.975])
    assert [row["difference_low"], row["difference_high"]] == pytest.approx([low, high], abs=0.003)
    pair_means = np.array([change[own].mean() for own in rows])
    assert row["standardised"] == pytest.approx(change.mean() / pair_means.std(ddof=1))
    signs = np.sign(change)
    assert [row[name] for name in ("wins", "ties", "losses")] == [(signs == s).sum() for s in (1, 0, -1)]


def test_a_system_that_loses_little_is_not_inferior() -> None:
    """Student's t by scipy, over pairs of one query each."""
    rng = np.random.default_rng(3)
    queries = [f"q{n}" for n in range(200)]
    items = pd.DataFrame({"item_id": queries, "pair_id": queries})
    base = rng.random(200)
    change = rng.normal(-0.002, 0.02, 200)
    systems = {
        name: pd.DataFrame({"query_id": queries, "RR": values})
        for name, values in (("base", base), ("index", base + change), ("worse", base - 0.1))
    }
    index, worse = non_inferiority(systems, items, margin=0.01).to_dict("records")
    assert index["p"] == pytest.approx(ttest_1samp(change, -0.01, alternative="greater").pvalue)
    assert index["p"] < 0.05 < worse["p"] == 1
    assert index["p_holm"] == pytest.approx(2 * index["p"])
    interval = ttest_1samp(change, 0, alternative="greater").confidence_interval(0.95)
    assert index["largest_loss"] == pytest.approx(-interval.low)
    with pytest.raises(ValueError, match="margin: expected a number above 0 and up to 1, found 0"):
        non_inferiority(systems, items, margin=0)


def test_every_measure_is_asked_for_a_loss_and_holm_counts_them_all() -> None:
    systems, items = uneven(2)
    more = {name: table.assign(AP=table["RR"] / 2, R=0.5) for name, table in systems.items()}
    table = non_inferiority({**more, "other": more["base"]}, items)
    columns = [
        "system",
        "baseline",
        "measure",
        "difference",
        "largest_loss",
        "margin",
        "p",
        "p_holm",
        "pairs",
    ]
    assert table.columns.tolist() == columns
    assert table[["system", "measure"]].to_numpy().tolist() == [
        [system, measure] for system in ("new", "other") for measure in ("RR", "AP", "R")
    ]
    assert (set(table["baseline"]), set(table["margin"])) == ({"base"}, {0.005})
    assert set(table["pairs"]) == {40}
    change = (systems["new"]["RR"] - systems["base"]["RR"]).mean()
    assert table["difference"].tolist() == pytest.approx([change, change / 2, 0, 0, 0, 0])
    alike = 0.995**40  # the chance that 40 pairs hide a loss
    assert table["p"].iloc[2:].tolist() == pytest.approx([alike] * 4)
    assert table["p_holm"].tolist() == pytest.approx([6 * p for p in table["p"].iloc[:2]] + [1] * 4, abs=1e-9)
    none = {name: scores.head(0) for name, scores in systems.items()}
    with pytest.raises(TooFew, match="no query was judged"):
        non_inferiority(none, items)


def test_differences_of_one_size_have_no_standard_size_and_tiny_ones_are_ties() -> None:
    table = compare_systems({**SYSTEMS, "nearly": scores(BASE + 1e-12)}, ITEMS)
    assert table["standardised"].isna().tolist() == [True, True, True]
    assert table[["wins", "ties", "losses"]].to_numpy().tolist() == [[40, 0, 0], [0, 40, 0], [0, 40, 0]]
    two = pd.DataFrame({"query_id": QUERIES[:2], "RR": [0.5, 0.25]})
    one_pair = compare_systems({"a": two, "b": two.assign(RR=[1.0, 0.25])}, ITEMS)
    assert np.isnan(one_pair["standardised"].item())
    assert one_pair[["difference_low", "difference_high"]].to_numpy().tolist() == [[-1, 1]]
    pd.testing.assert_frame_equal(compare_systems(SYSTEMS, ITEMS), compare_systems(SYSTEMS, ITEMS, 0))
    empty = {name: found.head(0) for name, found in SYSTEMS.items()}
    assert compare_systems(empty, ITEMS).columns.tolist() == table.columns.tolist()


def test_more_pairs_show_smaller_differences() -> None:
    systems, items = uneven(1)
    (row,) = compare_systems(systems, items).to_dict("records")
    curve = power_curve(systems, items, pairs=(5, 40, 160)).set_index("pairs")["smallest_difference"]
    assert np.isnan(curve[5])  # no test of 5 pairs has a p below 0.05
    assert curve[40] == pytest.approx(row["smallest_difference"])
    assert curve[160] == pytest.approx(row["smallest_difference"] / 2)
    table = power_curve(systems, items)
    assert table.loc[table["own"], "pairs"].tolist() == [40]
    half = pairs_needed(table, row["smallest_difference"] / 2)
    assert half.to_dict("records") == [{"system": "new", "measure": "RR", "pairs": 160}]
    more = {name: table.assign(AP=table["RR"] ** 2) for name, table in systems.items()}
    usual = power_curve({**more, "other": more["new"]}, items)
    assert usual[["system", "measure", "pairs"]].to_numpy().tolist() == [
        [system, measure, pairs] for system in ("new", "other") for pairs in (40, 50, 100, 200, 500, 1000, 2000, 5000)
        for measure in ("RR", "AP")
    ]  # fmt: skip
    first = usual[(usual["measure"] == "RR") & (usual["system"] == "new")]["smallest_difference"]
    assert first.tolist() == pytest.approx(
        [curve[160] * (160 / pairs) ** 0.5 for pairs in (40, 50, 100, 200, 500, 1000, 2000, 5000)]
    )


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
    judged = {"": RIGHT, "with_": pd.concat([RIGHT, labels])}
    for name, right in judged.items():
        means = mean_measures(score_queries(FOUND, right, ["RR", "R@1"]), TWO).set_index("measure")
        assert found.loc[["RR", "R@1"], [f"{name}low", f"{name}high"]].to_numpy() == pytest.approx(
            means[["low", "high"]].to_numpy()
        )


def test_a_query_that_loses_its_only_answer_is_not_judged_any_more():
    labels = table([("t1", "i1", 0)], ["query_id", "item_id", "relevance"])
    row, *partial = label_effect(FOUND, RIGHT, labels, ["RR"], TWO).to_dict("records")
    assert (row["without"], row["with"], row["queries_changed"], row["queries"]) == pytest.approx(
        (0.75, 1, 0, 1)
    )
    assert all(np.isnan(one["with"]) and one["queries"] == 0 for one in partial)  # t1 alone has a label


def test_measures_for_partial_judgements_are_of_the_queries_with_a_label():
    labels = table([("t1", "i2", 0)], ["query_id", "item_id", "relevance"])
    found = label_effect(FOUND, RIGHT, labels, ["RR"], TWO).set_index("measure")
    assert found["queries"].tolist() == [2] + [1] * 8
    assert found.loc["Judged@10", ["without", "with", "queries_changed"]].tolist() == [1 / 2, 1, 1]
    # i2, which was not judged, stood before i1
    assert found.loc["condensed RR", ["without", "with"]].tolist() == [1, 1 / 2]


def test_without_labels_there_is_nothing_to_compare():
    found = label_effect(FOUND, RIGHT, RIGHT.head(0), ["RR"], TWO)
    assert found.empty
    assert "queries_changed" in found.columns
