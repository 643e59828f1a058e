"""Scores -> probabilities: rankings -> rankings whose scores mean the same in every ranking.

Fit one calibration for each direction and pair of modalities, on validation queries only: evaluated on the queries that
it was fitted on, it looks better than it is. Fit and apply it to rankings of the same depth. Every calibration is
monotone, so it leaves rows, order and ranks as they are, also where two scores become equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd

from mmlab.evaluate import mark_relevant
from mmlab.items.rankings import finite_scores

MAX_RATIO = 1e3  # of a temperature to the spread of the scores, or of the spread to it
ROUNDING = 1e-9  # of a mean score: a smaller deviation is none
MIN_OTHERS = 1e-6  # weight of the items beside one: less is none


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
    """The probability that an item is relevant, by its score and by those of the items beside it.

    exp(s / T) / (exp(s / T) + w x sum of exp(s' / T) over the query's other items + exp(o / T)): a softmax with the
    option o that no item is right, which weighs more where all scores are low. With w = 1 the items rule each
    other out; several right answers make it small, and with w = 0 an item is on its own. Fitted by the log loss of all
    ranked items, those of queries without a right one among them. Source: Guo et al., On Calibration of Modern Neural
    Networks (ICML 2017), for the temperature; Train, Discrete Choice Methods with Simulation (2009), 3, for the option.
    """

    temperature: float
    others: float = 1.0
    outside: float = 0.0
    kind: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature: expected a positive number, found {self.temperature}")
        if not (0 <= self.others < np.inf and np.isfinite(self.outside)):
            raise ValueError(f"expected others from 0 and a finite outside option, found {self}")

    @classmethod
    def fit(cls, rankings: pd.DataFrame, qrels: pd.DataFrame) -> Self:
        """Find the numbers of the least log loss, the temperature from 1/1000 to 1000 times the scores' spread.

        The targets are those of `Logistic`, which stay finite where scores separate right from wrong.
        """
        marked = _marked(rankings, qrels)
        query = pd.factorize(marked["query_id"])[0]
        centre = marked["score"].mean()
        spread = _spread(centre, marked["score"].std())
        score = (marked["score"].to_numpy() - centre) / spread
        log_beta, log_others, outside = _fit_choice(query, score, _targets(marked["relevant"].to_numpy()))
        temperature = float(spread / np.exp(log_beta))
        return cls(temperature, float(np.exp(log_others)), float(centre + outside * temperature))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return a probability in [0, 1] for each item; those of a query add up to whatever they do."""
        query = pd.factorize(rankings["query_id"])[0]
        score = finite_scores(rankings) / self.temperature
        log_others = np.log(self.others) if self.others else -np.inf
        found = _choice(query, score, 1.0, log_others, self.outside / self.temperature)
        return rankings.assign(score=found.probability)

    def to_dict(self) -> dict[str, Any]:
        """Return {"kind": "temperature", "temperature": T, "others": w, "outside": o}."""
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
        centre = score.mean()
        spread = _spread(centre, score.std())
        slope, intercept = _fit_logistic((score - centre) / spread, _targets(relevant))
        return cls(float(slope / spread), float(intercept - slope * centre / spread))

    def apply(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return a probability in [0, 1] for each item on its own."""
        return rankings.assign(score=_sigmoid(self.slope * finite_scores(rankings) + self.intercept))

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


def _spread(centre: float, deviation: float) -> float:
    """Return the standard deviation of scores, and 1 where they differ by rounding alone."""
    return deviation if deviation > ROUNDING * abs(centre) else 1.0


def _targets(relevant: np.ndarray) -> np.ndarray:
    """Return Platt's targets in place of 1 and 0: (n+ + 1) / (n+ + 2) and 1 / (n- + 2)."""
    return np.where(relevant, 1 - 1 / (relevant.sum() + 2), 1 / ((~relevant).sum() + 2))


class Choice(NamedTuple):
    """Probability of each row (R,), and how its log odds change with beta, with log w and with the option c."""

    probability: np.ndarray
    by_beta: np.ndarray
    by_others: np.ndarray
    by_outside: np.ndarray


def _choice(query: np.ndarray, score: np.ndarray, beta: float, log_others: float, outside: float) -> Choice:
    """Return p of log odds beta s - log(w sum of exp(beta s') + exp(c)), the sum over the others of a query (R,)."""
    top = np.full(query.max(initial=-1) + 1, -np.inf)
    np.maximum.at(top, query, score)
    below = score - top[query]
    mass = np.exp(beta * below)
    others, weighted = (
        np.maximum(np.bincount(query, part)[query] - part, 0) for part in (mass, mass * -below)
    )
    with np.errstate(divide="ignore"):
        log_rest = np.logaddexp(log_others + np.log(others), outside - beta * top[query])
    share = np.exp(np.minimum(log_others - log_rest, 500))  # of a unit of mass in what stands against the row
    probability = _sigmoid(beta * below - log_rest)
    by_others = -share * others
    by_beta = below + share * weighted + top[query] * (1 + by_others)
    return Choice(probability, by_beta, by_others, -1 - by_others)


def _fit_choice(query: np.ndarray, score: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return log beta, log w and c of the least log loss, for scores of mean 0 and deviation 1."""

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        beta = np.exp(found[0])
        choice = _choice(query, score, beta, found[1], found[2])
        p = np.clip(choice.probability, 1e-15, 1 - 1e-15)
        away = (choice.probability - target) / len(score)
        slopes = (away @ choice.by_beta * beta, away @ choice.by_others, away @ choice.by_outside)
        return float(-np.mean(target * np.log(p) + (1 - target) * np.log1p(-p))), np.array(slopes)

    odds = np.log(target.mean() / (1 - target.mean()))
    bounds = [(-np.log(MAX_RATIO), np.log(MAX_RATIO)), (np.log(MIN_OTHERS), np.log(MAX_RATIO)), (None, None)]
    starts = ([0.0, np.log(MIN_OTHERS) / 2, -odds], [1.0, 0.0, -odds + 2.0])
    tried = [_minimize(loss, start, bounds, {"ftol": 1e-11, "gtol": 1e-8}) for start in starts]
    return min(tried, key=lambda one: one.fun).x


def _fit_logistic(score: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return slope (at least 0) and intercept of the sigmoid nearest to targets in (0, 1); scores of deviation 1."""

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        x = found[0] * score + found[1]
        away = _sigmoid(x) - target
        return float(np.mean(np.logaddexp(0, x) - target * x)), np.array(
            [np.mean(away * score), np.mean(away)]
        )

    start = [0.0, np.log(target.mean() / (1 - target.mean()))]
    found = _minimize(loss, start, [(0, None), (None, None)], {"ftol": 1e-15, "gtol": 1e-10})
    return float(found.x[0]), float(found.x[1])


def _minimize(loss: Any, start: Sequence[float], bounds: Sequence[Any], tight: Mapping[str, float]) -> Any:
    """Return what L-BFGS-B finds from `start` on; `loss` returns its value and its slopes."""
    from scipy.optimize import minimize

    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=tight)


def _sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """Return the probability of log odds, exact to the last digits at both ends."""
    found: np.ndarray = np.exp(-np.logaddexp(0, -log_odds))
    return found
