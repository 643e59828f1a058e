"""One quantity over another, a series for each setting: cost against quality, calibration, hubs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import check_columns
from mmlab.visualize.style import COLOURS, INK, MARKERS, escape_mathtext, figure, name_axes, write_centred

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

SERIES_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
STROKES: "tuple[LineStyleType, ...]" = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
RELIABILITY_COLUMNS = ("direction", "calibration", "ece", "predicted", "observed", "count")


def pareto(
    ax: "Axes", table: pd.DataFrame, series: str, x: str, y: str, axis_names: tuple[str, str], title: str = ""
) -> "Axes":
    """Draw settings as points over cost and quality; a line joins those that no other setting beats.

    `table`: the columns named by `series`, `x` (smaller is better, on a log axis) and `y` (larger is better), and
    `front`, True for the settings on the line. Every series has its own marker, so the chart reads without colour.

    >>> table = pd.DataFrame({"index": ["hnsw", "exact"], "ms": [1.0, 9.0], "recall": [0.9, 1.0], "front": True})
    >>> _, (ax,) = figure()
    >>> ax = pareto(ax, table, "index", "ms", "recall", ("latency, ms", "recall@10"))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['hnsw', 'exact', 'no other is better']
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    for number, (name, rows) in enumerate(table.groupby(series, sort=False)):
        ax.scatter(
            rows[x],
            rows[y],
            marker=SERIES_MARKERS[number % len(SERIES_MARKERS)],
            s=48,
            color=COLOURS[number % len(COLOURS)],
            edgecolors="white",
            linewidths=0.5,
            label=escape_mathtext(name),
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
    """Draw a line with its own marker and stroke for each value of `series`, over `x` on a log axis.

    Rows without a value of `y` are left out.
    """
    ticks = np.sort(table[x].unique())
    for number, (name, rows) in enumerate(table.groupby(series, sort=False)):
        rows = rows.dropna(subset=[y]).sort_values(x)
        ax.plot(
            rows[x],
            rows[y],
            marker=SERIES_MARKERS[number % len(SERIES_MARKERS)],
            linestyle=STROKES[number % 4],
            color=COLOURS[number % len(COLOURS)],
            markersize=5,
            label=escape_mathtext(name),
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.legend(fontsize=8, frameon=False)
    return name_axes(ax, *axis_names, title=title)


def success_curves(ax: "Axes", ranks: Mapping[str, pd.Series], depth: int, title: str = "") -> "Axes":
    """Draw the share of queries with a right answer among the first k, for k from 1 to `depth` (log scale).

    `ranks`: name of a curve -> the rank of the first right answer of each query, missing where none is ranked.
    """
    cutoffs = np.arange(1, max(depth, 1) + 1)
    for number, (name, first) in enumerate(ranks.items()):
        shares = [float((first <= k).mean()) if len(first) else 0.0 for k in cutoffs]
        stroke = STROKES[number % len(STROKES)]
        label = escape_mathtext(name)
        ax.plot(
            cutoffs,
            shares,
            color=COLOURS[number % len(COLOURS)],
            linestyle=stroke,
            linewidth=1.4,
            label=label,
        )
    ax.set_xscale("log")
    ax.set(ylim=(0, 1))
    ax.legend(fontsize=8)
    return name_axes(ax, "k (log scale)", "Success@k over all queries", title)


def reliability_panels(table: pd.DataFrame, directions: Iterable[str] | None = None) -> "Figure":
    """Return a figure with a reliability diagram for each direction: observed over predicted relevance.

    `table`: direction, calibration, ece, predicted, observed, count, in [0, 1] except count. Each calibration is a
    line beside the diagonal; the area of a marker grows with the logarithm of the count. `directions`: those to show,
    by default those of the table; one without rows says so.
    """
    check_columns(table, RELIABILITY_COLUMNS, "reliability table")
    parts = dict(iter(table.groupby("direction", sort=False)))
    names = list(parts if directions is None else directions) or [""]
    fig, axs = figure(len(names), width=14, height=3.9)
    for ax, name in zip(axs, names, strict=True):
        if name in parts:
            _draw_reliability(ax, parts[name], name)
        else:
            _leave_empty(ax, name)
    return fig


def occurrence_panels(counts: Mapping[str, Mapping[str, Sequence[float]]], k: int = 10) -> "Figure":
    """Return a figure that shows, for each direction, how often each item is among the first `k` of all queries.

    `counts`: direction -> name of a curve -> one count per item. The most frequent items come first: hubs stand at
    the left, and without hubs a curve is level.
    """
    fig, axs = figure(max(len(counts), 1), height=3.4)
    for ax, (direction, curves) in zip(axs, counts.items(), strict=False):
        _draw_occurrences(ax, curves, k, direction)
    if not counts:
        _leave_empty(axs[0], "")
    return fig


def _draw_reliability(ax: "Axes", table: pd.DataFrame, title: str) -> "Axes":
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, label="as predicted")
    for number, (name, part) in enumerate(table.groupby("calibration", sort=False)):
        colour = COLOURS[number % len(COLOURS)]
        stroke = STROKES[number % len(STROKES)]
        ax.plot(part["predicted"], part["observed"], color=colour, linestyle=stroke, linewidth=1.2)
        ax.scatter(
            part["predicted"],
            part["observed"],
            s=8 + 12 * np.log10(part["count"].clip(lower=1)),
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            label=f"{name}, ECE {part['ece'].iloc[0]:.3f}",
        )
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    ax.legend(loc="lower right", fontsize=8)
    return name_axes(ax, "predicted probability of relevance", "observed share of relevant", title)


def _draw_occurrences(ax: "Axes", curves: Mapping[str, Sequence[float]], k: int, title: str) -> "Axes":
    for number, (name, counts) in enumerate(curves.items()):
        falling = np.sort(np.asarray(counts, dtype=float))[::-1]
        colour, stroke = COLOURS[number % len(COLOURS)], STROKES[number % len(STROKES)]
        places = np.arange(1, len(falling) + 1)
        ax.plot(places, falling, color=colour, linestyle=stroke, linewidth=1.4, label=name)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    return name_axes(
        ax, "items, the most found first (log scale)", f"queries with it in the first {k}", title
    )


def _leave_empty(ax: "Axes", title: str) -> "Axes":
    ax.set(xticks=[], yticks=[])
    write_centred(ax, "nothing to show")
    return name_axes(ax, "", title=title)
