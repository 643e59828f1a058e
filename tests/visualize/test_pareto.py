"""The Pareto plot: which series, which line, and readable without colour."""

import pandas as pd

from mmlab.visualize import figure, pareto, throughput_curves


def test_every_series_has_its_own_marker_and_the_front_is_joined():
    table = pd.DataFrame(
        {
            "way": ["a", "a", "b"],
            "ms": [1.0, 2.0, 3.0],
            "recall": [0.8, 0.9, 0.85],
            "front": [True, True, False],
        }
    )
    _, (ax,) = figure()
    pareto(ax, table, "way", "ms", "recall", ("latency, ms", "recall"), "Title")
    first, second = (dots.get_paths()[0].vertices.tolist() for dots in ax.collections)
    assert first != second
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[1, 0.8], [2, 0.9]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "no other is better"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("latency, ms", "recall", "log")


def test_curves_leave_gaps_out_and_differ_in_stroke():
    table = pd.DataFrame({"way": ["a", "a", "b"], "size": [16, 8, 8], "speed": [None, 2.0, 3.0]})
    _, (ax,) = figure()
    throughput_curves(ax, table, "way", "size", "speed", ("batch size", "items a second"))
    first, second = ax.lines
    assert first.get_xydata().tolist() == [[8, 2]]
    assert (first.get_linestyle(), first.get_marker()) != (second.get_linestyle(), second.get_marker())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "16"]
