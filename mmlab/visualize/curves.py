"""One quantity over another, a series for each setting; and histograms of values, alone, in groups, and of pairs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import check_columns
from mmlab.visualize.style import (
    COLOURS,
    HATCHES,
    INK,
    MARKERS,
    figure,
    name_axes,
    write_centred,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

TOP_MARGIN = 0.06  # of the height, so that the highest point is drawn whole
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
            label=str(name),
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
            label=str(name),
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    lowest, highest = min(0, ax.get_ylim()[0]), ax.get_ylim()[1]
    ax.set_ylim(lowest, highest + TOP_MARGIN * (highest - lowest))
    ax.legend(fontsize=8, frameon=False)
    return name_axes(ax, *axis_names, title=title)


def success_curves(ax: "Axes", table: pd.DataFrame, title: str = "") -> "Axes":
    """Draw the share of queries with a right answer among the first k over k (log scale), a line for each direction.

    `table`: direction, k, value, see `success_by_cutoff`.
    """
    for number, (name, rows) in enumerate(table.groupby("direction", sort=False)):
        ax.plot(
            rows["k"],
            rows["value"],
            color=COLOURS[number % len(COLOURS)],
            linestyle=STROKES[number % len(STROKES)],
            linewidth=1.4,
            label=str(name),
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
            _leave_empty(ax, "", "", name, "nothing to show")
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
        _leave_empty(axs[0], "", "", "", "nothing to show")
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


MAX_WHOLE_NUMBERS = 100  # whole numbers over a wider range share bars
HEIGHT, HEIGHT_OF_EACH = 3.2, 2.6  # inches of the axes of a single space, and of each of several


def histogram(
    ax: "Axes", values: Sequence[float] | np.ndarray, axis_name: str, title: str = "", bins: int = 40
) -> "Axes":
    """Draw the counts of values (N,) with their median marked; "none" without any.

    Whole numbers over a range below MAX_WHOLE_NUMBERS get a bar each.

    >>> _, (ax,) = figure()
    >>> histogram(ax, np.array([1, 2, 9]), "words").get_legend().get_texts()[0].get_text()
    'median 2'
    """
    array = np.asarray(values)
    if not len(array):
        return _leave_empty(ax, axis_name, "count", title)
    median = float(np.median(array))
    ax.hist(array, bins=_bin_edges(array, bins), color=COLOURS[0])
    if np.issubdtype(array.dtype, np.integer):
        ax.locator_params(axis="x", integer=True, min_n_ticks=1)
    ax.axvline(median, color=INK, linestyle="--", linewidth=1, label=f"median {median:.3g}")
    ax.legend(frameon=False)
    return name_axes(ax, axis_name, "count", title)


def overlapping_histograms(
    ax: "Axes", groups: Mapping[str, np.ndarray], axis_name: str, title: str = "", bins: int = 60
) -> "Axes":
    """Draw several groups over the same bins, each as shares of its own size; they differ by hatch and outline.

    `groups`: name -> values (N,). Groups without values are left out; "none" if no group has any.

    >>> _, (ax,) = figure()
    >>> ax = overlapping_histograms(ax, {"matched": np.array([0.2, 0.4]), "mismatched": np.array([0.1])}, "cosine")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['matched (2, mean 0.30)', 'mismatched (1, mean 0.10)']
    """
    groups = {name: np.asarray(values) for name, values in groups.items() if len(values)}
    if not groups:
        return _leave_empty(ax, axis_name, "share of its group", title)
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=bins).tolist()
    for number, (name, values) in enumerate(groups.items()):
        colour = COLOURS[number % len(COLOURS)]
        ax.hist(
            values,
            bins=edges,
            weights=np.full(len(values), 1 / len(values)),
            histtype="stepfilled",
            alpha=0.55,
            color=colour,
            edgecolor=colour,
            hatch=HATCHES[number % len(HATCHES)],
            label=f"{name} ({len(values):,}, mean {np.mean(values):.2f})",
        )
    ax.legend(frameon=False)
    return name_axes(ax, axis_name, "share of its group", title)


def pair_histograms(cosines: Mapping[str, tuple[str, pd.DataFrame]]) -> "Figure":
    """Return a figure of the cosines of matched and of mismatched pairs, with axes of its own for each space.

    `cosines`: key of a space -> what is compared, and a table with the columns positive and negative. A space without
    rows shows what is compared as text. Cosines of two spaces cannot be compared with each other.
    """
    count = len(cosines)
    fig, axs = figure(rows=count, height=HEIGHT if count == 1 else HEIGHT_OF_EACH * count)
    for ax, (space, (compared, table)) in zip(axs, cosines.items(), strict=True):
        if table.empty:
            _leave_empty(ax, f"cosine in {space}", "", "Matched and mismatched pairs", compared)
            continue
        groups = {"matched": table["positive"].to_numpy(), "mismatched": table["negative"].to_numpy()}
        title = "Matched and mismatched pairs" if count == 1 else f"{space}: {compared}"
        overlapping_histograms(ax, groups, f"cosine of {compared} in {space}", title)
    return fig


def _leave_empty(ax: "Axes", x: str, y: str, title: str, text: str = "none") -> "Axes":
    write_centred(ax, text)
    ax.set(xticks=[], yticks=[])
    return name_axes(ax, x, y, title)


def _bin_edges(values: np.ndarray, bins: int) -> list[float]:
    if np.issubdtype(values.dtype, np.integer) and np.ptp(values) < MAX_WHOLE_NUMBERS:
        return np.arange(values.min() - 0.5, values.max() + 1).tolist()
    return np.histogram_bin_edges(values, bins=bins).tolist()
