"""A calibration that remembers which queries it was fitted on, and how well its probabilities hold on others."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.evaluate.resampling import mean_intervals
from mmlab.items import check_columns, replacing
from mmlab.items.options import Choice, Whole, check_value
from mmlab.retrieve.scores.calibrate import CALIBRATIONS, Calibration
from mmlab.retrieve.scores.query_split import CalibrationSplit

Calibrations = Mapping[
    str, Mapping[str, "FittedCalibration"]
]  # by kind, then by direction, as "text-to-image"

RELIABILITY_COLUMNS = ("low", "high", "predicted", "observed", "observed_low", "observed_high", "count")
RANK_SHARE = 1e-6  # of a probability that goes by rank, so that equal ones keep their order


class Reliability(NamedTuple):
    """What was predicted beside what was observed, a row per bin (see `reliability_table`), and how far they are apart.

    error: the expected calibration error over bins of equal width; equal_mass_error: over bins of as many items; brier:
    the mean squared difference of probability and relevance; log_loss: the mean log loss.
    """

    table: pd.DataFrame
    error: float
    equal_mass_error: float
    brier: float
    log_loss: float


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration of one direction, the queries that it was fitted on, and where it holds.

    depth: how many hits of each query were ranked; gallery: how many items could be found; split: how the queries were
    divided; filter: the filter that the gallery was under, "" for none. The probability of a score depends on all of
    them: among more items more wrong ones reach it.
    """

    calibration: Calibration
    fitted_on: frozenset[str]
    depth: int = 0
    gallery: int = 0
    split: str = ""
    filter: str = ""

    def apply(self, rankings: pd.DataFrame, gallery: int | None = None, where: str = "") -> pd.DataFrame:
        """Return the rankings with the scores of `probabilities`, and warn of what `differences` finds."""
        if found := self.differences(rankings, gallery, where):
            warnings.warn(found, stacklevel=2)
        return self.probabilities(rankings)

    def probabilities(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return the rankings with calibrated scores; unequal scores stay so, set apart within a millionth.

        Ties count against a system, and a step function makes many that were none. What was equal stays equal.
        """
        calibrated = self.calibration.apply(rankings)
        rank = rankings.groupby("query_id", sort=False)["score"].rank("max", ascending=False)
        place = 1 - rank / (calibrated["rank"].max() + 1)
        return calibrated.assign(score=(1 - RANK_SHARE) * calibrated["score"] + RANK_SHARE * place)

    def differences(self, rankings: pd.DataFrame, gallery: int | None = None, where: str = "") -> str:
        """Say in words where these rankings differ from those that it was fitted on; "" where they do not.

        They differ in how many hits each query has, in the size of the `gallery`, where that is given, and in the
        filter `where`, as `describe_filter` puts it.
        """
        depth = int(rankings.groupby("query_id").size().max()) if len(rankings) else self.depth
        sizes = {"hits of each query": (self.depth, depth), "items to be found": (self.gallery, gallery)}
        other = [
            f"{known:,} {name} (here {found:,})"
            for name, (known, found) in sizes.items()
            if known and found is not None and known != found
        ]
        if where != self.filter:
            other += [f"{self.filter or 'no filter'} (here {where or 'none'})"]
        if not other:
            return ""
        return (
            f"The probabilities may be off: this {self.calibration.kind} calibration was fitted with "
            f"{', '.join(other)}. Trust their order, not their size."
        )

    def reliability(self, rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 10) -> Reliability:
        """Hold the calibrated rankings against what is right; raise ValueError for queries that were fitted on."""
        known = self.fitted_on & set(rankings["query_id"].unique()) & set(qrels["query_id"].unique())
        if known:
            raise ValueError(
                f"{len(known)} of these queries are those that the calibration was fitted on, first {min(known)}: "
                "evaluate it on others, see CalibrationSplit.evaluation_rows"
            )
        calibrated = self.probabilities(rankings)
        table = reliability_table(calibrated, qrels, bins)
        equal_mass = calibration_error(reliability_table(calibrated, qrels, bins, equal_mass=True))
        return Reliability(table, calibration_error(table), equal_mass, *_losses(calibrated, qrels))

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration, the ids of the queries that it was fitted on, and where it holds, as plain JSON."""
        where = {name: getattr(self, name) for name in ("depth", "gallery", "split", "filter")}
        return {"calibration": self.calibration.to_dict(), "fitted_on": sorted(self.fitted_on), **where}


def fit_calibration(
    kind: str,
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    split: CalibrationSplit,
    gallery: int | None = None,
) -> FittedCalibration:
    """Fit a calibration of CALIBRATIONS on the split's fitting queries only.

    `rankings`: query_id, item_id, rank, score; `qrels`: query_id, item_id, relevance; `gallery`: the number of items
    that could be found, those that are ranked unless given. Raises ValueError for an unknown kind, and where the
    fitting queries have no relevant or no irrelevant ranked item.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [3.0, 1.0]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> split = CalibrationSplit(frozenset(["q"]), frozenset(), "one query")
    >>> fit_calibration("logistic", rankings, qrels, split).apply(rankings)["score"].round(2).tolist()
    [0.67, 0.33]
    """
    check_value("calibration", kind, Choice(tuple(CALIBRATIONS)))
    fitting = split.fitting_rows(rankings), split.fitting_rows(qrels)
    fitted_on = frozenset(fitting[0]["query_id"].unique())
    held = rankings["item_id"].nunique() if gallery is None else gallery
    depth = int(rankings.groupby("query_id").size().max())
    return FittedCalibration(CALIBRATIONS[kind].fit(*fitting), fitted_on, depth, held, split.summary)


def write_calibrations(fitted: Calibrations, path: Path) -> None:
    """Write calibrations, by kind and direction, to a JSON file."""
    plain = {
        kind: {direction: one.to_dict() for direction, one in by_direction.items()}
        for kind, by_direction in fitted.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def reliability_table(
    rankings: pd.DataFrame, qrels: pd.DataFrame, bins: int = 15, equal_mass: bool = False
) -> pd.DataFrame:
    """Compare probabilities with relevance in bins of equal width over [0, 1], or that hold as many items each.

    Returns low, high, predicted (mean score), observed (share of relevant), observed_low, observed_high (95%, by
    query), count. A bin holds low <= score < high, the last one its end too; bins without items are left out. Raises
    ValueError for scores outside [0, 1].

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.7]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> reliability_table(rankings, qrels, bins=2)[["low", "predicted", "observed"]].values.tolist()
    [[0.5, 0.8, 0.5]]
    """
    check_value("bins", bins, Whole(1))
    marked = _probabilities(rankings, qrels)
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass and len(marked):
        edges = np.unique(np.quantile(marked["score"], edges))
    last = max(len(edges) - 2, 0)
    place = np.clip(np.searchsorted(edges, marked["score"], side="right") - 1, 0, last)
    rows = [
        (edges[number], edges[min(number + 1, len(edges) - 1)], *_observe(part))
        for number, part in marked.groupby(place)
    ]
    return pd.DataFrame(rows, columns=list(RELIABILITY_COLUMNS))


def _observe(part: pd.DataFrame) -> tuple[float, float, float, float, int]:
    right = part["relevant"].to_numpy(dtype=float)
    (bounds,) = mean_intervals(right[:, None], part["query_id"].to_numpy())
    return (float(part["score"].mean()), float(right.mean()), *bounds.tolist(), len(part))


def _probabilities(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the ranked items of the judged queries with `relevant`; raise ValueError for no probabilities."""
    marked = mark_relevant(rankings, qrels)
    if not marked["score"].between(0, 1).all():
        raise ValueError(
            f"expected probabilities in [0, 1], found scores from {marked['score'].min():.4g} to "
            f"{marked['score'].max():.4g}; calibrate the rankings first"
        )
    return marked


def _losses(rankings: pd.DataFrame, qrels: pd.DataFrame) -> tuple[float, float]:
    """Return the Brier score, the mean of (probability - relevance)², and the mean log loss."""
    marked = _probabilities(rankings, qrels)
    p, right = marked["score"].to_numpy(), marked["relevant"].to_numpy(dtype=float)
    bounded = np.clip(p, 1e-15, 1 - 1e-15)
    log_loss = -(right * np.log(bounded) + (1 - right) * np.log1p(-bounded))
    return float(np.mean((p - right) ** 2)), float(np.mean(log_loss))


def risk_coverage(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Say how often the first hit is wrong where only the surest queries are answered: threshold, coverage, risk.

    Queries are answered whose first hit has a score of `threshold` or more, the surest first: coverage is their share
    of all judged queries, risk the share of them whose first hit is wrong. One row per different score. Source: Geifman
    and El-Yaniv, Selective Classification for Deep Neural Networks (NeurIPS 2017).

    >>> rankings = pd.DataFrame({"query_id": ["q", "r"], "item_id": "a", "rank": 1, "score": [0.9, 0.4]})
    >>> qrels = pd.DataFrame({"query_id": ["q", "r"], "item_id": ["a", "b"], "relevance": 1})
    >>> risk_coverage(rankings, qrels).to_numpy().tolist()
    [[0.9, 0.5, 0.0], [0.4, 1.0, 0.5]]
    """
    first = mark_relevant(rankings[rankings["rank"] == 1], qrels).sort_values("score", ascending=False)
    wrong, answered = (~first["relevant"]).cumsum().to_numpy(), np.arange(1, len(first) + 1)
    table = pd.DataFrame(
        {"threshold": first["score"].to_numpy(), "coverage": answered, "risk": wrong / answered}
    )
    judged = qrels.loc[qrels["relevance"] > 0, "query_id"].nunique()
    table["coverage"] = table["coverage"] / max(judged, 1)
    return table.drop_duplicates("threshold", keep="last", ignore_index=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error of a reliability table, in [0, 1]: |observed - predicted| by count.

    Nearly all items of a deep ranking are irrelevant and fill the first bin, so compare rankings of the same depth.
    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017). Raises ValueError for an empty table.
    """
    check_columns(table, ("predicted", "observed", "count"), "reliability table")
    if table.empty:
        raise ValueError("the reliability table is empty: no ranked item has a query in the qrels")
    return float(np.average((table["observed"] - table["predicted"]).abs(), weights=table["count"]))
