"""Curves: which series, which line, and readable without colour."""

import numpy as np
import pandas as pd

from mmlab.visualize import figure, histogram, overlapping_histograms, pareto
from mmlab.visualize.curves import occurrence_panels, pair_histograms, reliability_panels, throughput_curves


def test_every_series_has_its_own_marker_and_the_front_is_joined():
    table = pd.DataFrame(
        {
            "index": ["a", "a", "b"],
            "ms": [1.0, 2.0, 3.0],
            "recall": [0.8, 0.9, 0.85],
            "front": [True, True, False],
        }
    )
    _, (ax,) = figure()
    pareto(ax, table, "index", "ms", "recall", ("latency, ms", "recall"), "Title")
    first, second = (dots.get_paths()[0].vertices.tolist() for dots in ax.collections)
    assert first != second
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[1, 0.8], [2, 0.9]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "no other is better"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("latency, ms", "recall", "log")


def test_curves_leave_gaps_out_and_differ_in_stroke():
    table = pd.DataFrame({"index": ["a", "a", "b"], "size": [16, 8, 8], "speed": [None, 2.0, 3.0]})
    _, (ax,) = figure()
    throughput_curves(ax, table, "index", "size", "speed", ("batch size", "items a second"))
    first, second = ax.lines
    assert first.get_xydata().tolist() == [[8, 2]]
    assert (first.get_linestyle(), first.get_marker()) != (second.get_linestyle(), second.get_marker())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "16"]


def test_the_highest_point_of_a_narrow_range_is_drawn_whole():
    table = pd.DataFrame({"index": "a", "size": [8, 16], "speed": [0.96, 0.97]})
    _, (ax,) = figure()
    throughput_curves(ax, table, "index", "size", "speed", ("items", "Success@1"))
    lowest, highest = ax.get_ylim()
    assert lowest == 0
    assert highest >= 0.97 * 1.05


def test_a_line_for_each_calibration_with_its_error_beside_the_diagonal() -> None:
    table = pd.DataFrame(
        {
            "direction": "text-to-image",
            "calibration": ["logistic", "logistic", "isotonic"],
            "ece": [0.1, 0.1, 0.25],
            "predicted": [0.1, 0.9, 0.5],
            "observed": [0.2, 0.8, 0.25],
            "count": [100, 1, 10],
        }
    )
    axes = reliability_panels(table, ["text-to-image", "image-to-text"]).axes
    legend = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert legend == ["as predicted", "logistic, ECE 0.100", "isotonic, ECE 0.250"]
    assert axes[0].lines[1].get_ydata().tolist() == [0.2, 0.8]
    assert [text.get_text() for text in axes[1].texts] == ["nothing to show"]
    assert axes[1].get_title(loc="left") == "image-to-text"
    assert [ax.get_title(loc="left") for ax in reliability_panels(table).axes] == ["text-to-image"]


def test_occurrences_fall_from_the_greatest_hub() -> None:
    axes = occurrence_panels({"text-to-image": {"none": [0, 5, 1]}}, k=10).axes
    assert len(axes) == 1
    assert axes[0].lines[0].get_ydata().tolist() == [5, 1, 0]
    assert axes[0].get_ylabel() == "queries with it in the first 10"


def test_without_directions_a_panel_says_that_there_is_nothing_to_show() -> None:
    table = pd.DataFrame(columns=["direction", "calibration", "ece", "predicted", "observed", "count"])
    for fig in (reliability_panels(table), occurrence_panels({})):
        assert [text.get_text() for text in fig.axes[0].texts] == ["nothing to show"]


COSINES = pd.DataFrame({"positive": [0.8, 0.9], "negative": [0.1, 0.2]})


def words(ax: object) -> list[str]:
    return [text.get_text() for text in ax.texts]


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


def test_histograms_of_nothing_say_none() -> None:
    _, (ax,) = figure()
    overlapping_histograms(ax, {"few": np.array([]), "many": np.array([])}, "cosine")
    assert words(ax) == ["none"]


def test_each_space_has_its_axes_and_one_without_pairs_says_so():
    fig = pair_histograms({"a-1": ("texts with images", COSINES), "b-2": ("not comparable", COSINES[:0])})
    first, second = fig.axes
    assert first.get_xlabel() == "cosine of texts with images in a-1"
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        "matched (2, mean 0.85)",
        "mismatched (2, mean 0.15)",
    ]
    assert [text.get_text() for text in second.texts] == ["not comparable"]


def test_one_space_alone_has_the_title_of_the_chart():
    fig = pair_histograms({"a-1": ("texts with images", COSINES)})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["Matched and mismatched pairs"]
