"""Figures of several panels: one for each way of grouping, one for each direction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.visualize.bars import paired_bars, waterfall
from mmlab.visualize.style import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 10  # groups in a panel
SERIES = "direction"


def group_panels(groups: pd.DataFrame, axis_name: str) -> "Figure":
    """One panel per value of the column `column`, in it the `MOST` groups that are worst in the first direction.

    `groups`: direction, column, group, value, low, high. Without rows one panel says "none".
    """
    columns = list(dict.fromkeys(groups["column"])) or ["group"]
    parts = [_worst(groups[groups["column"] == column]) for column in columns]
    rows = max(part["group"].nunique() for part in parts)
    fig, axs = figure(len(columns), width=11, height=1.6 + 0.42 * max(rows, 2))
    for ax, column, part in zip(axs, columns, parts, strict=True):
        paired_bars(ax, part, "group", SERIES, axis_name, f"by {column}")
        ax.set_ylim(max(rows, 2) - 0.5, -0.5)  # bars of one thickness in all panels
    return fig


def waterfalls(falls: Mapping[str, pd.DataFrame], unit: str) -> "Figure":
    """One waterfall per name: from all down to those found; each table has step and, named as `unit`, the changes."""
    longest = max(len(table) for table in falls.values())
    fig, axs = figure(len(falls), width=11, height=1.4 + 0.34 * longest)
    for ax, (name, table) in zip(axs, falls.items(), strict=True):
        waterfall(ax, table["step"], table[unit], unit, name, last="found")
    return fig


def _worst(part: pd.DataFrame) -> pd.DataFrame:
    first = part[part[SERIES] == part[SERIES].iloc[0]] if len(part) else part
    worst = first.sort_values("value", kind="stable")["group"].head(MOST).tolist()
    place = {name: number for number, name in enumerate(worst)}
    return part[part["group"].isin(worst)].sort_values(
        "group", key=lambda names: names.map(place), kind="stable"
    )
