"""Figures: what they say, and that nothing empty or unnamed is drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.visualize import (
    bars,
    figure,
    group_panels,
    histogram,
    overlapping_histograms,
    paired_bars,
    plot_map,
    show,
    waterfall,
    waterfalls,
)


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


def test_a_histogram_marks_its_median() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([1, 2, 9]), "words")
    assert ax.get_legend().get_texts()[0].get_text() == "median 2"


def test_a_histogram_of_nothing_says_none() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([]), "words in a text")
    assert words(ax) == ["none"]
    assert ax.get_xlabel() == "words in a text"


def test_whole_numbers_have_whole_ticks() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([5, 5, 5]), "texts of an image")
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_overlapping_histograms_are_shares_of_their_own_group() -> None:
    _, (ax,) = figure()
    overlapping_histograms(
        ax, {"few": np.array([0.1, 0.2]), "many": np.linspace(0, 1, 50)}, "cosine", bins=10
    )
    heights = [sum(sorted(set(patch.get_path().vertices[:, 1]))) for patch in ax.patches]
    assert ax.get_ylim()[1] <= 1.1
    assert len(heights) == 2
    assert "few (2, mean 0.15)" in ax.get_legend().get_texts()[0].get_text()


def test_a_map_groups_all_past_the_largest_as_other() -> None:
    _, (ax,) = figure()
    groups = pd.Series(["a"] * 3 + ["b"] * 2 + ["c"])
    plot_map(ax, np.zeros((6, 2)), groups, most=2)
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["a", "b", "other"]


def test_show_writes_the_image_with_its_sentence(tmp_path: Path) -> None:
    fig, (ax,) = figure()
    bars(ax, ["mug"], [1], "items")
    show(fig, tmp_path / "figure.png", "One mug.")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.text["Description"] == "One mug."
        assert image.width > 800


def test_a_label_in_the_sentence_is_shown_as_text(tmp_path: Path, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.extend(objects))
    show(figure()[0], tmp_path / "figure.png", "**Most** under <script>alert(1)</script>.")
    assert type(shown[0]).__name__ == "Image"
    assert str(shown[1]) == "<p><strong>Most</strong> under &lt;script&gt;alert(1)&lt;/script&gt;.</p>\n"


def grouped(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(low=0.1, high=0.9)


def test_paired_bars_differ_by_hatch_and_carry_their_values() -> None:
    _, (ax,) = figure()
    table = grouped(name=["a", "b", "a"], way=["there", "there", "back"], value=[0.25, 0.5, 0.75])
    paired_bars(ax, table, "name", "way", "share")
    assert words(ax) == ["0.25", "0.50", "0.75"]
    assert {patch.get_hatch() for patch in ax.patches} == {"", "//"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["there", "back"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]


def test_paired_bars_without_rows_say_none() -> None:
    _, (ax,) = figure()
    paired_bars(ax, grouped(name=[], way=[], value=[]), "name", "way", "share")
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
    fig = waterfalls({"text-to-image": table, "image-to-text": table}, "queries")
    assert words(fig.axes[1]) == ["10", "-2", "0", "8"]
    assert fig.axes[1].get_yticklabels()[-1].get_text() == "found"


def test_histograms_of_nothing_say_none() -> None:
    _, (ax,) = figure()
    overlapping_histograms(ax, {"few": np.array([]), "many": np.array([])}, "cosine")
    assert words(ax) == ["none"]


def test_a_dollar_sign_in_a_label_begins_no_formula(tmp_path: Path) -> None:
    fig, axs = figure(3)
    label = r"$\frac{ and $5"
    bars(axs[0], [label], [1], "items")
    paired_bars(axs[1], grouped(name=[label], way=["there"], value=[0.5]), "name", "way", "share")
    plot_map(axs[2], np.zeros((2, 2)), pd.Series([label, "b"]))
    fig.savefig(tmp_path / "figure.png")  # raises on a broken formula
    assert axs[0].get_yticklabels()[0].get_text() == label.replace("$", r"\$")
