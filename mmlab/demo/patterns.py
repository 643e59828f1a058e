"""The patterns of a product's surface, as functions of its own coordinates.

Each takes arrays u and v, how far to the right and down, in half sizes of the product, and says where the second
colour lies.
"""

import numpy as np


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _waves(u / 0.34 + 0.22) < 0.45


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(v / 0.32)
    across, down = _waves(u / 0.37 + row / 2) - 0.5, v / 0.32 - row - 0.5
    return (across * 0.37) ** 2 + (down * 0.32) ** 2 < 0.115**2


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (_waves(u / 0.5) < 0.5) == (_waves(v / 0.5) < 0.5)


def _zigzag(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _waves((v + 0.5 * np.abs(_waves(u / 0.5) - 0.5)) / 0.36) < 0.42


def _waves(x: np.ndarray) -> np.ndarray:
    return x - np.floor(x)


PATTERNS = {"striped": _stripes, "dotted": _dots, "checked": _checks, "zigzag": _zigzag}
