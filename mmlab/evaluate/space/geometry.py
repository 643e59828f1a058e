"""The shape of a space in numbers: the gap between modalities, narrowness, dimensions in use, hubs.

N, Q rows, D dimensions; all rows are unit rows.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, Vectors, score_blocks


def modality_gap(first: np.ndarray, second: np.ndarray) -> float:
    """The distance between the mean vectors of two modalities, 0 to 2 (Liang et al. 2022)."""
    return float(np.linalg.norm(first.mean(axis=0, dtype=float) - second.mean(axis=0, dtype=float)))


def anisotropy(array: np.ndarray) -> float:
    """The mean cosine of two different rows of (N, D), -1 to 1 (Ethayarajh 2019): near 0 where all directions are used.

    Of all pairs, not of drawn ones: (|sum of rows|² - N) / (N (N - 1)). NaN for fewer than two rows.
    """
    count = len(array)
    if count < 2:
        return float("nan")
    total = array.sum(axis=0, dtype=float)
    return float((total @ total - count) / (count * (count - 1)))


def effective_dimension(array: np.ndarray) -> float:
    """The participation ratio of (N, D): 1 if all variance lies in one direction, D if it is the same in all.

    (sum of l)² / sum of l² over the eigenvalues l of the covariance, which is trace² / squared norm. NaN
    where all rows are the same.
    """
    centred = array - array.mean(axis=0, dtype=float)
    covariance = centred.T @ centred
    norm = (covariance**2).sum()
    return float(np.trace(covariance) ** 2 / norm) if norm > 0 else float("nan")


def hubness(queries: np.ndarray, gallery: np.ndarray, k: int = 10) -> float:
    """The skewness of how often each item (N, D) is among the k nearest of the queries (Q, D).

    About 0 where all come up alike, over 1 where a few hubs come up again and again (Radovanović, Nanopoulos
    and Ivanović 2010); the third standardised moment, 0 where all come up equally often.
    """
    k, counts = min(k, len(gallery)), np.zeros(len(gallery))
    for _, scores in score_blocks(queries, gallery):
        nearest = np.argpartition(scores, len(gallery) - k, axis=1)[:, len(gallery) - k :]
        counts += np.bincount(nearest.ravel(), minlength=len(gallery))
    away = counts - counts.mean()
    return float((away**3).mean() / counts.std() ** 3) if counts.std() > 0 else 0.0


def describe_space(sides: Mapping[str, Vectors], k: int = 10) -> pd.DataFrame:
    """All of these in one table: measure, of, value, reads (what the number means).

    `sides`: "text" and "image" -> their vectors (`vectors_by_modality`), each with a row at least. Hubness of texts
    is counted with images as queries, that of images with texts; it and the gap need both in one space, and have
    no row otherwise. These describe the vectors at hand, all of them, and estimate nothing, so they carry no interval.
    """
    empty = [side for side in MODALITIES if side not in sides or not len(sides[side])]
    if empty:
        raise ValueError(f"expected vectors of texts and of images, found none of {empty[0]}")
    text, image = (sides[side].array for side in MODALITIES)
    rows = []
    for side, array in (("text", text), ("image", image)):
        rows.append(("anisotropy", side, anisotropy(array), "0: all directions used, 1: one"))
        full = f"1: one direction, {array.shape[1]}: all alike"
        rows.append(("effective dimension", side, effective_dimension(array), full))
    if sides["text"].space == sides["image"].space:
        rows.append(("modality gap", "text and image", modality_gap(text, image), "0: none, 2: opposite"))
        for side, skew in (("text", hubness(image, text, k)), ("image", hubness(text, image, k))):
            rows.append(("hubness", side, skew, "over 1: a few come up for everything"))
    return pd.DataFrame(rows, columns=["measure", "of", "value", "reads"])
