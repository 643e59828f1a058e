"""Values of named things as bars and points: counts, shares, sums that fall step by step, differences."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.visualize.style import (
    COLOURS,
    HATCHES,
    INK,
    figure,
    legend_below,
    name_axes,
    shorten_label,
    write_centred,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = Sequence[tuple[float, float]] | np.ndarray  # low and high of each value, (N, 2)

MAX_NAME_COLUMNS = 28  # of a row's name
MIN_ROWS = 3  # that the axes have room for, so that a single bar does not fill them
MAX_GROUPS = 10  # in a panel


def bars(
    ax: "Axes",
    names: Sequence[str],
    values: Sequence[float],
    axis_name: str,
    title: str = "",
    errors: Bounds | None = None,
    form: str = "{:,.0f}",
) -> "Axes":
    """Draw horizontal bars with their values written behind them, the first name on top; "none" without any.

    `errors`: (low, high) bounds of each value, drawn as error bars. `form`: format of the values.

    >>> _, (ax,) = figure()
    >>> [text.get_text() for text in bars(ax, ["mug", "hat"], [1200, 3], "items").texts]
    ['1,200', '3']
    """
    rows = range(len(names))
    spread, ends = None, list(values)
    if errors is not None:
        low, high = np.asarray(errors, dtype=float).reshape(-1, 2).T
        spread, ends = np.array([np.asarray(values) - low, high - np.asarray(values)]), high.tolist()
    ax.barh(rows, values, xerr=spread, color=COLOURS[0], height=0.7, ecolor=INK, capsize=2)
    for row, value, end in zip(rows, values, ends, strict=True):
        _write_behind(ax, form.format(value), end, row)
    ax.set_yticks(rows, [str(name) for name in names])
    ax.set_ylim(max(len(names), MIN_ROWS) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.locator_params(axis="x", integer=all(value == int(value) for value in values))
    if not len(names):
        ax.set_xticks([0])
        write_centred(ax, "none")
    return name_axes(ax, axis_name, title=title)


def paired_bars(
    ax: "Axes", table: pd.DataFrame, row: str, series: str, axis_name: str, title: str = ""
) -> "Axes":
    """Draw shares as horizontal bars: one bar for each value of `series` in each `row`.

    `table`: the columns named by `row` and `series`, and value, low, high, with values in about [0, 1]; low and high
    are the bounds of the error bars. Series differ by hatch and colour. Rows and series keep the order in which they
    first occur; the value stands behind its bar.

    >>> shares = pd.DataFrame({"group": ["mug", "mug"], "model": ["a", "b"], "value": [0.25, 0.5]})
    >>> _, (ax,) = figure()
    >>> ax = paired_bars(ax, shares.assign(low=0.2, high=0.6), "group", "model", "Success@1")
    >>> [text.get_text() for text in ax.texts]
    ['0.25', '0.50']
    """
    rows, names = list(dict.fromkeys(table[row])), list(dict.fromkeys(table[series]))
    height = 0.8 / max(len(names), 1)
    for number, name in enumerate(names):
        part = table[table[series] == name]
        places = np.array([rows.index(value) for value in part[row]]) - 0.4 + height * (number + 0.5)
        _draw_series(ax, places, part, height, number, name)
    labels = [shorten_label(str(value), MAX_NAME_COLUMNS) for value in rows]
    ax.set_yticks(range(len(rows)), [str(label) for label in labels])
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    ax.set_xlim(0, 1.15 * max(1.0, table["high"].max() if len(table) else 1.0))
    ax.grid(visible=False, axis="y")
    if not rows:
        write_centred(ax, "none")
    elif len(names) > 1:
        legend_below(ax, 40, min(len(names), 2))
    return name_axes(ax, axis_name, title=title)


def waterfall(
    ax: "Axes",
    names: Sequence[str],
    changes: Sequence[int],
    axis_name: str,
    title: str = "",
    last: str = "left",
) -> "Axes":
    """Draw a total and what each step adds or takes, down to the bar `last`, the sum of `changes`.

    `changes[0]` is the total, the others are the changes, negative for what a step takes.

    >>> _, (ax,) = figure()
    >>> [text.get_text() for text in waterfall(ax, ["rows", "broken"], [100, -10], "rows").texts]
    ['100', '-10', '90']
    """
    left = 0
    for row, change in enumerate(changes):
        ax.barh(row, change, left=left, color=COLOURS[3 if row else 0], height=0.7)
        left += change
        text = f"{change:+,}" if row and change else f"{change:,}"
        _write_behind(ax, text, max(left, left - change), row)
    ax.barh(len(changes), left, color=COLOURS[2], hatch=HATCHES[1], edgecolor="white", height=0.7)
    _write_behind(ax, f"{left:,}", left, len(changes))
    ax.set_yticks(range(len(changes) + 1), [*(str(name) for name in names), last])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.1)
    return name_axes(ax, axis_name, title=title)


def forest(
    ax: "Axes", names: Sequence[str], values: Sequence[float], bounds: Bounds, axis_name: str, title: str = ""
) -> "Axes":
    """Draw differences as points with their intervals beside a line at zero, the first name on top.

    `bounds`: (low, high) of each value. A point is filled where its interval does not hold zero.

    >>> _, (ax,) = figure()
    >>> [text.get_text() for text in forest(ax, ["rrf"], [0.1], [(0.05, 0.2)], "difference").texts]
    ['+0.100']
    """
    points, (low, high) = np.asarray(values, dtype=float), np.asarray(bounds, dtype=float).reshape(-1, 2).T
    rows = np.arange(len(names))
    ax.axvline(0, color=INK, linewidth=1)
    ax.hlines(rows, low, high, color=COLOURS[0])
    apart = (low > 0) | (high < 0)
    for chosen, face in ((apart, COLOURS[0]), (~apart, "white")):
        ax.scatter(points[chosen], rows[chosen], s=36, color=face, edgecolor=COLOURS[0], zorder=3)
    for row, value in zip(rows, points, strict=True):
        text = f"{value:+.3f}"
        ax.annotate(text, (value, row), (0, 5), textcoords="offset points", ha="center", fontsize=8)
    ax.set_yticks(rows, [str(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.7)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    return name_axes(ax, axis_name, title=title)


def group_panels(groups: pd.DataFrame, axis_name: str) -> "Figure":
    """Return a figure with a panel for each grouping column and in it the MAX_GROUPS groups that are worst.

    `groups`: direction, column, group, value, low, high, with values in about [0, 1]. The worst are those of the
    first direction. Without rows a single panel says "none".
    """
    columns = list(dict.fromkeys(groups["column"])) or ["group"]
    parts = [_worst_groups(groups[groups["column"] == column]) for column in columns]
    rows = max(2, *(part["group"].nunique() for part in parts))
    fig, axs = figure(len(columns), width=11, height=1.6 + 0.42 * rows)
    for ax, column, part in zip(axs, columns, parts, strict=True):
        paired_bars(ax, part, "group", "direction", axis_name, f"by {column}")
        ax.set_ylim(rows - 0.5, -0.5)  # bars of one thickness in all panels
    for ax in axs[1:]:  # which have no room for the names of several models
        if legend := ax.get_legend():
            legend.remove()
    return fig


def recall_panels(table: pd.DataFrame) -> "Figure":
    """Return a figure with a panel for each direction: the recall under each filter, its share of items and latency.

    `table`: direction, filter, passing (the share of the items), k, recall with low and high, p50_ms.
    """
    parts = list(table.groupby("direction", sort=False))
    fig, axs = figure(len(parts), width=11, height=1.2 + 0.5 * max(len(part) for _, part in parts))
    for ax, (direction, part) in zip(axs, parts, strict=True):
        names = [
            f"{shorten_label(name, MAX_NAME_COLUMNS)}\n{100 * share:.3g}% pass, {milliseconds:.2f} ms"
            for name, share, milliseconds in zip(part["filter"], part["passing"], part["p50_ms"], strict=True)
        ]
        lost, title = f"recall@{part['k'].iloc[0]} against exact search (95%)", f"{direction}, by filter"
        bars(ax, names, part["recall"], lost, title, part[["low", "high"]].to_numpy(), "{:.3f}")
    return fig


def waterfall_panels(falls: Mapping[str, pd.DataFrame], unit: str) -> "Figure":
    """Return a figure with a waterfall for each name, from all queries down to those found.

    Each table has the columns step and `unit`, the changes.
    """
    rows = max(len(table) for table in falls.values())
    fig, axs = figure(len(falls), width=11, height=1.4 + 0.34 * rows)
    for ax, (name, table) in zip(axs, falls.items(), strict=True):
        waterfall(ax, table["step"], table[unit], unit, name, last="found")
    return fig


def _write_behind(ax: "Axes", text: str, end: float, row: float, size: float | None = None) -> None:
    """Write a text just behind the end of a bar."""
    ax.annotate(text, (end, row), (4, 0), textcoords="offset points", va="center", fontsize=size)


def _draw_series(
    ax: "Axes", places: np.ndarray, part: pd.DataFrame, height: float, number: int, name: object
) -> None:
    """Draw the bars of a series; when the colours repeat, they come with other hatches."""
    ax.barh(
        places,
        part["value"],
        height * 0.92,
        xerr=np.clip([part["value"] - part["low"], part["high"] - part["value"]], 0, None),
        label=str(name),
        color=COLOURS[number % len(COLOURS)],
        hatch=HATCHES[(number + number // len(COLOURS)) % len(HATCHES)],
        edgecolor="white",
        linewidth=0,
        ecolor=INK,
        capsize=2,
    )
    for place, value, high in zip(places, part["value"], part["high"], strict=True):
        _write_behind(ax, f"{value:.2f}", high, place, size=8)


def _worst_groups(part: pd.DataFrame) -> pd.DataFrame:
    first = part[part["direction"] == part["direction"].iloc[0]] if len(part) else part
    worst = first.sort_values("value", kind="stable")["group"].head(MAX_GROUPS).tolist()
    place = {name: number for number, name in enumerate(worst)}
    kept = part[part["group"].isin(worst)]
    return kept.sort_values("group", key=lambda names: names.map(place), kind="stable")
