"""How values are spread."""

from typing import TYPE_CHECKING

import numpy as np

from mmlab.visualize.style import COLOURS, HATCHES, INK, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 100  # whole numbers get a bar each as long as they are no more than this


def histogram(ax: "Axes", values: np.ndarray, axis_name: str, title: str = "", bins: int = 40) -> "Axes":
    """Counts of `values` (N,) with the median marked, "none" without any; whole numbers get a bar each."""
    if not len(values):
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=INK)
        ax.set(xticks=[], yticks=[])
        return name_axes(ax, axis_name, "count", title)
    median = float(np.median(values))
    ax.hist(values, bins=_edges(np.asarray(values), bins), color=COLOURS[0])
    if np.issubdtype(np.asarray(values).dtype, np.integer):
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.axvline(median, color=INK, linestyle="--", linewidth=1, label=f"median {median:.3g}")
    ax.legend(frameon=False)
    return name_axes(ax, axis_name, "count", title)


def overlapping_histograms(
    ax: "Axes", groups: dict[str, np.ndarray], axis_name: str, title: str = "", bins: int = 60
) -> "Axes":
    """Several groups over the same bins, each as a share of its own size, told apart by hatch and outline.

    Groups without values are left out; "none" stands there if none has any.
    """
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=INK)
        ax.set(xticks=[], yticks=[])
        return name_axes(ax, axis_name, "share of its group", title)
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=bins)
    for number, (name, values) in enumerate(groups.items()):
        shares = np.full(len(values), 1 / len(values))
        ax.hist(
            values,
            bins=edges,
            weights=shares,
            histtype="stepfilled",
            alpha=0.55,
            color=COLOURS[number],
            edgecolor=COLOURS[number],
            hatch=HATCHES[number],
            label=f"{name} ({len(values):,}, mean {np.mean(values):.2f})",
        )
    ax.legend(frameon=False)
    return name_axes(ax, axis_name, "share of its group", title)


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    if np.issubdtype(values.dtype, np.integer) and np.ptp(values) < MOST_BARS:
        return np.arange(values.min() - 0.5, values.max() + 1)
    return np.histogram_bin_edges(values, bins=bins)
