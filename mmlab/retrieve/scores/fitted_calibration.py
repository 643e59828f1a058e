"""A calibration that remembers what it was fitted on, and refuses to be judged on that."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mmlab.items import replacing
from mmlab.retrieve.scores.calibrate import CALIBRATIONS, Calibration, calibration_from_dict
from mmlab.retrieve.scores.query_split import Fold
from mmlab.retrieve.scores.reliability import calibration_error, reliability

Calibrations = Mapping[str, Mapping[str, "Fitted"]]  # by kind, then by direction, as "text-to-image"

TIE = 1e-6  # the share of a probability that goes by rank


@dataclass(frozen=True)
class Fitted:
    """A calibration of one direction, and the queries that it was fitted on."""

    calibration: Calibration
    fitted_on: frozenset[str]

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """The rankings with calibrated scores; equal ones are told apart by their rank, within a millionth.

        Ties count against a system, and a step function makes many that were none.
        """
        told = self.calibration.apply(rankings)
        place = 1 - told["rank"] / (told["rank"].max() + 1)
        return told.assign(score=(1 - TIE) * told["score"] + TIE * place)

    def to_dict(self) -> dict[str, Any]:
        """The calibration and the ids of the queries that it was fitted on, as plain JSON."""
        return {"calibration": self.calibration.to_dict(), "fitted_on": sorted(self.fitted_on)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """What `to_dict` wrote; ValueError for a calibration that is none."""
        return cls(calibration_from_dict(saved["calibration"]), frozenset(saved["fitted_on"]))

    def judge(
        self, rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 10
    ) -> tuple[pd.DataFrame, float]:
        """The reliability table of the calibrated rankings, and their expected calibration error.

        Raises ValueError where one of the judged queries was fitted on.
        """
        known = self.fitted_on & set(rankings["query_id"].unique()) & set(qrels["query_id"].unique())
        if known:
            raise ValueError(
                f"{len(known)} of these queries are those that the calibration was fitted on, first {min(known)}: "
                "judge it on others, see Fold.judge_on"
            )
        table = reliability(self.apply(rankings), qrels, bins)
        return table, calibration_error(table)


def fit_calibration(kind: str, rankings: pd.DataFrame, qrels: pd.DataFrame, fold: Fold) -> Fitted:
    """A calibration of CALIBRATIONS fitted on the fold's fitting queries only; ValueError for an unknown kind."""
    if kind not in CALIBRATIONS:
        raise ValueError(f"unknown calibration {kind!r}; known: {', '.join(CALIBRATIONS)}")
    fitting = fold.fit_on(rankings), fold.fit_on(qrels)
    return Fitted(CALIBRATIONS[kind].fit(*fitting), frozenset(fitting[0]["query_id"].unique()))


def compare_calibrations(
    rankings: pd.DataFrame, qrels: pd.DataFrame, fold: Fold, bins: int = 10
) -> pd.DataFrame:
    """Every calibration, fitted and judged on other queries: calibration, ece, then the columns of `reliability`.

    One row per calibration and bin. Raises ValueError where a calibration cannot be fitted.
    """
    tables = []
    judging = fold.judge_on(rankings), fold.judge_on(qrels)
    for kind in CALIBRATIONS:
        table, error = fit_calibration(kind, rankings, qrels, fold).judge(*judging, bins)
        tables.append(table.assign(calibration=kind, ece=error)[["calibration", "ece", *table.columns]])
    return pd.concat(tables, ignore_index=True)


def write_calibrations(fitted: Calibrations, path: Path) -> None:
    """Keep calibrations, by kind and direction, in a JSON file."""
    plain = {kind: {name: one.to_dict() for name, one in ways.items()} for kind, ways in fitted.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read_calibrations(path: Path) -> dict[str, dict[str, Fitted]]:
    """What `write_calibrations` kept; a panel takes it as it is. ValueError for a file that holds no calibrations."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {
            kind: {name: Fitted.from_dict(one) for name, one in ways.items()} for kind, ways in plain.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no calibrations as write_calibrations writes them: {error}"
        ) from error
