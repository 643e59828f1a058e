"""Counts and shares as bars with their number written on them."""

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.visualize.style import COLOURS, HATCHES, INK, legend_below, literal, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 28  # characters of a row's name
FEWEST = 3  # bars that there is room for, so that a single one is no wall


def bars(
    ax: "Axes",
    names: Sequence[str],
    values: Sequence[float],
    axis_name: str,
    title: str = "",
    errors: Sequence[tuple[float, float]] | None = None,
    form: str = "{:,.0f}",
) -> "Axes":
    """Horizontal bars, the first name on top, "none" without any; `errors` are (low, high) bounds of each value."""
    positions = range(len(names))
    spread = None
    if errors is not None:
        spread = [
            [value - low for value, (low, _) in zip(values, errors, strict=True)],
            [high - value for value, (_, high) in zip(values, errors, strict=True)],
        ]
    ax.barh(positions, values, xerr=spread, color=COLOURS[0], height=0.7, ecolor=INK, capsize=2)
    ends = values if errors is None else [high for _, high in errors]
    for position, value, end in zip(positions, values, ends, strict=True):
        ax.annotate(form.format(value), (end, position), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(positions, [literal(name) for name in names])
    ax.set_ylim(max(len(names), FEWEST) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.xaxis.get_major_locator().set_params(integer=all(value == int(value) for value in values))
    if not len(names):
        ax.set_xticks([0])
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=INK)
    return name_axes(ax, axis_name, title=title)


def paired_bars(
    ax: "Axes", table: pd.DataFrame, row: str, series: str, axis_name: str, title: str = ""
) -> "Axes":
    """Shares as horizontal bars, one bar per value of `series` in each `row`, told apart by hatch and colour.

    `table`: the columns named by `row` and `series`, and value, low, high (the bounds of the error bars), values in
    [0, 1] or so. Rows and series keep the order in which they first come; the number stands behind each bar.
    """
    rows, names = list(dict.fromkeys(table[row])), list(dict.fromkeys(table[series]))
    height = 0.8 / max(len(names), 1)
    for number, name in enumerate(names):
        part = table[table[series] == name]
        places = np.array([rows.index(value) for value in part[row]]) - 0.4 + height * (number + 0.5)
        spread = np.clip([part["value"] - part["low"], part["high"] - part["value"]], 0, None)
        ax.barh(places, part["value"], height * 0.92, xerr=spread, label=literal(name), **_fill(number))
        for place, value, high in zip(places, part["value"], part["high"], strict=True):
            beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
            ax.annotate(f"{value:.2f}", (high, place), **beside)
    ax.set_yticks(
        range(len(rows)), [literal(shorten(str(value), LONGEST, placeholder="…")) for value in rows]
    )
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    ax.set_xlim(0, 1.15 * max(1.0, table["high"].max() if len(table) else 1.0))
    ax.grid(visible=False, axis="y")
    if not rows:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=INK)
    elif len(names) > 1:
        legend_below(ax, 40, len(names), frameon=False)
    return name_axes(ax, axis_name, title=title)


def _fill(number: int) -> dict:
    """Colour and hatch of a series; when the colours come again, they come with other hatches."""
    hatch = HATCHES[(number + number // len(COLOURS)) % len(HATCHES)]
    look = {"edgecolor": "white", "linewidth": 0, "ecolor": INK, "capsize": 2}
    return {"color": COLOURS[number % len(COLOURS)], "hatch": hatch, **look}


def waterfall(
    ax: "Axes",
    names: Sequence[str],
    changes: Sequence[int],
    axis_name: str,
    title: str = "",
    last: str = "left",
) -> "Axes":
    """From the first value down, step by step, to what is left: the bar `last` is the sum of `changes`.

    `changes[0]` is the start, the others are what each step adds or (negative) takes.
    """
    left = 0
    for position, change in enumerate(changes):
        ax.barh(position, change, left=left, color=COLOURS[0 if position == 0 else 3], height=0.7)
        left += change
        ax.annotate(
            f"{change:+,}" if position and change else f"{change:,}",
            (max(left, left - change), position),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    ax.barh(len(changes), left, color=COLOURS[2], hatch=HATCHES[1], edgecolor="white", height=0.7)
    ax.annotate(f"{left:,}", (left, len(changes)), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(changes) + 1), [*(literal(name) for name in names), last])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.1)
    return name_axes(ax, axis_name, title=title)
