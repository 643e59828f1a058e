"""Curves: which series, which line, and readable without colour."""

import pandas as pd

from mmlab.visualize import figure, pareto
from mmlab.visualize.curves import occurrence_panels, reliability_panels, throughput_curves


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
