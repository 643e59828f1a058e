"""What 09_fusion and 10_scores show: fused systems with learned weights, hubs and rescoring, calibrated scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from mmlab.evaluate import compare_systems
from mmlab.evaluate.measures.scoring import join_directions
from mmlab.items import DIRECTIONS, exact_search, is_among
from mmlab.items.options import OPTIONS
from mmlab.items.tables import TooFew
from mmlab.retrieve.score_studies import (
    CalibrationTrial,
    RescoringsTried,
    compare_rescorings,
    occurrences,
    rank_intra_modal,
    summarize_calibrations,
    try_calibrations,
    try_rescorings,
)
from mmlab.retrieve.scores.fitted_calibration import Calibrations, risk_coverage, write_calibrations
from mmlab.retrieve.scores.query_split import ALL
from mmlab.retrieve.weight_study import (
    WeightTrial,
    summarize_weights,
    try_model_weights,
    try_query_weights,
    weight_table,
)
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, figure, forest
from mmlab.visualize.curves import occurrence_panels, reliability_panels
from mmlab.workbench.result import Report, Result, no_table, or_reason, unanswered
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOW_RISK = 0.05  # of a wrong first hit, by which the coverage is read
NO_JOINT_SPACE = "There is nothing to rescore: no model here has texts and images in one space"


@dataclass(frozen=True, repr=False)
class HubStudy(Report):
    """How often items are among the nearest of all queries, plain and rescored. Made by `Run.study_hubs`.

    Attributes:
        hubs: direction, rescoring, skewness, most, never, Success@1, temperature: a row for each way to rescore.
        occurrences: for each direction and rescoring how often each item is among the first ten.
        galleries: for each direction which items can be found, and what the bank of reference queries is.
        lacks: what was left out, and why, or why there is nothing; mostly empty.

    Example:
        >>> study = run.study_hubs(depth=10)
        >>> sorted(study.occurrences)
        ['image-to-text', 'text-to-image']
    """

    hubs: pd.DataFrame
    occurrences: Mapping[str, Mapping[str, pd.Series]]
    galleries: Mapping[str, str]
    lacks: str = ""

    @classmethod
    def of(cls, data: RunData, depth: int, seed: int) -> Self:
        """Rank queries plainly and by every rescoring, and count how often each item comes up."""
        qrels = {name: data.qrels(target) for name, (_, target) in DIRECTIONS.items()}
        try:
            tried = try_rescorings(data.all_vectors[0], data.judged(), depth, seed)
        except TooFew as error:
            tried, lacks = {}, f"No rescoring was tried: {error}; {data.held}."
        else:
            lacks = _left_out(tried, data)
        summaries = {direction: trial.summary for direction, trial in tried.items()}
        return cls(compare_rescorings(tried, qrels), occurrences(tried), summaries, lacks)

    def _overview(self) -> Result:
        """Show how often items come up, the most frequent first, for every rescoring."""
        if self.hubs.empty:
            return unanswered(self.lacks)

        def draw() -> "Figure":
            return occurrence_panels(self.occurrences)

        return Result(self.hubs, f"{self._summary()} {self.lacks}".strip(), draw)

    def _summary(self) -> str:
        parts = []
        for direction, part in self.hubs.groupby("direction", sort=False):
            plain, least = part.iloc[0], part.loc[part["skewness"].idxmin()]
            change = least["Success@1"] - plain["Success@1"]
            success = "is not known" if pd.isna(change) else f"changes by {change:+.3f}"
            lowered = (
                f"lowest with {least['rescoring']}, {least['skewness']:.2f}, where Success@1 {success}"
                if least["skewness"] < plain["skewness"]
                else "and no rescoring lowers it"
            )
            parts.append(
                f"**{direction}**, {self.galleries[str(direction)]}: the skewness, of how often an item is among the "
                f"first 10, is {plain['skewness']:.2f}, {lowered}"
            )
        return f"{'. '.join(parts)}. Success@1 is that of queries on which nothing was chosen."

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the rankings, by claim."""
        hits = [{int(counts.sum()) for counts in one.values()} for one in self.occurrences.values()]
        return {"every rescoring returns as many hits": all(len(totals) == 1 for totals in hits)}


def _left_out(tried: RescoringsTried, data: RunData) -> str:
    if not tried:
        return f"{NO_JOINT_SPACE}; {data.held}."
    reasons: dict[str, str] = {}
    for trial in reversed(tried.values()):
        reasons |= trial.left_out
    names: dict[str, list[str]] = {}
    for name in filter(reasons.get, OPTIONS["rescoring"]):
        names.setdefault(reasons[name], []).append(name)
    parts = [f"{', '.join(left_out)} ({reason})" for reason, left_out in names.items()]
    return f"Left out: {'; '.join(parts)}; {data.held}." if parts else ""


@dataclass(frozen=True, repr=False)
class CalibrationStudy(Report):
    """Every kind of calibration, fitted on validation queries and evaluated on others. Made by `Run.calibrate`.

    Attributes:
        trial: the reliability of each calibration by direction and bin, how each direction's queries were divided, and
            the fitted calibrations.
        risk: how often the first hit is wrong where only the surest queries are answered, by direction; see
            `risk_coverage`.

    Example:
        >>> study = run.calibrate(depth=10)
        >>> study.table["calibration"].unique().tolist()
        ['temperature', 'logistic', 'isotonic']
    """

    trial: CalibrationTrial
    risk: Mapping[str, pd.DataFrame]

    @property
    def fitted(self) -> Calibrations:
        """The fitted calibrations, by kind and direction: those whose reliability is shown."""
        return self.trial.fitted

    @classmethod
    def of(cls, data: RunData, depth: int, seed: int, split: str | None = None) -> Self:
        """Fit and evaluate on exact rankings, between the modalities and within each, of each split by itself."""
        judged, rankings, qrels = data.judged(split), {}, {}
        for direction, (source, target) in DIRECTIONS.items():
            parts = [
                (part.comparing(data.vectors(source, as_queries=True), seed), part.take(data.vectors(target)))
                for part in judged.galleries
            ]
            if all(map(len, parts[0])):
                rankings[direction] = pd.concat(
                    [exact_search(*both, depth) for both in parts if all(map(len, both))]
                )
                right = data.qrels(target, ALL)
                asked = np.concatenate([one.ids for one, _ in parts])
                right = pd.concat([part.within(right) for part in judged.galleries])
                qrels[direction] = right[is_among(right["query_id"], asked)]
        within = rank_intra_modal(data.all_vectors[0], judged, depth, seed)
        rankings, qrels = rankings | within.rankings, qrels | within.qrels
        trial = try_calibrations(rankings, judged, qrels, seed)
        risk = {}
        for direction, one in trial.fitted.get("logistic", {}).items():
            others = rankings[direction][~is_among(rankings[direction]["query_id"], one.fitted_on)]
            judged = qrels[direction][is_among(qrels[direction]["query_id"], others["query_id"])]
            risk[direction] = risk_coverage(one.apply(others), judged)
        return cls(trial, risk)

    def _overview(self) -> Result:
        """Show the observed share of right answers over the predicted probability, for each direction."""
        table = self.trial.table
        columns = ["direction", "calibration", "ece", "ece_equal_mass", "brier", "log_loss"]
        shown = table.drop_duplicates(["direction", "calibration"])[columns]

        if table.empty:
            return unanswered(summarize_calibrations(self.trial))

        def draw() -> "Figure":
            return reliability_panels(table)

        return Result(table, summarize_calibrations(self.trial), draw, shown=shown, digits=4)

    @or_reason
    def risk_coverage(self) -> Result:
        """Show how often the first hit is wrong where only the surest queries are answered (logistic calibration).

        Example:
            >>> run.calibrate().risk_coverage().table.columns.tolist()
            ['direction', 'threshold', 'coverage', 'risk']
        """
        if not self.risk:
            raise TooFew(summarize_calibrations(self.trial))
        parts = []
        for direction, part in self.risk.items():
            sure, every = part[part["risk"] <= LOW_RISK], part.iloc[-1]
            share = sure["coverage"].max() if len(sure) else 0.0
            parts.append(
                f"**{direction}**: of the surest {share:.0%} of the queries at most {LOW_RISK:.0%} have a wrong first "
                f"hit, of all {every['risk']:.1%}"
            )

        def draw() -> "Figure":
            fig, (ax,) = figure()
            for direction, part in self.risk.items():
                ax.plot(part["coverage"], part["risk"], label=direction)
            ax.set(xlabel="share of queries answered, the surest first", ylabel="share of wrong first hits")
            ax.legend(frameon=False)
            return fig

        return Result(join_directions(self.risk), f"{'; '.join(parts)}.", draw, shown=no_table())

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the calibrations, by claim."""
        counts = self.trial.table.groupby(["direction", "calibration"])["count"].sum()
        same = counts.groupby("direction").nunique().eq(1)
        return {"every calibration of a direction is evaluated on as many hits": bool(same.all())}

    def write(self, step: Step) -> Html:
        """Write scores/calibrations.json, and show what the step has written.

        Example:
            >>> files = study.write(step)
        """
        write_calibrations(self.fitted, step.write(run_files.CALIBRATIONS))
        return step.outputs()


@dataclass(frozen=True, repr=False)
class FusionStudy(Report):
    """Weights learned on validation queries and evaluated on others. Made by `Run.study_fusion`.

    Systems are compared by the mean reciprocal rank.

    Attributes:
        trials: what was fused, by name: the learned weights and the rankings of the queries to evaluate on.
        items: the items that were ranked.
        seed: of the bootstrap.

    Example:
        >>> study = run.study_fusion("text and image", depth=10)
        >>> sorted(study.compared)
        ['text and image']
    """

    trials: Mapping[str, WeightTrial]
    items: pd.DataFrame
    seed: int = 0

    @classmethod
    def of(cls, data: RunData, systems: str, fusion: str, depth: int, seed: int) -> Self:
        """Learn the weights of "text and image" or of the run's "models"; ValueError for anything else."""
        index, judged = data.index, data.judged()
        vectors = index.in_order(data.vectors_of(data.retrievers))
        if systems == "text and image":
            trials = _tried(
                systems, lambda: {systems: try_query_weights(index, vectors, judged, depth, seed)}
            )
        elif systems == "models":
            qrels = {name: data.qrels(target, ALL) for name, (_, target) in DIRECTIONS.items()}
            trials = _tried(
                systems, lambda: try_model_weights(index, vectors, judged, qrels, fusion, depth, seed)
            )
        else:
            raise ValueError(f"systems: expected 'text and image' or 'models', found {systems!r}")
        return cls(trials, judged.items, seed)

    @cached_property
    def compared(self) -> dict[str, pd.DataFrame]:
        """Each trial's systems compared with equal shares, where a weight could be learned."""
        return {
            name: compare_systems(trial.scores(), self.items, self.seed)
            for name, trial in self.trials.items()
            if trial.rankings
        }

    def _overview(self) -> Result:
        """Show each system's difference to equal shares with its 95% interval."""
        tables = [table.assign(of=name) for name, table in self.compared.items()]
        if not tables:
            return unanswered(summarize_weights(self.trials, self.compared))
        table = weight_table(self.compared).reset_index(drop=True)

        def draw() -> "Figure":
            fig, axs = figure(len(tables), width=10, height=1.4 + 0.3 * max(map(len, tables)))
            for ax, part in zip(axs, tables, strict=True):
                bounds = part[["difference_low", "difference_high"]].to_numpy()
                label = "difference in mean reciprocal rank (95%)"
                forest(ax, part["system"], part["difference"], bounds, label, part["of"].iloc[0])
            return fig

        return Result(table, summarize_weights(self.trials, self.compared), draw)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the trials, by claim."""
        asked = [
            {frozenset(one["query_id"]) for one in trial.rankings.values()} for trial in self.trials.values()
        ]
        return {"the systems of a trial answer the same queries": all(len(sets) <= 1 for sets in asked)}


def _tried(systems: str, try_weights: Callable[[], Mapping[str, WeightTrial]]) -> Mapping[str, WeightTrial]:
    """Return the trials, or one that says why nothing could be learned."""
    try:
        return try_weights()
    except TooFew as error:
        return {systems: WeightTrial.nothing_learned(str(error))}
