"""The shape of a space in numbers: the gap between modalities, narrowness, dimensions in use, hubs.

N, Q rows, D dimensions; all rows are unit rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, RANKING_COLUMNS, Vectors, check_columns, exact_search


def modality_gap(texts: Vectors, images: Vectors) -> float:
    """Return the Euclidean distance, in [0, 2], between the mean of the text rows and the mean of the image rows.

    Source: Liang et al., Mind the Gap (NeurIPS 2022). Raises SpaceMismatch for vectors of two spaces and ValueError
    where one of the two is empty.
    """
    texts.space.check_same(images.space)
    return float(np.linalg.norm(mean_row(texts) - mean_row(images)))


def mean_row(vectors: Vectors) -> np.ndarray:
    """Return the mean of the rows, float64 (D,); ValueError where there are none."""
    if not len(vectors):
        raise ValueError("no vectors to take the mean of; both modalities are needed")
    return vectors.array.mean(axis=0, dtype=np.float64)


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


def hubness(queries: Vectors, gallery: Vectors, k: int = 10) -> float:
    """Return the skewness of how often each item of the gallery is among the `k` nearest of the queries.

    About 0 where all come up alike, over 1 where a few hubs come up again and again.
    """
    return skewness(count_occurrences(exact_search(queries, gallery, k), gallery.ids, k))


def count_occurrences(rankings: pd.DataFrame, item_ids: Sequence[str], k: int = 10) -> pd.Series:
    """Count for each item of the gallery how many queries have it among their first k: index `item_ids`.

    An item that is never found counts 0. Raises ValueError for a ranked item that is not in the gallery.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    counts = rankings.loc[rankings["rank"] <= k, "item_id"].value_counts()
    strangers = counts.index.difference(item_ids)
    if len(strangers):
        raise ValueError(f"{len(strangers)} ranked items are not in the gallery, first {strangers[0]}")
    return counts.reindex(pd.Index(item_ids, name="item_id"), fill_value=0)


def skewness(counts: Sequence[float]) -> float:
    """Return the mean of ((count - mean) / standard deviation)^3: 0 without hubs, the higher the more.

    It is 0 where all counts are equal. Source: Radovanović, Nanopoulos, Ivanović, Hubs in Space (JMLR 2010).
    """
    values = np.asarray(counts, dtype=np.float64)
    if not len(values):
        raise ValueError("no counts: the gallery is empty")
    distance = values - values.mean()
    deviation = np.sqrt(np.mean(distance**2))
    return float(np.mean((distance / deviation) ** 3)) if deviation > 0 else 0.0


def describe_space(sides: Mapping[str, Vectors], k: int = 10) -> pd.DataFrame:
    """All of these in one table: measure, of, value, reads (what the number means).

    `sides`: "text" and "image" -> their vectors (`vectors_by_modality`), each with a row at least. Hubness of texts
    is counted with images as queries, that of images with texts; it and the gap need both in one space, and have
    no row otherwise. These describe the vectors at hand, all of them, and estimate nothing, so they carry no interval.
    """
    empty = [side for side in MODALITIES if side not in sides or not len(sides[side])]
    if empty:
        raise ValueError(f"expected vectors of texts and of images, found none of {empty[0]}")
    text, image = (sides[side] for side in MODALITIES)
    rows = []
    for side in MODALITIES:
        array = sides[side].array
        rows.append(("anisotropy", side, anisotropy(array), "0: all directions used, 1: one"))
        full = f"1: one direction, {array.shape[1]}: all alike"
        rows.append(("effective dimension", side, effective_dimension(array), full))
    if text.space == image.space:
        rows.append(("modality gap", "text and image", modality_gap(text, image), "0: none, 2: opposite"))
        for side, skew in (("text", hubness(image, text, k)), ("image", hubness(text, image, k))):
            rows.append(("hubness", side, skew, "over 1: a few come up for everything"))
    return pd.DataFrame(rows, columns=["measure", "of", "value", "reads"])
