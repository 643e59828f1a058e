"""Two rankings of the same queries, compared query by query."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.evaluate.measures.scoring import join_directions
from mmlab.evaluate.statistics.resampling import holm
from mmlab.visualize import figure, forest
from mmlab.workbench.result import Report, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.05  # of p after Holm's correction, below which a difference is called more than chance


@dataclass(frozen=True, repr=False)
class SystemComparison(Report):
    """The paired differences of a system to a baseline: value, interval, p and the smallest difference detectable.

    Made by `Evaluation.compare`.

    Attributes:
        differences: direction, system, baseline, measure, value, low, high, difference with its interval, p, p_holm,
            smallest_difference (what such queries show in 80 % of all tests), queries, pairs.
        measure: the measure that the sentence reads.
    """

    differences: pd.DataFrame
    measure: str

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], measure: str) -> Self:
        """Join the comparisons of each direction (`compare_systems`); Holm's correction counts all of their rows."""
        table = join_directions(tables)
        return cls(table.assign(p_holm=holm(table["p"])), measure)

    def _overview(self) -> Result:
        """Show every difference to the baseline with its 95 % interval, and say which are more than chance."""
        table, baseline = self.differences, self.differences["baseline"].iloc[0]
        shown = table.assign(interval=_intervals(table))
        columns = [
            "direction",
            "measure",
            "system",
            "value",
            "interval",
            "p",
            "p_holm",
            "smallest_difference",
        ]

        def draw() -> "Figure":
            directions = list(table.groupby("direction", sort=False))
            fig, axs = figure(len(directions), width=10, height=1.2 + 0.3 * len(table) / len(directions))
            for ax, (direction, part) in zip(axs, directions, strict=True):
                bounds = part[["difference_low", "difference_high"]].to_numpy()
                label = f"difference to {baseline}, with 95 % interval"
                forest(ax, part["measure"], part["difference"], bounds, label, str(direction))
            return fig

        shown = shown[columns].rename(columns={"interval": "difference, 95 %"})
        return Result(table, self._sentence(), draw, shown=shown, digits=4)

    def _sentence(self) -> str:
        rows = self.differences[self.differences["measure"] == self.measure].to_dict("records")
        parts = [
            f"{row['direction']} {row['difference']:+.3f} ({row['difference_low']:+.3f} to "
            f"{row['difference_high']:+.3f}), {_verdict(row['p_holm'])}"
            for row in rows
        ]
        first = self.differences.iloc[0]
        return (
            f"*{first['system']}* against *{first['baseline']}*, {self.measure} over {first['queries']:,} queries of "
            f"{first['pairs']:,} pairs: {'; '.join(parts)}."
        )


def _intervals(table: pd.DataFrame) -> pd.Series:
    return table.apply(
        "{difference:+.4f} ({difference_low:+.4f} to {difference_high:+.4f})".format_map, axis=1
    )


def _verdict(p: float) -> str:
    return f"{'more than' if p < LEVEL else 'no more than'} chance (p {p:.3f})"
