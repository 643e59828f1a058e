"""Bars, waterfalls and forests: what they write, and that nothing empty or unnamed is drawn."""

import pandas as pd
import pytest

from mmlab.visualize import bars, figure, forest, paired_bars, waterfall
from mmlab.visualize.bars import group_panels, recall_panels, waterfall_panels


def words(ax: object) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_bars_carry_their_values_and_the_first_is_on_top() -> None:
    _, (ax,) = figure()
    bars(ax, ["mug", "hat"], [1200, 3], "items", "Counts")
    assert words(ax) == ["1,200", "3"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "items"


def test_no_bars_say_none_and_one_bar_is_no_wall() -> None:
    _, axs = figure(2)
    bars(axs[0], [], [], "items")
    assert words(axs[0]) == ["none"]
    bars(axs[1], ["mug"], [3], "items")
    assert axs[1].get_ylim() == (2.5, -0.5)


def test_error_bars_reach_from_low_to_high() -> None:
    _, (ax,) = figure()
    bars(ax, ["mug"], [0.5], "share", errors=[(0.4, 0.7)], form="{:.1f}")
    ((start, end),) = (line.get_segments()[0][:, 0] for line in ax.collections)
    assert (start, end) == pytest.approx((0.4, 0.7))


def test_a_waterfall_ends_at_the_sum() -> None:
    _, (ax,) = figure()
    waterfall(ax, ["rows", "broken", "short"], [100, -10, -5], "rows")
    assert words(ax) == ["100", "-10", "-5", "85"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["rows", "broken", "short", "left"]


def grouped(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(low=0.1, high=0.9)


def test_paired_bars_differ_by_hatch_and_carry_their_values() -> None:
    _, (ax,) = figure()
    table = grouped(name=["a", "b", "a"], direction=["there", "there", "back"], value=[0.25, 0.5, 0.75])
    paired_bars(ax, table, "name", "direction", "share")
    assert words(ax) == ["0.25", "0.50", "0.75"]
    assert {patch.get_hatch() for patch in ax.patches} == {"", "//"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["there", "back"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]


def test_paired_bars_without_rows_say_none() -> None:
    _, (ax,) = figure()
    paired_bars(ax, grouped(name=[], direction=[], value=[]), "name", "direction", "share")
    assert words(ax) == ["none"]


def test_groups_have_a_panel_per_column_with_the_worst_first() -> None:
    rows = [("there", "label", "mug", 0.9), ("there", "label", "hat", 0.1), ("there", "split", "test", 0.5)]
    table = pd.DataFrame(rows, columns=["direction", "column", "group", "value"]).assign(low=0, high=1)
    fig = group_panels(table, "Success@1")
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["by label", "by split"]
    assert [tick.get_text() for tick in fig.axes[0].get_yticklabels()] == ["hat", "mug"]
    assert words(group_panels(table.head(0), "Success@1").axes[0]) == ["none"]


def test_a_waterfall_per_direction_ends_in_what_is_found() -> None:
    table = pd.DataFrame({"step": ["queries", "missed", "lost"], "queries": [10, -2, 0]})
    fig = waterfall_panels({"text-to-image": table, "image-to-text": table}, "queries")
    assert words(fig.axes[1]) == ["10", "-2", "0", "8"]
    assert fig.axes[1].get_yticklabels()[-1].get_text() == "found"


def test_each_direction_has_a_panel_with_recall_share_and_latency_of_each_filter() -> None:
    rows = [("there", "none", 1.0, 0.5), ("there", "price = $1", 0.0123, 0.25), ("back", "none", 1.0, 1.0)]
    table = pd.DataFrame(rows, columns=["direction", "filter", "passing", "recall"])
    fig = recall_panels(table.assign(low=0.2, high=1.0, k=10, p50_ms=0.75))
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["there, by filter", "back, by filter"]
    assert [words(ax) for ax in fig.axes] == [["0.500", "0.250"], ["1.000"]]
    names = [tick.get_text() for tick in fig.axes[0].get_yticklabels()]
    assert names == ["none\n100% pass, 0.75 ms", "price = $1\n1.23% pass, 0.75 ms"]


@pytest.fixture
def forest_ax():
    _, (ax,) = figure()
    return forest(
        ax, ["a", "b", "c"], [0.1, -0.2, 0.0], [(0.05, 0.2), (-0.3, 0.1), (0.0, 0.0)], "difference", "t"
    )


def test_a_point_is_filled_where_its_interval_does_not_hold_zero(forest_ax):
    filled, hollow = (points.get_offsets().tolist() for points in forest_ax.collections[1:])
    assert filled == [[0.1, 0.0]]
    assert hollow == [[-0.2, 1.0], [0.0, 2.0]]


def test_values_are_written_with_their_sign_and_the_first_is_on_top(forest_ax):
    assert [text.get_text() for text in forest_ax.texts] == ["+0.100", "-0.200", "+0.000"]
    assert [tick.get_text() for tick in forest_ax.get_yticklabels()] == ["a", "b", "c"]
    assert forest_ax.get_ylim()[0] > forest_ax.get_ylim()[1]
    assert forest_ax.get_xlabel() == "difference"
