"""Counts and shares as bars with their number written on them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmlab.visualize.style import COLOURS, HATCHES, INK, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    ax.set_yticks(positions, [str(name) for name in names])
    ax.set_ylim(max(len(names), FEWEST) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.xaxis.get_major_locator().set_params(integer=all(value == int(value) for value in values))
    if not len(names):
        ax.set_xticks([0])
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=INK)
    return name_axes(ax, axis_name, title=title)


def waterfall(
    ax: "Axes", names: Sequence[str], changes: Sequence[int], axis_name: str, title: str = ""
) -> "Axes":
    """From the first value down, step by step, to what is left: the last bar is the sum of `changes`.

    `changes[0]` is the start, the others are what each step adds or (negative) takes.
    """
    left = 0
    for position, change in enumerate(changes):
        ax.barh(position, change, left=left, color=COLOURS[0 if position == 0 else 3], height=0.7)
        left += change
        ax.annotate(
            f"{change:,}" if position == 0 else f"{change:+,}",
            (max(left, left - change), position),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    ax.barh(len(changes), left, color=COLOURS[2], hatch=HATCHES[1], edgecolor="white", height=0.7)
    ax.annotate(f"{left:,}", (left, len(changes)), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(changes) + 1), [*(str(name) for name in names), "left"])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.1)
    return name_axes(ax, axis_name, title=title)
