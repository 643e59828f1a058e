"""Systems that answer the same queries, compared query by query with one of them: what differs, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.evaluate import compare_systems, mean_measures
from mmlab.evaluate.measures.scoring import join_directions
from mmlab.evaluate.paired_comparison import STANDARDISED, non_inferiority, pairs_needed, power_curve
from mmlab.evaluate.resampling import holm
from mmlab.evaluate.summaries import NOTHING_JUDGED
from mmlab.items.options import check_value
from mmlab.items.parameter_table import PARAMETERS, check_values
from mmlab.items.tables import TooFew
from mmlab.visualize import figure, forest
from mmlab.visualize.curves import throughput_curves
from mmlab.workbench.result import Report, Result, or_reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.05  # of p after Holm's correction, below which a difference is called more than chance
LEAST_P = 0.0001  # a smaller one is not told more exactly
MARGIN = 0.5  # points: hundredths of a measure


@dataclass(frozen=True, repr=False)
class SystemComparison(Report):
    """Every system's paired differences to the first one, the baseline, and what they say.

    Made by `Evaluation.compare`, and part of a `RunComparison`.

    Attributes:
        scores: for each direction the scores of every query by system (`score_queries`), the baseline first; a
            direction that only one system answered is left out.
        items: the items that are queries.
        measure: the measure that sentences and figures read.
        seed: of the bootstrap and the permutations.

    Example:
        >>> graph = run.evaluate(run.rank(to="image", exact=False))
        >>> comparison = graph.compare(run.evaluate())
        >>> comparison.differences["system"].unique().tolist()
        ['exact False']
    """

    scores: Mapping[str, Mapping[str, pd.DataFrame]]
    items: pd.DataFrame
    measure: str
    seed: int = 0

    @property
    def _compared(self) -> dict[str, Mapping[str, pd.DataFrame]]:
        """The scores of the directions that two systems or more answered."""
        return {direction: systems for direction, systems in self.scores.items() if len(systems) > 1}

    @cached_property
    def differences(self) -> pd.DataFrame:
        """The differences, a row for each direction, system and measure.

        Columns: direction, system, baseline, measure, value, low, high, difference with its interval, standardised
        (Cohen's d) with its interval, wins, ties, losses, p, p_holm (over all rows), smallest_difference (what such
        queries show in 80% of all tests), queries, pairs.
        """
        tables = {name: compare_systems(one, self.items, self.seed) for name, one in self._compared.items()}
        table = join_directions(tables)
        return table.assign(p_holm=holm(table["p"]))

    def _check_judged(self) -> None:
        if self.differences.empty:
            raise TooFew(NOTHING_JUDGED)

    def _overview(self) -> Result:
        """Show every difference to the baseline with its 95% interval, and say which are more than chance."""
        self._check_judged()
        return Result(self.differences, self._sentence(), self._draw, shown=self._shown())

    def _draw(self) -> "Figure":
        table = self.differences
        several = table["system"].nunique() > 1
        directions = list(table.groupby("direction", sort=False))
        rows = max(len(part) for _, part in directions)
        fig, axs = figure(len(directions), width=12 if several else 10, height=1.2 + 0.3 * rows)
        for ax, (direction, part) in zip(axs, directions, strict=True):
            names = part["measure"] + ", " + part["system"] if several else part["measure"]
            bounds = part[["difference_low", "difference_high"]].to_numpy()
            label = f"difference to {part['baseline'].iloc[0]}, with 95% interval"
            forest(ax, names, part["difference"], bounds, label, str(direction))
        return fig

    def _shown(self) -> pd.DataFrame:
        """Return the table to read: under each direction and measure the baseline's own row, then the others."""
        table = pd.concat([self._baseline_rows(), self.differences], ignore_index=True)
        table = table.sort_values(["direction", "measure", "system"], key=_first_seen, kind="stable")
        interval = "{0:+.3f} ({1:+.3f} to {2:+.3f})", "difference", "difference_low", "difference_high"
        deviations = "{0:+.2f} ({1:+.2f} to {2:+.2f})", *STANDARDISED
        shown = {
            "system": table["system"],
            "value": table["value"].map("{:.3f}".format),
            "difference, 95%": _formatted(table, *interval),
            "standardised, 95%": _formatted(table, *deviations),
            "wins / ties / losses": _formatted(
                table, "{0:,.0f} / {1:,.0f} / {2:,.0f}", "wins", "ties", "losses"
            ),
            "p_holm": table["p_holm"].map(_p_text),
            "smallest difference": _formatted(table, "{0:.4f}", "smallest_difference"),
        }
        return pd.DataFrame({**_headings(table), **shown})

    def _baseline_rows(self) -> pd.DataFrame:
        means = []
        for direction, systems in self._compared.items():
            name, scores = next(iter(systems.items()))
            means.append(mean_measures(scores, self.items).assign(direction=direction, system=name))
        return pd.concat(means)

    def _sentence(self) -> str:
        rows = self.differences[self.differences["measure"] == self.measure].to_dict("records")
        parts = [
            f"*{row['system']}* {row['direction']} {row['difference']:+.3f} ({row['difference_low']:+.3f} to "
            f"{row['difference_high']:+.3f}), better for {row['wins']:,} queries and worse for {row['losses']:,}, "
            f"{'more than' if row['p_holm'] < LEVEL else 'no more than'} chance (p {_p_text(row['p_holm'])})"
            for row in rows
        ]
        first = self.differences.iloc[0]
        return (
            f"Against *{first['baseline']}*, {self.measure} over {first['queries']:,} queries of {first['pairs']:,} "
            f"pairs: {'; '.join(parts)}."
        )

    @or_reason
    def non_inferiority(self, margin: float = MARGIN) -> Result:
        """Show whether each system loses at most `margin` points to the baseline.

        That a difference is no more than chance does not say so: too few queries would show no difference either.

        Args:
            margin: the loss that would still do, in points (hundredths of a measure), over 0 and up to 100.

        Returns:
            A row for each direction, system and measure: the difference, largest_loss (what the true loss is at most,
            95% sure), margin, p of a loss of `margin` or more, p_holm (over all rows), pairs. Shares, not points.

        Raises:
            ValueError: for a margin out of its range.

        Example:
            >>> comparison.non_inferiority(margin=5).table.columns.tolist()[:4]
            ['direction', 'system', 'baseline', 'measure']
        """
        check_values(margin=margin)
        self._check_judged()
        tables = {
            name: non_inferiority(one, self.items, margin / 100) for name, one in self._compared.items()
        }
        table = join_directions(tables)
        table = table.assign(p_holm=holm(table["p"].to_numpy()))
        table = table.sort_values(["direction", "measure"], key=_first_seen, kind="stable", ignore_index=True)
        shown = pd.DataFrame(
            {
                **_headings(table),
                "system": table["system"],
                "difference, points": (100 * table["difference"]).map("{:+.2f}".format),
                "largest loss, points": (100 * table["largest_loss"]).map("{:.2f}".format),
                f"at most {margin:g} points": table["p_holm"].map(
                    lambda p: "yes" if p < LEVEL else "not shown"
                ),
                "p": table["p"].map(_p_text),
                "p_holm": table["p_holm"].map(_p_text),
            }
        )
        return Result(table, self._loss_sentence(table, margin), shown=shown)

    def _loss_sentence(self, table: pd.DataFrame, margin: float) -> str:
        parts = [
            f"**{self.measure}, {row['direction']}**: that *{row['system']}* loses at most {margin:g} points to "
            f"*{row['baseline']}* is {'shown' if row['p_holm'] < LEVEL else 'not shown'} (p {_p_text(row['p_holm'])} "
            f"after Holm; with 95% confidence it loses at most {100 * row['largest_loss']:.2f} points)"
            for row in table[table["measure"] == self.measure].to_dict("records")
        ]
        return f"{'. '.join(parts)}."

    @or_reason
    def power(self, difference: float = MARGIN) -> Result:
        """Show how many pairs would show which difference to the baseline in 80% of all tests.

        Args:
            difference: the one for which the sentence says how many pairs it needs, in points.

        Returns:
            direction, system, measure, pairs, smallest_difference (a share), own (true of the pairs at hand).

        Example:
            >>> "Success@1" in comparison.power(difference=1).sentence
            True
        """
        check_value("difference", difference, PARAMETERS["margin"].kind)
        self._check_judged()
        table = join_directions({name: power_curve(one, self.items) for name, one in self._compared.items()})
        known = table[(table["measure"] == self.measure) & (table["smallest_difference"] > 0)]
        if known.empty:
            raise TooFew(f"no query differs in {self.measure}, so there is nothing to count pairs with")

        def draw() -> "Figure":
            directions = list(known.groupby("direction", sort=False))
            fig, axs = figure(len(directions), width=10, height=3.4)
            for ax, (direction, part) in zip(axs, directions, strict=True):
                points = part.assign(points=100 * part["smallest_difference"])
                points = points[~points["own"]]
                names = ("pairs", "smallest difference, points")
                throughput_curves(ax, points, "system", "pairs", "points", names, str(direction))
            return fig

        wide = known.assign(series=known["direction"] + ", " + known["system"]).pivot_table(
            "smallest_difference", "pairs", "series", sort=False
        )
        shown = (100 * wide.sort_index()).rename_axis(columns=None).reset_index()
        caption = f"Smallest difference of {self.measure} that so many pairs show, points"
        return Result(table, self._power_sentence(known, difference), draw, shown=shown, caption=caption)

    def _power_sentence(self, known: pd.DataFrame, difference: float) -> str:
        parts = []
        for direction, part in known.groupby("direction", sort=False):
            needed = pairs_needed(part, difference / 100).set_index("system")["pairs"]
            parts += [
                f"*{row['system']}* {direction}: {row['pairs']:,} pairs show {100 * row['smallest_difference']:.2f} "
                f"points; {difference:g} points need about {needed[row['system']]:,} pairs"
                for row in part[part["own"]].to_dict("records")
            ]
        return f"A true difference of {self.measure} is found in 80% of all tests: {'; '.join(parts)}."


def _first_seen(names: pd.Series) -> pd.Series:
    """Return for each name the place at which it was seen first."""
    return pd.Series(pd.factorize(names)[0], index=names.index)


def _headings(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return direction and measure of each row, empty where they are those of the row above."""
    direction = table["direction"]
    both = direction + " " + table["measure"]
    return {
        "direction": direction.where(direction != direction.shift(), ""),
        "measure": table["measure"].where(both != both.shift(), ""),
    }


def _p_text(p: float) -> str:
    if pd.isna(p):
        return ""
    return f"{p:.4f}" if p >= LEAST_P else f"<\u00a0{LEAST_P}"


def _formatted(table: pd.DataFrame, form: str, *columns: str) -> pd.Series:
    """Return the values of columns as text in a form; empty where the first is missing."""
    rows = table[list(columns)].itertuples(index=False)
    return pd.Series(["" if pd.isna(row[0]) else form.format(*row) for row in rows], index=table.index)
