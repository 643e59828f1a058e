"""Diagrams of calibration and of hubs."""

import matplotlib as mpl
import pandas as pd

from mmlab.visualize import figure, occurrence_panels, reliability_panels

mpl.use("Agg")


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
    _, axes = figure(columns=2)
    reliability_panels(axes, table)
    legend = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert legend == ["as predicted", "logistic, ECE 0.100", "isotonic, ECE 0.250"]
    assert axes[0].lines[1].get_ydata().tolist() == [0.2, 0.8]
    assert [text.get_text() for text in axes[1].texts] == ["nothing to show"]


def test_occurrences_fall_from_the_greatest_hub() -> None:
    _, axes = figure(columns=2)
    occurrence_panels(axes, {"text-to-image": {"none": [0, 5, 1]}}, k=10)
    assert axes[0].lines[0].get_ydata().tolist() == [5, 1, 0]
    assert axes[0].get_ylabel() == "queries with it in the first 10"
