"""Runs over the same items compared query by query, TREC run files of other systems beside them, and what runs cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.evaluate import changed_queries, mean_measures, score_queries
from mmlab.evaluate.measures.scoring import (
    NDCG_BY_LABELS,
    WITHOUT_CUTOFF,
    add_ndcg_by_labels,
    find_measure,
)
from mmlab.evaluate.paired_comparison import shared_queries
from mmlab.evaluate.protocol import SIBLINGS_KEPT, check_same_items, check_same_split, transpose_card
from mmlab.evaluate.summaries import NOTHING_JUDGED, escape_markdown, write_metrics
from mmlab.evaluate.trec import TrecRun, read_trec_run
from mmlab.items import DIRECTIONS, check_columns, is_among, write_table
from mmlab.items.options import check_value
from mmlab.items.parameter_table import PARAMETERS
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.known_queries import saved_rankings_by_run
from mmlab.retrieve.scores.query_split import Split, choose_split
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.runs.record.manifest import differing_parameters
from mmlab.runs.report.summary import run_costs
from mmlab.visualize import Html, bars, figure, paired_bars, under_headings
from mmlab.visualize.galleries import changes_gallery
from mmlab.workbench.result import Report, Result, or_reason, unanswered
from mmlab.workbench.run_data import RunData
from mmlab.workbench.system_comparison import LEVEL, MARGIN, SystemComparison

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from mmlab.panels import PanelData

QUALITY_DIRECTION = "text-to-image"  # whose quality is set beside the cost
LISTED = 5  # differences that the conclusion names
MAX_NAME_CHARS = 40  # of a file, in tables and figures


@dataclass(frozen=True, repr=False)
class RunComparison(Report):
    """Several runs over the same items, each compared with the first of them. Made by `Run.compare`.

    Attributes:
        runs: the runs, by their data; the first is the baseline.
        asked: the measures that are compared, of those that 05_evaluate wrote in every run; "RR" and "AP" are those at
            the depth that the runs kept.
        measure: by which changed queries are found and quality is set beside cost.
        seed: of the bootstrap and the permutations.
        files: TREC run files of other systems. They are scored as the first run is: its queries, items and depth.

    Raises:
        ValueError: for fewer than two, without a run, where items, splits or the split that is judged differ, and for a
            damaged file.

    Example:
        >>> comparison = run.compare("graph")
        >>> comparison.names
        ['demo', 'graph']
    """

    runs: Sequence[RunData]
    asked: Sequence[str] = ("Success@1", "Success@10", "RR")
    measure: str = "Success@1"
    seed: int = 0
    files: Sequence[Path] = ()

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
        """The names of the runs, the baseline first, and of the files."""
        return [*(run.name for run in self.runs), *(file.name for file in self.trec_runs)]

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items that all runs are over."""
        if not self.runs or len(self.runs) + len(self.files) < 2:
            found = [*(run.name for run in self.runs), *(file.name for file in self.files)]
            raise ValueError(f"expected a run, and another run or a TREC run file to compare; found {found}")
        return check_same_items({run.name: run.items for run in self.runs})

    @cached_property
    def judged(self) -> Split:
        """The split that all runs judge, queries and gallery."""
        return choose_split(self.items, check_same_split(self._splits))

    @cached_property
    def trec_runs(self) -> list[TrecRun]:
        """The files, as far as they answer what the first run is judged by."""
        return [
            self._read(path, name)
            for path, name in zip(
                self.files, _name_files(self.files, [run.name for run in self.runs]), strict=True
            )
        ]

    def _read(self, path: Path, name: str) -> TrecRun:
        base = self.runs[0]
        found = read_trec_run(base.step.read_outside(path) if base.step else path, self.items)
        judged = {direction: base.per_query(direction)["query_id"] for direction in DIRECTIONS}
        depths = {direction: int(max(base.answer(direction)["rank"], default=1)) for direction in DIRECTIONS}
        return TrecRun.of(name, found, self._gallery, judged, depths)

    @property
    def _gallery(self) -> pd.DataFrame:
        """The items of the split that is judged, as far as the first run can find them."""
        return self.runs[0].judged(self.judged.name).items

    @cached_property
    def answers(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The rankings, by direction and run; a file need not answer both directions."""
        return {
            direction: {run.name: run.answer(direction) for run in self.runs}
            | {file.name: file.answers[direction] for file in self.trec_runs if direction in file.answers}
            for direction in DIRECTIONS
        }

    @cached_property
    def scores(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The scores of every query that all runs judge, by direction and run."""
        scores = {
            direction: {run.name: self._scores(run, direction) for run in self.runs}
            | {
                file.name: self._score_file(file.answers[direction], direction)
                for file in self.trec_runs
                if direction in file.answers
            }
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

    def _score_file(self, rankings: pd.DataFrame, direction: str) -> pd.DataFrame:
        """Return the measures of the first run for the rankings of a file, over the same queries."""
        base, own = self.runs[0], self._scores(self.runs[0], direction)
        qrels = base.qrels(DIRECTIONS[direction][1], self.judged.name)
        judged = qrels[is_among(qrels["query_id"], own["query_id"])]
        names = [name for name in own.columns if name not in ("query_id", NDCG_BY_LABELS)]
        scores = score_queries(rankings, judged, names)
        if NDCG_BY_LABELS in own:
            scores = add_ndcg_by_labels(scores, rankings, self._gallery, direction)
        return scores[own.columns]

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
        """The paired differences of every run and file to the first run."""
        return SystemComparison(self.scores, self.items, self.measure, self.seed)

    def _overview(self) -> Result:
        """Show every difference to the first run with its interval, and how many are more than chance."""
        self._check_judged()
        table = self.differences.differences
        sure = int((table["p_holm"] < LEVEL).sum())
        sentence = f"{sure} of {len(table)} differences are more than chance (p after Holm below {LEVEL})."
        sentence = f"{sentence} {self.siblings_sentence}".strip()
        return replace(self.differences.overview(), sentence=sentence)

    def non_inferiority(self, margin: float = MARGIN) -> Result:
        """Show whether each run loses at most `margin` points to the first, see `SystemComparison.non_inferiority`.

        Example:
            >>> comparison.non_inferiority(margin=5).table["system"].unique().tolist()
            ['graph']
        """
        return self.differences.non_inferiority(margin)

    def power(self, difference: float = MARGIN) -> Result:
        """Show how many pairs would show which difference to the first run, see `SystemComparison.power`.

        Example:
            >>> comparison.power(difference=1).sentence
            'No query differs in Success@1, so there is nothing to count pairs with.'
        """
        return self.differences.power(difference)

    def parameters(self) -> Result:
        """Show the parameters in which the runs differ, and what of the files is not compared.

        Example:
            >>> comparison.parameters().table.columns.tolist()
            ['notebook', 'parameter', 'demo', 'graph']
        """
        counted = _counted(self.runs, self.files)
        caption = f"{counted} over {self.judged} of {len(self.items):,} items; parameters that differ"
        lines = [f"- *{file.name}*, {note}." for file in self.trec_runs for note in file.notes]
        notes = "\n".join(lines)
        return Result(differing_parameters([run.name for run in self.runs]), notes, caption=caption)

    def protocol(self) -> Result:
        """Show under which rules each run was measured: figures compare only where these agree.

        Example:
            >>> comparison.protocol().table["split"].tolist()
            ['test', 'test', 'test', 'test']
        """
        rows = [{"run": run.name, **row} for run in self.runs for row in run.protocol.to_dict("records")]
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
            rows = self.means["measure"].nunique() * len(self.names)
            fig, axs = figure(2, width=10, height=1.4 + 0.25 * rows)
            for ax, (direction, part) in zip(axs, self.means.groupby("direction", sort=False), strict=True):
                paired_bars(ax, part, "measure", "run", "mean, with 95% interval", str(direction))
            return fig

        mine = self.means[self.means["measure"] == self.measure].set_index("run")
        parts = [
            f"{name}: {_leaders(part['value'])}, {part['value'].max():.3f}"
            for name, part in mine.groupby("direction", sort=False)
        ]
        sentence = f"Highest mean of {self.measure}, {'; '.join(parts)}."
        return Result(self.means, sentence, draw, shown=wide[self.names].reset_index())

    def changed(self, count: int = 3) -> Result:
        """Show `count` queries of each direction whose answers changed most, with the answers of both runs.

        Example:
            >>> comparison.changed(count=1).table["changed queries"].tolist()
            [0, 0]
        """
        check_value("count", count, PARAMETERS["examples"].kind)
        galleries, rows, base = {}, [], self.runs[0]
        for direction, tables in self.scores.items():
            changes = {
                name: changed_queries(tables[base.name], scores, self.measure)
                for name, scores in tables.items()
                if name != base.name
            }
            rows += [(direction, name, len(changed)) for name, changed in changes.items()]
            if changes:
                other = max(changes, key=lambda name: len(changes[name]))
                rankings = {name: self.answers[direction][name] for name in (base.name, other)}
                qrels, few = base.qrels(DIRECTIONS[direction][1]), changes[other].head(count)
                galleries[direction] = changes_gallery(few, rankings, qrels, self.items, self.measure)
        table = pd.DataFrame(rows, columns=["direction", "run", "changed queries"])
        caption = f"Queries whose {self.measure} differs from {self.names[0]}"
        return Result(table, "", html=under_headings(galleries), caption=caption)

    def panel(self, query: str = "", seed: int = 0) -> "ipywidgets.VBox":
        """Return a panel that answers any query of the runs, two of them side by side.

        Example:
            >>> panel = comparison.panel(seed=1)
        """
        from mmlab.panels import compare_panel
        from mmlab.panels.controls import notice

        try:
            text = self._text(query, seed)
        except TooFew as reason:
            return notice(f"No panel: {reason}.")
        return compare_panel(self._saved, text, parameters=self.parameters().table)

    @cached_property
    def _saved(self) -> "PanelData":
        from mmlab.panels import PanelData

        return PanelData(saved_rankings_by_run(self.answers, self.judged.items), self.judged.items)

    def _text(self, query: str, seed: int) -> str:
        """Return the query, or a text that all have ranked: drawn by the seed."""
        self._check_judged()
        if len(self.answers[QUALITY_DIRECTION]) < 2:
            raise TooFew(f"only one run has ranked {QUALITY_DIRECTION}")
        items = self.judged.items
        texts = items[items["modality"] == "text"]
        for ranked in self.answers[QUALITY_DIRECTION].values():
            texts = texts[is_among(texts["item_id"], ranked["query_id"])]
        if texts.empty and not query:
            raise TooFew("no text was ranked by all runs and files, so none is shown side by side")
        return query or texts["text"].sample(1, random_state=seed).iloc[0]

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
        names = [run.name for run in self.runs]
        quality = self.means[chosen].set_index("run").loc[names, ["value", "low", "high"]]
        spent = self._costs

        def draw() -> "Figure":
            fig, axs = figure(3, width=10, height=1.2 + 0.3 * len(self.runs))
            label = f"{self.measure}, {QUALITY_DIRECTION}"
            bounds = quality[["low", "high"]].to_numpy()
            bars(axs[0], names, quality["value"], label, "Quality", bounds, "{:.3f}")
            blank = [""] * len(names)
            bars(axs[1], blank, spent["p50_ms"], "median latency of a query, ms", "Time", form="{:.2f}")
            bars(axs[2], blank, spent["disk_mb"], "store and vectors, MB", "Space", form="{:.1f}")
            return fig

        latency = spent.set_index("run")["p50_ms"]
        sentence = (
            f"Highest {self.measure}: {_leaders(quality['value'])}; quickest query: {_leaders(-latency)}, "
            f"{latency.min():.2f} ms."
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
            counted = _counted(self.runs, self.files)
            return f"{counted} over {self.judged} of {len(self.items):,} items: {self.sentence}"
        table = self.differences.differences
        sure = table[table["p_holm"] < LEVEL].sort_values("p_holm").head(LISTED)
        parts = [
            f"**{row.system}** {row.difference:+.3f} {row.measure} {row.direction} (p {row.p_holm:.4f})"
            for row in sure.itertuples()
        ]
        listed = "; ".join(parts) or "no difference is more than chance"
        held = f"{_counted(self.runs, self.files)} over {self.judged} of {len(self.items):,} items"
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


def _counted(runs: Sequence[RunData], files: Sequence[Path]) -> str:
    counts = (("run", len(runs)), ("TREC run file", len(files)))
    return " and ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts if count)


def _name_files(files: Sequence[Path], taken: Sequence[str]) -> list[str]:
    """Return a name for each file, of letters, digits, `.`, `_` and `-`, that no run and no other file has."""
    names: list[str] = []
    for path in files:
        forms = (path.name, f"{path.parent.name}-{path.name}", str(path))
        plain = [re.sub(r"[^\w.-]+", "-", form)[-MAX_NAME_CHARS:].strip("-") for form in forms]
        free = [name for name in plain if name not in (*taken, *names)]
        names.append(free[0] if free else f"file-{len(names) + 1}")
    return names


def _leaders(values: pd.Series) -> str:
    """Return the name of the run with the highest value, of those that share it all."""
    return " and ".join(f"*{name}*" for name in values.index[values == values.max()])
