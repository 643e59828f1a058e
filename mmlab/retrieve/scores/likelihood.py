"""Least log-loss in one and two parameters, on plain arrays (R,): one row for each ranked item."""

import numpy as np

STEPS = 60  # halvings of an interval, more than the digits of a float64


def fit_temperature(query: np.ndarray, score: np.ndarray, relevant: np.ndarray) -> float:
    """The temperature under which the relevant items of each query (whole numbers from 0) are most likely.

    With b = 1 / temperature the loss of a query is log sum exp(b s) - b x mean of its relevant s. It is convex in
    b, and its slope is the expected score less that mean: the answer is where the sum of all slopes is 0.
    """
    top = np.full(query.max() + 1, -np.inf)
    np.maximum.at(top, query, score)
    score = score - top[query]
    spread = np.sqrt(np.mean((score - (np.bincount(query, score) / np.bincount(query))[query]) ** 2)) or 1.0
    aim = np.bincount(query, score * relevant) / np.bincount(query, relevant)

    def slope(log_temperature: float) -> float:
        mass = np.exp(score / np.exp(log_temperature))
        return float(np.sum(np.bincount(query, mass * score) / np.bincount(query, mass) - aim))

    low, high = np.log(spread * 1e-3), np.log(spread * 1e3)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) <= 0 else (middle, high)  # below 0: b is too small
    return float(np.exp((low + high) / 2))


def fit_logistic(score: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Slope (at least 0) and intercept of the sigmoid nearest to targets in (0, 1); scores of mean 0 and deviation 1.

    Newton's method; a step that would raise the loss is halved.
    """
    start = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    columns, found = np.stack([score, np.ones_like(score)], axis=1), start
    for _ in range(STEPS):
        predicted = sigmoid(columns @ found)
        gradient = columns.T @ (predicted - target)
        curvature = (columns * (predicted * (1 - predicted))[:, None]).T @ columns
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[
            0
        ]  # constant scores: no unique slope, the least one
        if np.abs(step).max() < 1e-9:
            break
        while _loss(columns @ (found - step), target) > _loss(columns @ found, target):
            step = step / 2
        found = found - step
    slope, intercept = found if found[0] > 0 else start
    return float(slope), float(intercept)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), in [0, 1] without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _loss(x: np.ndarray, target: np.ndarray) -> float:
    return float(np.sum(np.logaddexp(0, x) - target * x))
