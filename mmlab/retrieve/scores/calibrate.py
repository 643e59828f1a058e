"""Scores -> probabilities: rankings -> rankings whose scores mean the same in every ranking.

Fit one calibration for each direction and pair of modalities, on validation queries only: fitted on the queries
that it is judged on, it looks better than it is. Fit and apply it to rankings of the same depth. Every
calibration is monotone, so it leaves rows, order and ranks as they are, also where two scores become equal.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.items.rankings import finite_scores
from mmlab.retrieve.scores.likelihood import fit_logistic, fit_temperature, sigmoid
from mmlab.retrieve.scores.normalize import softmax


class Calibration(Protocol):
    """A fitted map of scores; `to_dict` is plain JSON, and `calibration_from_dict` reads it back."""

    kind: ClassVar[str]

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """Learn from the ranked items of the queries in `qrels`; ValueError without a relevant or an irrelevant one."""

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """The same rankings with the calibrated scores, in [0, 1]."""

    def to_dict(self) -> dict[str, Any]:
        """The kind and the fitted numbers."""


@dataclass(frozen=True)
class Temperature:
    """exp(s / temperature) over its sum: how a query's relevance is shared among its ranked items.

    Fitted by the mean log-loss of the right answers among the items of their query (of several, each counts the
    same), over the queries that have both right and wrong ones. Source: Guo et al., On Calibration of Modern
    Neural Networks (ICML 2017).
    """

    temperature: float
    kind: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature is a positive number, found {self.temperature}")

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """The temperature of the least log-loss, searched from 1/1000 to 1000 times the scores' spread in a query.

        An end of that range is the answer where right items always lead, or where they trail on average.
        """
        judged = _judge_both(rankings, qrels)
        by_query = judged.groupby("query_id")["relevant"]
        mixed = judged[by_query.transform("any") & ~by_query.transform("all")]
        if mixed.empty:
            raise ValueError(
                "no query has both a relevant and an irrelevant item: nothing to fit; rank deeper"
            )
        query = pd.factorize(mixed["query_id"])[0]
        return cls(fit_temperature(query, mixed["score"].to_numpy(), mixed["relevant"].to_numpy()))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Probabilities that add up to 1 for each query."""
        return softmax(rankings, self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """{"kind": "temperature", "temperature": T}."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-(slope x s + intercept))): the probability that an item is relevant.

    Fitted with the targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2) in place of 1 and 0, so that it stays finite where
    scores separate right from wrong. The slope is never negative: scores that say the opposite say nothing.
    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999).
    """

    slope: float
    intercept: float
    kind: ClassVar[str] = "logistic"

    def __post_init__(self) -> None:
        if not (0 <= self.slope < np.inf and np.isfinite(self.intercept)):
            raise ValueError(f"expected a finite slope from 0 and a finite intercept, found {self}")

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """The slope and intercept of the least log-loss, by Newton's method."""
        judged = _judge_both(rankings, qrels)
        relevant, score = judged["relevant"].to_numpy(), judged["score"].to_numpy()
        target = np.where(relevant, 1 - 1 / (relevant.sum() + 2), 1 / ((~relevant).sum() + 2))
        centre, spread = score.mean(), score.std() or 1.0
        slope, intercept = fit_logistic((score - centre) / spread, target)
        return cls(float(slope / spread), float(intercept - slope * centre / spread))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """A probability in [0, 1] for each item on its own."""
        return rankings.assign(score=sigmoid(self.slope * finite_scores(rankings) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """{"kind": "logistic", "slope": a, "intercept": b}."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Isotonic:
    """The rising step function nearest to what was observed: straight lines between its corners, level outside.

    `scores` (rising) and `probabilities` (never falling) are the corners. Source: Zadrozny and Elkan, Transforming
    Classifier Scores into Accurate Multiclass Probability Estimates (KDD 2002).
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    kind: ClassVar[str] = "isotonic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))
        object.__setattr__(self, "probabilities", tuple(self.probabilities))
        x, y = np.asarray(self.scores), np.asarray(self.probabilities)
        if not (len(x) == len(y) > 0 and np.isfinite(x).all() and (np.diff(x) > 0).all()):
            raise ValueError(f"expected rising scores, one for each probability; found {len(x)} and {len(y)}")
        if not ((y >= 0) & (y <= 1)).all() or (np.diff(y) < 0).any():
            raise ValueError("expected probabilities in [0, 1] that never fall")

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """The least squares fit by pooling adjacent violators (scipy's), equal scores as one."""
        from scipy.optimize import isotonic_regression

        judged = _judge_both(rankings, qrels)
        scores, place, counts = np.unique(judged["score"], return_inverse=True, return_counts=True)
        observed = np.bincount(place, judged["relevant"]) / counts
        level = np.clip(isotonic_regression(observed, weights=counts).x, 0, 1)
        inner = (level[1:-1] == level[:-2]) & (level[1:-1] == level[2:])  # on a level stretch, no corner
        corner = ~np.concatenate([[False], inner, [False]])[: len(level)]
        return cls(tuple(scores[corner].tolist()), tuple(level[corner].tolist()))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """A probability in [0, 1] for each item on its own; many items share one."""
        return rankings.assign(score=np.interp(finite_scores(rankings), self.scores, self.probabilities))

    def to_dict(self) -> dict[str, Any]:
        """{"kind": "isotonic", "scores": [...], "probabilities": [...]}."""
        return {"kind": self.kind, "scores": list(self.scores), "probabilities": list(self.probabilities)}


CALIBRATIONS: dict[str, type[Calibration]] = {kind.kind: kind for kind in (Temperature, Logistic, Isotonic)}


def calibration_from_dict(saved: dict[str, Any]) -> Calibration:
    """The calibration that `to_dict` wrote; ValueError for an unknown kind or for other fields than it has."""
    numbers = {name: value for name, value in saved.items() if name != "kind"}
    kind = CALIBRATIONS.get(saved.get("kind"))
    if kind is None:
        raise ValueError(f"unknown calibration {saved.get('kind')!r}; known: {', '.join(CALIBRATIONS)}")
    expected = [field.name for field in fields(kind)]
    if sorted(numbers) != sorted(expected):
        raise ValueError(f"calibration {kind.kind}: expected {expected}, found {sorted(numbers)}")
    return kind(**numbers)


def _judge_both(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    judged = mark_relevant(rankings, qrels)
    relevant = int(judged["relevant"].sum())
    if relevant in (0, len(judged)):
        raise ValueError(
            f"expected relevant and irrelevant items among the ranked ones, found {relevant} and "
            f"{len(judged) - relevant}; check that rankings and qrels have the same ids, and rank deeper"
        )
    return judged
