"""Histograms: how values are distributed, alone, in groups, and between matched and mismatched pairs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.visualize.style import COLOURS, HATCHES, INK, escape_mathtext, figure, name_axes, write_centred

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
            label=escape_mathtext(f"{name} ({len(values):,}, mean {np.mean(values):.2f})"),
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
