"""What 10_scores shows: the modality gap, hubs and what rescoring does to them, and calibrated scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.items import DIRECTIONS, exact_search
from mmlab.retrieve.scores.fitted_calibration import Calibrations, fit_calibrations, write_calibrations
from mmlab.retrieve.studies.calibration_study import (
    CalibrationTrial,
    rank_intra_modal,
    summarize_calibrations,
    try_calibrations,
)
from mmlab.retrieve.studies.hub_study import compare_rescorings, occurrences, try_rescorings
from mmlab.runs import Step
from mmlab.visualize import Html
from mmlab.visualize.curves import occurrence_panels, reliability_panels
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_JOINT_SPACE = "No model here has a joint space of texts and images"
CALIBRATIONS_FILE = "scores/calibrations.json"


@dataclass(frozen=True, repr=False)
class HubStudy(Report):
    """How often items are among the nearest of all queries, plain and rescored. Made by `Run.study_hubs`.

    Attributes:
        hubs: direction, rescoring, skewness, most, never, Success@1, temperature: a row for each way to rescore.
        occurrences: for each direction and rescoring how often each item is among the first ten.
    """

    hubs: pd.DataFrame
    occurrences: Mapping[str, Mapping[str, pd.Series]]

    @classmethod
    def of(cls, data: RunData, depth: int, seed: int) -> Self:
        """Rank all queries plainly and by every rescoring, and count how often each item comes up."""
        vectors, items = data.all_vectors[0], data.embedded_items
        qrels = {name: data.qrels(target) for name, (_, target) in DIRECTIONS.items()}
        tried = try_rescorings(vectors, items, depth, seed)
        hubs = compare_rescorings(tried, vectors, items, qrels, seed=seed)
        return cls(hubs, occurrences(tried, vectors, items))

    def _overview(self) -> Result:
        """Show how often items come up, the most frequent first, for every rescoring."""

        def draw() -> "Figure":
            return occurrence_panels(self.occurrences)

        return Result(self.hubs, self._summary(), draw)

    def _summary(self) -> str:
        if self.hubs.empty:
            return f"{NO_JOINT_SPACE}: there is nothing to rescore."
        parts = []
        for direction, part in self.hubs.groupby("direction", sort=False):
            plain, least = part.iloc[0], part.loc[part["skewness"].idxmin()]
            change = least["Success@1"] - plain["Success@1"]
            lowered = (
                f"lowest with {least['rescoring']}, {least['skewness']:.2f}, where Success@1 changes by {change:+.3f}"
                if least["skewness"] < plain["skewness"]
                else "and no rescoring lowers it"
            )
            parts.append(
                f"**{direction}**: the skewness of the 10-occurrence is {plain['skewness']:.2f}, {lowered}"
            )
        return f"{'. '.join(parts)}. Success@1 is that of queries on which nothing was chosen."

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the table, by claim."""
        return {
            "every share lies in [0, 1]": bool(self.hubs[["never", "Success@1"]].stack().between(0, 1).all())
        }


@dataclass(frozen=True, repr=False)
class CalibrationStudy(Report):
    """Every kind of calibration, fitted on validation queries and evaluated on others. Made by `Run.calibrate`.

    Attributes:
        trial: the reliability of each calibration by direction and bin, and how each direction's queries were divided.
        fitted: the fitted calibrations, by kind and direction.
    """

    trial: CalibrationTrial
    fitted: Calibrations

    @classmethod
    def of(cls, data: RunData, depth: int, seed: int) -> Self:
        """Fit and evaluate on exact rankings of all queries, between the modalities and within each."""
        vectors, items = data.all_vectors[0], data.embedded_items
        rankings, qrels = {}, {}
        for direction, (source, target) in DIRECTIONS.items():
            asked, gallery = data.vectors(source), data.vectors(target)
            if len(asked) and len(gallery):
                rankings[direction] = exact_search(asked, gallery, depth)
                qrels[direction] = data.qrels(target)
        within = rank_intra_modal(vectors, items, depth, seed)
        rankings, qrels = rankings | within.rankings, qrels | within.qrels
        trial = try_calibrations(rankings, items, qrels, seed=seed)
        return cls(trial, fit_calibrations(rankings, items, qrels, seed))

    def _overview(self) -> Result:
        """Show the observed share of right answers over the predicted probability, for each direction."""
        table = self.trial.table
        shown = table.drop_duplicates(["direction", "calibration"])[["direction", "calibration", "ece"]]

        def draw() -> "Figure":
            return reliability_panels(table)

        return Result(table, summarize_calibrations(self.trial), draw, shown=shown)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the calibrations, by claim."""
        shares = self.trial.table[["predicted", "observed"]].stack()
        return {"every probability lies in [0, 1]": bool(shares.between(0, 1).all())}

    def write(self, step: Step) -> Html:
        """Write scores/calibrations.json, and show what the step has written."""
        write_calibrations(self.fitted, step.write(CALIBRATIONS_FILE))
        return step.outputs()
