"""Scores -> probabilities: rankings -> rankings whose scores mean the same in every ranking.

Fit one calibration for each direction and pair of modalities, on validation queries only: evaluated on the queries that
it was fitted on, it looks better than it is. Fit and apply it to rankings of the same depth. Every calibration is
monotone, so it leaves rows, order and ranks as they are, also where two scores become equal.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.items.rankings import finite_scores
from mmlab.retrieve.scores.normalize import softmax

MAX_RATIO = 1e3  # of a temperature to the spread of the scores within a query, or of the spread to it


class Calibration(Protocol):
    """A fitted map of scores; `to_dict` is plain JSON."""

    kind: ClassVar[str]

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """Learn from the ranked items of the queries in `qrels`; ValueError without a relevant or an irrelevant one."""

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return the same rankings with the calibrated scores, in [0, 1]."""

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the fitted numbers."""


@dataclass(frozen=True)
class Temperature:
    """exp(s / temperature) over its sum: how a query's relevance is shared among its ranked items.

    Fitted by the mean log-loss of the right answers among the items of their query (of several, each counts the same),
    over the queries that have both right and wrong ones. Source: Guo et al., On Calibration of Modern Neural Networks
    (ICML 2017).
    """

    temperature: float
    kind: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature: expected a positive number, found {self.temperature}")

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """Find the temperature of the least log-loss, from 1/1000 to 1000 times the scores' spread in a query.

        An end of that range is the answer where right items always lead, or where they trail on average.
        """
        marked = _marked(rankings, qrels)
        by_query = marked.groupby("query_id")["relevant"]
        mixed = marked[by_query.transform("any") & ~by_query.transform("all")]
        if mixed.empty:
            raise ValueError(
                "no query has both a relevant and an irrelevant item: nothing to fit; rank deeper"
            )
        query = pd.factorize(mixed["query_id"])[0]
        return cls(_fit_temperature(query, mixed["score"].to_numpy(), mixed["relevant"].to_numpy()))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return probabilities that add up to 1 for each query."""
        return softmax(rankings, self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Return {"kind": "temperature", "temperature": T}."""
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
        """Find the slope and intercept of the least log-loss."""
        marked = _marked(rankings, qrels)
        relevant, score = marked["relevant"].to_numpy(), marked["score"].to_numpy()
        target = np.where(relevant, 1 - 1 / (relevant.sum() + 2), 1 / ((~relevant).sum() + 2))
        centre, spread = score.mean(), score.std() or 1.0
        slope, intercept = _fit_logistic((score - centre) / spread, target)
        return cls(float(slope / spread), float(intercept - slope * centre / spread))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return a probability in [0, 1] for each item on its own."""
        from scipy.special import expit

        return rankings.assign(score=expit(self.slope * finite_scores(rankings) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """Return {"kind": "logistic", "slope": a, "intercept": b}."""
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
        """Find the least squares fit by pooling adjacent violators (scikit-learn's), equal scores as one."""
        from sklearn.isotonic import IsotonicRegression

        marked = _marked(rankings, qrels)
        fitted = IsotonicRegression(y_min=0, y_max=1).fit(marked["score"], marked["relevant"])
        return cls(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return a probability in [0, 1] for each item on its own; many items share one."""
        return rankings.assign(score=np.interp(finite_scores(rankings), self.scores, self.probabilities))

    def to_dict(self) -> dict[str, Any]:
        """Return {"kind": "isotonic", "scores": [...], "probabilities": [...]}."""
        return {"kind": self.kind, "scores": list(self.scores), "probabilities": list(self.probabilities)}


CALIBRATIONS: dict[str, type[Calibration]] = {kind.kind: kind for kind in (Temperature, Logistic, Isotonic)}


def _marked(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the ranked items of the queries in `qrels` with `relevant`; ValueError where all are alike."""
    marked = mark_relevant(rankings, qrels)
    relevant = int(marked["relevant"].sum())
    if relevant in (0, len(marked)):
        raise ValueError(
            f"expected relevant and irrelevant items among the ranked ones, found {relevant} and "
            f"{len(marked) - relevant}; check that rankings and qrels have the same ids, and rank deeper"
        )
    return marked


def _fit_temperature(query: np.ndarray, score: np.ndarray, relevant: np.ndarray) -> float:
    """Return the temperature under which the relevant items of each query (whole numbers from 0) are most likely.

    With b = 1 / temperature the loss of a query is log sum exp(b s) - b x mean of its relevant s. It is convex in b,
    and its slope is the expected score less that mean: the answer is where the sum of all slopes is 0.
    """
    from scipy.optimize import brentq

    top = np.full(query.max() + 1, -np.inf)
    np.maximum.at(top, query, score)
    score = score - top[query]
    spread = np.sqrt(np.mean((score - (np.bincount(query, score) / np.bincount(query))[query]) ** 2)) or 1.0
    aim = np.bincount(query, score * relevant) / np.bincount(query, relevant)

    def slope(log_temperature: float) -> float:
        mass = np.exp(score / np.exp(log_temperature))
        return float(np.sum(np.bincount(query, mass * score) / np.bincount(query, mass) - aim))

    low, high = np.log(spread / MAX_RATIO), np.log(spread * MAX_RATIO)
    if slope(low) <= 0 or slope(high) > 0:
        return float(np.exp(low if slope(low) <= 0 else high))
    return float(np.exp(brentq(slope, low, high, xtol=1e-14)))


def _fit_logistic(score: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return slope (at least 0) and intercept of the sigmoid nearest to targets in (0, 1); scores of deviation 1."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        x = found[0] * score + found[1]
        away = expit(x) - target
        return float(np.mean(np.logaddexp(0, x) - target * x)), np.array(
            [np.mean(away * score), np.mean(away)]
        )

    start = [0.0, np.log(target.mean() / (1 - target.mean()))]
    tight = {"ftol": 1e-15, "gtol": 1e-10}
    slope, intercept = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], options=tight
    ).x
    return float(slope), float(intercept)
