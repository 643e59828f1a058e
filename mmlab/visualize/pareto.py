"""What accuracy costs in time: many settings as points, the ones that no other beats joined by a line."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.visualize.style import COLOURS, INK, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


def pareto(
    ax: "Axes", table: pd.DataFrame, series: str, x: str, y: str, axis_names: tuple[str, str], title: str = ""
) -> "Axes":
    """One marker and colour for each value of the column `series`; a line joins the rows where `front` is True.

    `table`: the columns named by `series`, `x` (smaller is better, on a log axis) and `y` (larger is better), and
    `front` (bool). A kind of marker is for one series, so that the chart reads without colour.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    for i, (name, rows) in enumerate(table.groupby(series, sort=False)):
        marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
        ax.scatter(
            rows[x],
            rows[y],
            marker=marker,
            s=48,
            color=colour,
            edgecolors="white",
            linewidths=0.5,
            label=name,
        )
    front = table[table["front"]].sort_values(x)
    ax.plot(front[x], front[y], color=INK, linewidth=1, linestyle="--", zorder=0, label="no other is better")
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return name_axes(ax, *axis_names, title=title)


def throughput_curves(
    ax: "Axes", table: pd.DataFrame, series: str, x: str, y: str, axis_names: tuple[str, str], title: str = ""
) -> "Axes":
    """A line with its own marker and stroke for each value of `series`, over `x` on a log axis; gaps are left out."""
    strokes = ("-", "--", ":", "-.")
    ticks = np.sort(table[x].unique())
    for i, (name, rows) in enumerate(table.groupby(series, sort=False)):
        rows = rows.dropna(subset=[y]).sort_values(x)
        ax.plot(
            rows[x],
            rows[y],
            marker=MARKERS[i % len(MARKERS)],
            linestyle=strokes[i % len(strokes)],
            color=COLOURS[i % len(COLOURS)],
            markersize=5,
            label=name,
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.legend(fontsize=8, frameon=False)
    return name_axes(ax, *axis_names, title=title)
