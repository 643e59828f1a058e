"""Two or more systems of one run, or several runs over the same items, compared query by query; what each run costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.evaluate import changed_queries, compare_systems, mean_measures
from mmlab.evaluate.measures.scoring import WITHOUT_CUTOFF, find_measure, join_directions
from mmlab.evaluate.paired_comparison import non_inferiority, shared_queries
from mmlab.evaluate.protocol import SIBLINGS_KEPT, transpose_card
from mmlab.evaluate.resampling import holm
from mmlab.evaluate.summaries import NOTHING_JUDGED, escape_markdown, write_metrics
from mmlab.items import DIRECTIONS, check_columns, write_table
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.known_queries import saved_rankings_by_run
from mmlab.retrieve.scores.query_split import Split, choose_split
from mmlab.runs import Step
from mmlab.runs.compared_runs import (
    changes_gallery,
    check_same_items,
    check_same_split,
    differing_parameters,
    run_costs,
)
from mmlab.runs.record import run_files
from mmlab.visualize import Html, bars, figure, forest, paired_bars, under_headings
from mmlab.workbench.result import Report, Result, or_reason, unanswered
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from mmlab.panels import PanelData

QUALITY_DIRECTION = "text-to-image"  # whose quality is set beside the cost
LISTED = 5  # differences that the conclusion names


@dataclass(frozen=True, repr=False)
class SystemComparison(Report):
    """The paired differences of a system to a baseline: value, interval, p and the smallest difference detectable.

    Made by `Evaluation.compare`.

    Attributes:
        differences: direction, system, baseline, measure, value, low, high, difference with its interval, p, p_holm,
            standardised, wins, ties, losses, smallest_difference (what such queries show in 80 % of all tests),
            queries, pairs.
        measure: the measure that the sentence reads.

    Example:
        >>> graph = run.evaluate(run.rank(to="image", exact=False))
        >>> comparison = graph.compare(run.evaluate())
        >>> comparison.differences["system"].unique().tolist()
        ['exact False']
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
        if self.differences.empty:
            raise TooFew(NOTHING_JUDGED)
        table, baseline = self.differences, self.differences["baseline"].iloc[0]
        interval, numbers = "difference, 95 %", ["p", "p_holm", "smallest_difference"]
        shown = table.assign(**{interval: _intervals(table)})

        def draw() -> "Figure":
            directions = list(table.groupby("direction", sort=False))
            fig, axs = figure(len(directions), width=10, height=1.2 + 0.3 * len(table) / len(directions))
            for ax, (direction, part) in zip(axs, directions, strict=True):
                bounds = part[["difference_low", "difference_high"]].to_numpy()
                label = f"difference to {baseline}, with 95 % interval"
                forest(ax, part["measure"], part["difference"], bounds, label, str(direction))
            return fig

        shown = shown[["direction", "measure", "system", "value", interval, *numbers]]
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


@dataclass(frozen=True, repr=False)
class RunComparison(Report):
    """Several runs over the same items, each compared with the first of them. Made by `Run.compare`.

    Attributes:
        runs: the runs, by their data; the first is the baseline.
        asked: the measures that are compared, of those that 05_evaluate wrote in every run; "RR" and "AP" are those at
            the depth that the runs kept.
        measure: by which changed queries are found and quality is set beside cost.
        seed: of the bootstrap and the permutations.

    Raises:
        ValueError: for fewer than two runs, and where items, splits or the split that is judged differ.

    Example:
        >>> comparison = run.compare("graph")
        >>> comparison.names
        ['demo', 'graph']
    """

    runs: Sequence[RunData]
    asked: Sequence[str] = ("Success@1", "Success@10", "RR")
    measure: str = "Success@1"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs and self.measure in WITHOUT_CUTOFF:
            columns = self.runs[0].per_query(QUALITY_DIRECTION).columns
            object.__setattr__(self, "measure", find_measure(columns, self.measure))
        if len(self.runs) > 1:
            check_same_split(self._splits)

    @property
    def _splits(self) -> dict[str, str]:
        """The name of the split that each run judges."""
        return {run.name: run.judged_name for run in self.runs}

    @property
    def names(self) -> list[str]:
        """The names of the runs, the baseline first."""
        return [run.name for run in self.runs]

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items that all runs are over."""
        return check_same_items({run.name: run.items for run in self.runs})

    @cached_property
    def judged(self) -> Split:
        """The split that all runs judge, queries and gallery."""
        return choose_split(self.items, check_same_split(self._splits))

    @cached_property
    def scores(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The scores of every query that all runs judge, by direction and run."""
        scores = {
            direction: {run.name: self._scores(run, direction) for run in self.runs}
            for direction in DIRECTIONS
        }
        for tables in scores.values():
            nothing = [name for name, table in tables.items() if table.empty]
            if nothing and len(nothing) < len(tables):
                raise ValueError(
                    f"runs: expected those that measured something, found {' and '.join(nothing)}, whose 05_evaluate "
                    "says why there is nothing; leave it out"
                )
        return {direction: shared_queries(tables) for direction, tables in scores.items()}

    @cached_property
    def siblings_sentence(self) -> str:
        """Which runs found right answers by siblings of the queries; empty where none did."""
        kept = [run.name for run in self.runs if SIBLINGS_KEPT in set(run.protocol.get("siblings", []))]
        if not kept:
            return ""
        return (
            f"Siblings are kept in {', '.join(map(escape_markdown, kept))}: there a caption finds its image by other "
            "captions of it, which does not compare with finding the image itself."
        )

    def _scores(self, run: RunData, direction: str) -> pd.DataFrame:
        """Return the asked measures of a run; "RR" and "AP" are those at the depth that it kept."""
        scores = run.per_query(direction)
        names = dict.fromkeys([*self.asked, self.measure])
        known = [find_measure(scores.columns, one) if one in WITHOUT_CUTOFF else one for one in names]
        columns = ["query_id", *dict.fromkeys(known)]
        return check_columns(scores, columns, f"run {run.name}, {direction}")[columns]

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean of every measure with its interval: direction, run, measure, value, low, high, queries, pairs."""
        return pd.concat(
            mean_measures(table, self.items).assign(direction=direction, run=name)
            for direction, tables in self.scores.items()
            for name, table in tables.items()
        )

    def _check_judged(self) -> None:
        if self.means.empty:
            raise TooFew(NOTHING_JUDGED)

    @cached_property
    def differences(self) -> SystemComparison:
        """The paired differences of every run to the first."""
        tables = {
            name: compare_systems(tables, self.items, self.seed) for name, tables in self.scores.items()
        }
        return SystemComparison.of(tables, self.measure)

    def _overview(self) -> Result:
        """Show every difference to the first run with its interval, and how many are more than chance."""
        self._check_judged()
        shown = self.differences.overview()
        table = self.differences.differences
        sure = int((table["p_holm"] < LEVEL).sum())
        sentence = f"{sure} of {len(table)} differences are more than chance (p after Holm below {LEVEL})."
        sentence = f"{sentence} {self.siblings_sentence}".strip()
        return Result(table, sentence, shown.draw, shown=shown.shown, digits=4)

    def parameters(self) -> Result:
        """Show the parameters in which the runs differ.

        Example:
            >>> comparison.parameters().table.columns.tolist()
            ['notebook', 'parameter', 'demo', 'graph']
        """
        caption = (
            f"{len(self.runs)} runs over {self.judged} of {len(self.items):,} items; parameters that differ"
        )
        return Result(differing_parameters(self.names), "", caption=caption)

    def protocol(self) -> Result:
        """Show under which rules each run was measured: figures compare only where these agree.

        Example:
            >>> comparison.protocol().table["split"].tolist()
            ['test', 'test', 'test', 'test']
        """
        rows = [{"run": run.name, **row} for run in self.runs for row in run.protocol_rows]
        table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["run", "direction"])
        named = table["run"] + ", " + table["direction"]
        shown = transpose_card(table.drop(columns="run").assign(direction=named))
        asked = ", ".join(
            f"{len(next(iter(tables.values()))):,} {direction}" for direction, tables in self.scores.items()
        )
        return Result(table, f"All runs judge {self.judged}; compared are {asked} queries.", shown=shown)

    @or_reason
    def measures(self) -> Result:
        """Show the mean of every measure with its interval, for each run and direction.

        Example:
            >>> comparison.measures().table["measure"].unique().tolist()
            ['Success@1', 'Success@10', 'RR@100']
        """
        self._check_judged()
        text = self.means.apply("{value:.3f} ({low:.3f} to {high:.3f})".format_map, axis="columns")
        table = self.means.assign(value=text)
        wide = table.pivot_table("value", ["direction", "measure"], "run", "first", sort=False)

        def draw() -> "Figure":
            rows = self.means["measure"].nunique() * len(self.runs)
            fig, axs = figure(2, width=10, height=1.4 + 0.25 * rows)
            for ax, (direction, part) in zip(axs, self.means.groupby("direction", sort=False), strict=True):
                paired_bars(ax, part, "measure", "run", "mean, with 95 % interval", str(direction))
            return fig

        best = (
            self.means[self.means["measure"] == self.measure].sort_values("value").groupby("direction").last()
        )
        parts = [
            f"{name}: *{row['run']}* with {row['value']:.3f}"
            for name, row in best.loc[list(DIRECTIONS)].iterrows()
        ]
        sentence = f"Best {self.measure} by its mean, {'; '.join(parts)}."
        return Result(self.means, sentence, draw, shown=wide[self.names].reset_index())

    @or_reason
    def non_inferiority(self, margin: float = 0.005) -> Result:
        """Show whether each run loses at most `margin` to the first one, which "no more than chance" does not say.

        Args:
            margin: the difference that would matter, over 0; 0.005 is half a point.

        Example:
            >>> comparison.non_inferiority(margin=0.05).table.columns.tolist()[:4]
            ['direction', 'system', 'baseline', 'measure']
        """
        self._check_judged()
        tables = {name: non_inferiority(tables, self.items, margin) for name, tables in self.scores.items()}
        table = join_directions(tables)
        table = table.assign(p_holm=holm(table["p"].to_numpy()))
        parts = [
            f"{row['direction']} *{row['system']}* {row['difference']:+.4f}, "
            f"{'at most the margin' if row['p_holm'] < LEVEL else 'not shown'} (p {row['p_holm']:.4f})"
            for row in table[table["measure"] == self.measure].to_dict("records")
        ]
        sentence = (
            f"A loss of {self.measure} to *{self.names[0]}* of less than {margin:g}: {'; '.join(parts)}."
        )
        return Result(table, sentence, digits=4)

    def changed(self, count: int = 3) -> Result:
        """Show `count` queries of each direction whose answers changed most, with the answers of both runs.

        Example:
            >>> comparison.changed(count=1).table["changed queries"].tolist()
            [0, 0]
        """
        galleries, rows = {}, []
        for direction in DIRECTIONS:
            base, *others = self.runs
            tables = self.scores[direction]
            changes = {
                run.name: changed_queries(tables[base.name], tables[run.name], self.measure) for run in others
            }
            rows += [(direction, name, len(changed)) for name, changed in changes.items()]
            other = max(others, key=lambda run: len(changes[run.name]))
            rankings = {run.name: run.answer(direction) for run in (base, other)}
            qrels = base.qrels(DIRECTIONS[direction][1])
            few = changes[other.name].head(count)
            galleries[direction] = changes_gallery(few, rankings, qrels, self.items, self.measure)
        table = pd.DataFrame(rows, columns=["direction", "run", "changed queries"])
        caption = f"Queries whose {self.measure} differs from {self.names[0]}"
        return Result(table, "", html=under_headings(galleries), caption=caption)

    @or_reason
    def side_by_side(self, query: str = "", seed: int = 0) -> Html:
        """Show one text of the collection answered by the first two runs; one that is drawn by `seed` unless given.

        Example:
            >>> answers = comparison.side_by_side(seed=1)
        """
        from mmlab.panels import compare_two_systems

        parameters = self.parameters().table
        return compare_two_systems(self._saved, self._text(query, seed), parameters=parameters)

    def panel(self, query: str = "", seed: int = 0) -> "ipywidgets.VBox":
        """Return a panel that answers any query of the runs, two of them side by side.

        Example:
            >>> panel = comparison.panel(seed=1)
        """
        from mmlab.panels import compare_panel
        from mmlab.panels.outputs import notice

        if self.means.empty:
            return notice(NOTHING_JUDGED)
        parameters = self.parameters().table
        return compare_panel(self._saved, self._text(query, seed), parameters=parameters)

    @cached_property
    def _saved(self) -> "PanelData":
        from mmlab.panels import PanelData

        rankings = {name: {run.name: run.answer(name) for run in self.runs} for name in DIRECTIONS}
        return PanelData(saved_rankings_by_run(rankings, self.judged.items), self.judged.items)

    def _text(self, query: str, seed: int) -> str:
        self._check_judged()
        items = self.judged.items
        texts = items.loc[items["modality"] == "text", "text"]
        return query or texts.sample(1, random_state=seed).iloc[0]

    @cached_property
    def _costs(self) -> pd.DataFrame:
        return run_costs({run.name: run.benchmark for run in self.runs})

    def costs(self) -> Result:
        """Show quality beside the latency of a query and the disk, and the seconds of each notebook.

        Example:
            >>> comparison.costs().table.columns.tolist()
            ['run', 'embed_s', 'index_s', 'retrieve_s', 'p50_ms', 'disk_mb']
        """
        caption = "Seconds of each notebook, latency of one query, size of store and vectors"
        if self.means.empty:
            return replace(unanswered(NOTHING_JUDGED), table=self._costs, shown=self._costs, caption=caption)
        chosen = (self.means["measure"] == self.measure) & (self.means["direction"] == QUALITY_DIRECTION)
        quality = self.means[chosen].set_index("run").loc[self.names, ["value", "low", "high"]]
        spent = self._costs

        def draw() -> "Figure":
            fig, axs = figure(3, width=10, height=1.2 + 0.3 * len(self.runs))
            label = f"{self.measure}, {QUALITY_DIRECTION}"
            bounds = quality[["low", "high"]].to_numpy()
            bars(axs[0], self.names, quality["value"], label, "Quality", bounds, "{:.3f}")
            blank = [""] * len(self.names)
            bars(axs[1], blank, spent["p50_ms"], "median latency of a query, ms", "Time", form="{:.2f}")
            bars(axs[2], blank, spent["disk_mb"], "store and vectors, MB", "Space", form="{:.1f}")
            return fig

        quickest = spent.loc[spent["p50_ms"].idxmin(), "run"]
        sentence = (
            f"*{quality['value'].idxmax()}* has the highest {self.measure}, *{quickest}* the quickest query."
        )
        return Result(spent, sentence, draw, caption=caption, digits=2)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the comparison, by claim."""
        table = self.differences.differences
        asked = table.groupby("direction")["queries"].nunique()
        inside = self.means["value"].between(self.means["low"], self.means["high"])
        return {
            "all runs were asked the same queries": bool(asked.eq(1).all()),
            "every interval holds its mean": bool(inside.all()),
        }

    @property
    def conclusion(self) -> str:
        """The differences that are more than chance, the surest first."""
        if self.means.empty:
            return f"{len(self.runs)} runs over {self.judged} of {len(self.items):,} items: {self.sentence}"
        table = self.differences.differences
        sure = table[table["p_holm"] < LEVEL].sort_values("p_holm").head(LISTED)
        parts = [
            f"**{row.system}** {row.difference:+.3f} {row.measure} {row.direction} (p {row.p_holm:.4f})"
            for row in sure.itertuples()
        ]
        listed = "; ".join(parts) or "no difference is more than chance"
        held = f"{len(self.runs)} runs over {self.judged} of {len(self.items):,} items"
        found = f"{held}, compared with **{self.names[0]}**: {listed}."
        return f"{found} {self.siblings_sentence}".strip()

    def write(self, step: Step) -> Html:
        """Write comparison.parquet, costs.parquet and metrics.json, and show what the step has written.

        Example:
            >>> files = comparison.write(step)
        """
        write_table(self.differences.differences, step.write(run_files.COMPARED))
        write_table(self._costs, step.write(run_files.COSTS))
        named = self.means["direction"] + " " + self.means["measure"]
        means = self.means.assign(measure=named, direction=self.means["run"]).drop(columns="run")
        write_metrics(step.write(run_files.METRICS), means, pd.DataFrame())
        return step.outputs()


LEVEL = 0.05  # of p after Holm's correction, below which a difference is called more than chance


def _intervals(table: pd.DataFrame) -> pd.Series:
    return table.apply(
        "{difference:+.4f} ({difference_low:+.4f} to {difference_high:+.4f})".format_map, axis=1
    )


def _verdict(p: float) -> str:
    return f"{'more than' if p < LEVEL else 'no more than'} chance (p {p:.3f})"
