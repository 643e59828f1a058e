"""A calibration that remembers which queries it was fitted on, and how well its probabilities hold on others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.items import check_columns, replacing
from mmlab.retrieve.scores.calibrate import CALIBRATIONS, Calibration, calibration_from_dict
from mmlab.retrieve.scores.query_split import CalibrationSplit, split_queries

Calibrations = Mapping[
    str, Mapping[str, "FittedCalibration"]
]  # by kind, then by direction, as "text-to-image"

RANK_SHARE = 1e-6  # of a probability that goes by rank, so that equal ones keep their order


class Reliability(NamedTuple):
    """What was predicted beside what was observed, a row per bin (see `reliability_table`), and the expected error."""

    table: pd.DataFrame
    error: float


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration of one direction, and the queries that it was fitted on."""

    calibration: Calibration
    fitted_on: frozenset[str]

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return the rankings with calibrated scores; unequal scores stay so, set apart within a millionth.

        Ties count against a system, and a step function makes many that were none. What was equal stays equal.
        """
        calibrated = self.calibration.apply(rankings)
        rank = rankings.groupby("query_id", sort=False)["score"].rank("max", ascending=False)
        place = 1 - rank / (calibrated["rank"].max() + 1)
        return calibrated.assign(score=(1 - RANK_SHARE) * calibrated["score"] + RANK_SHARE * place)

    def reliability(self, rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 10) -> Reliability:
        """Hold the calibrated rankings against what is right; raise ValueError for queries that were fitted on."""
        known = self.fitted_on & set(rankings["query_id"].unique()) & set(qrels["query_id"].unique())
        if known:
            raise ValueError(
                f"{len(known)} of these queries are those that the calibration was fitted on, first {min(known)}: "
                "evaluate it on others, see CalibrationSplit.evaluation_rows"
            )
        table = reliability_table(self.apply(rankings), qrels, bins)
        return Reliability(table, calibration_error(table))

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration and the ids of the queries that it was fitted on, as plain JSON."""
        return {"calibration": self.calibration.to_dict(), "fitted_on": sorted(self.fitted_on)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote; raise ValueError for a calibration that is none."""
        return cls(calibration_from_dict(saved["calibration"]), frozenset(saved["fitted_on"]))


def fit_calibration(
    kind: str, rankings: pd.DataFrame, qrels: pd.DataFrame, split: CalibrationSplit
) -> FittedCalibration:
    """Fit a calibration of CALIBRATIONS on the split's fitting queries only.

    `rankings`: query_id, item_id, rank, score; `qrels`: query_id, item_id, relevance. Raises ValueError for an unknown
    kind, and where the fitting queries have no relevant or no irrelevant ranked item.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [3.0, 1.0]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> split = CalibrationSplit(frozenset(["q"]), frozenset(), "one query")
    >>> fit_calibration("logistic", rankings, qrels, split).apply(rankings)["score"].round(2).tolist()
    [0.67, 0.33]
    """
    if kind not in CALIBRATIONS:
        raise ValueError(f"calibration: expected one of {', '.join(CALIBRATIONS)}, found {kind!r}")
    fitting = split.fitting_rows(rankings), split.fitting_rows(qrels)
    return FittedCalibration(CALIBRATIONS[kind].fit(*fitting), frozenset(fitting[0]["query_id"].unique()))


def fit_calibrations(
    rankings: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    seed: int = 0,
) -> dict[str, dict[str, FittedCalibration]]:
    """Fit every kind of calibration in every direction: {"temperature": {"text-to-image": ...}, ...}.

    `rankings` and `qrels` are by direction, of one system: its calibrations hold for no other. Only the fitting queries
    of `split_queries` are used. A direction that cannot be fitted is left out.
    """
    fitted: dict[str, dict[str, FittedCalibration]] = {}
    for direction, ranked in rankings.items():
        for kind in CALIBRATIONS:
            try:
                split = split_queries(items, ranked["query_id"].unique(), seed)
                found = fit_calibration(kind, ranked, qrels[direction], split)
            except ValueError:  # too few queries, or none that is wrong
                continue
            fitted.setdefault(kind, {})[direction] = found
    return fitted


def write_calibrations(fitted: Calibrations, path: Path) -> None:
    """Write calibrations, by kind and direction, to a JSON file."""
    plain = {
        kind: {direction: one.to_dict() for direction, one in by_direction.items()}
        for kind, by_direction in fitted.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read_calibrations(path: Path) -> dict[str, dict[str, FittedCalibration]]:
    """Read what `write_calibrations` wrote; raise ValueError for a file that holds no calibrations."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {
            kind: {direction: FittedCalibration.from_dict(one) for direction, one in by_direction.items()}
            for kind, by_direction in plain.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no calibrations as write_calibrations writes them: {error}"
        ) from error


def compare_calibrations(
    rankings: pd.DataFrame, qrels: pd.DataFrame, split: CalibrationSplit, bins: int = 10
) -> pd.DataFrame:
    """Fit every calibration and evaluate it on other queries: calibration, ece, then `reliability_table`'s columns.

    One row per calibration and bin; ece is the expected calibration error. Raises ValueError where a calibration cannot
    be fitted.
    """
    tables = []
    evaluated = split.evaluation_rows(rankings), split.evaluation_rows(qrels)
    for kind in CALIBRATIONS:
        table, error = fit_calibration(kind, rankings, qrels, split).reliability(*evaluated, bins)
        tables.append(table.assign(calibration=kind, ece=error)[["calibration", "ece", *table.columns]])
    return pd.concat(tables, ignore_index=True)


def reliability_table(rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 15) -> pd.DataFrame:
    """Compare probabilities with relevance in bins of equal width over [0, 1].

    Returns low, high, predicted (mean score), observed (share of relevant), count. A bin holds low <= score < high, the
    last one 1 too; bins without items are left out. Raises ValueError for scores outside [0, 1].

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.7]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> reliability_table(rankings, qrels, bins=2)[["low", "predicted", "observed"]].values.tolist()
    [[0.5, 0.8, 0.5]]
    """
    if bins < 1:
        raise ValueError(f"bins: expected at least 1, found {bins}")
    marked = mark_relevant(rankings, qrels)
    if not marked["score"].between(0, 1).all():
        raise ValueError(
            f"expected probabilities in [0, 1], found scores from {marked['score'].min():.4g} to "
            f"{marked['score'].max():.4g}; calibrate the rankings first"
        )
    edges = np.linspace(0, 1, bins + 1)
    place = np.minimum(np.searchsorted(edges, marked["score"], side="right") - 1, bins - 1)
    grouped = marked.groupby(place)
    table = grouped.agg(predicted=("score", "mean"), observed=("relevant", "mean"), count=("score", "size"))
    table.insert(0, "low", edges[table.index])
    table.insert(1, "high", edges[table.index + 1])
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error of a reliability table, in [0, 1]: |observed - predicted| by count.

    Nearly all items of a deep ranking are irrelevant and fill the first bin, so compare rankings of the same depth.
    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017). Raises ValueError for an empty table.
    """
    check_columns(table, ("predicted", "observed", "count"), "reliability table")
    if table.empty:
        raise ValueError("the reliability table is empty: no ranked item has a query in the qrels")
    return float(np.average((table["observed"] - table["predicted"]).abs(), weights=table["count"]))
