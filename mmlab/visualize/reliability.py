"""Do probabilities hold, and are there hubs: diagrams of tables that retrieval makes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import check_columns
from mmlab.visualize.style import COLOURS, INK, MARKERS, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))


def reliability_diagram(ax: "Axes", table: pd.DataFrame, title: str = "") -> "Axes":
    """Observed share of relevant items over the predicted probability, a line per calibration, beside the diagonal.

    `table`: calibration, ece, predicted, observed, count; a marker's area grows with the logarithm of the count.
    """
    check_columns(table, ("calibration", "ece", "predicted", "observed", "count"), "reliability table")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, label="as predicted")
    for number, (name, part) in enumerate(table.groupby("calibration", sort=False)):
        colour, marker, line = (values[number % len(values)] for values in (COLOURS, MARKERS, LINES))
        ax.plot(part["predicted"], part["observed"], color=colour, linestyle=line, linewidth=1.2)
        area = 8 + 12 * np.log10(part["count"].clip(lower=1))
        label = f"{name}, ECE {part['ece'].iloc[0]:.3f}"
        ax.scatter(part["predicted"], part["observed"], s=area, color=colour, marker=marker, label=label)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    ax.legend(loc="lower right", fontsize=8)
    return name_axes(ax, "predicted probability of relevance", "observed share of relevant", title)


def occurrence_curves(
    ax: "Axes", counts: Mapping[str, Sequence[float]], k: int, of: str = "items", title: str = ""
) -> "Axes":
    """How often each item is among the first `k` of all queries, the most frequent first: hubs stand at the left.

    `counts`: name -> one count per item. Without hubs a curve is level.
    """
    for number, (name, values) in enumerate(counts.items()):
        falling = np.sort(np.asarray(values, dtype=float))[::-1]
        colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        ax.plot(
            np.arange(1, len(falling) + 1), falling, color=colour, linestyle=line, linewidth=1.4, label=name
        )
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    return name_axes(
        ax, f"{of}, the most found first (log scale)", f"queries with it in the first {k}", title
    )


def reliability_panels(axes: "Sequence[Axes]", table: pd.DataFrame) -> None:
    """A reliability diagram for each direction of `table` (direction, then as for `reliability_diagram`)."""
    parts = list(table.groupby("direction", sort=False))
    for ax, (name, part) in zip(axes, parts, strict=False):
        reliability_diagram(ax, part, str(name))
    _leave_empty(axes[len(parts) :])


def occurrence_panels(
    axes: "Sequence[Axes]", counts: Mapping[str, Mapping[str, Sequence[float]]], k: int = 10
) -> None:
    """The occurrence curves of each direction: `counts` is direction -> name -> one count per item."""
    for ax, (name, of) in zip(axes, counts.items(), strict=False):
        occurrence_curves(ax, of, k, title=name)
    _leave_empty(axes[len(counts) :])


def _leave_empty(axes: "Sequence[Axes]") -> None:
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center", va="center", color=INK)
