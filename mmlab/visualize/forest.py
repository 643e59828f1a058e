"""Differences as points with their intervals beside a line at zero."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmlab.visualize.style import COLOURS, INK, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forest(
    ax: "Axes",
    names: Sequence[str],
    values: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    axis_name: str,
    title: str = "",
) -> "Axes":
    """A point per name, the first on top, with its interval; filled where the interval does not hold zero."""
    values, (low, high) = np.asarray(values, dtype=float), np.asarray(bounds, dtype=float).T
    places = np.arange(len(names))
    ax.axvline(0, color=INK, linewidth=1)
    ax.hlines(places, low, high, color=COLOURS[0])
    apart = (low > 0) | (high < 0)
    for chosen, face in ((apart, COLOURS[0]), (~apart, "white")):
        ax.scatter(values[chosen], places[chosen], s=36, color=face, edgecolor=COLOURS[0], zorder=3)
    for place, value in zip(places, values, strict=True):
        ax.annotate(
            f"{value:+.3f}", (value, place), (0, 5), textcoords="offset points", ha="center", fontsize=8
        )
    ax.set_yticks(places, [str(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.7)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    return name_axes(ax, axis_name, title=title)
