"""The shape of a space in numbers: the gap between modalities, narrowness, dimensions in use, hubs.

N, Q rows, D dimensions; all rows are unit rows.
"""

import numpy as np
import pandas as pd

from mmlab.evaluate.exact import best_rows
from mmlab.items import Vectors, check_columns


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
    rows, _ = best_rows(queries, gallery, k)
    counts = np.bincount(rows.ravel(), minlength=len(gallery))
    away = counts - counts.mean()
    return float((away**3).mean() / counts.std() ** 3) if counts.std() > 0 else 0.0


def describe_space(vectors: Vectors, items: pd.DataFrame, k: int = 10) -> pd.DataFrame:
    """All of these for texts and images in one space: measure, of, value. Each modality needs a vector at least.

    Hubness of texts is counted with images as queries, that of images with texts. These describe the vectors
    at hand, all of them, and estimate nothing, so they carry no interval.
    """
    check_columns(items, ("item_id", "modality"), "items")
    known = items[items["item_id"].isin(vectors.ids)]
    sides = {
        side: vectors.take(known.loc[known["modality"] == side, "item_id"]).array
        for side in ("text", "image")
    }
    empty = [side for side, array in sides.items() if not len(array)]
    if empty:
        raise ValueError(f"expected vectors of texts and of images, found none of {empty[0]}")
    text, image = sides.values()
    rows = [("modality gap", "text and image", modality_gap(text, image))]
    for side, array in sides.items():
        rows += [
            ("anisotropy", side, anisotropy(array)),
            ("effective dimension", side, effective_dimension(array)),
        ]
    rows += [("hubness", "text", hubness(image, text, k)), ("hubness", "image", hubness(text, image, k))]
    return pd.DataFrame(rows, columns=["measure", "of", "value"])
