"""Vectors -> vectors of one space: several mixed into one query, queries steered, each modality centred on its mean."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mmlab.evaluate.measures.geometry import mean_row
from mmlab.items import MODALITIES, Space, Vectors, unit_rows
from mmlab.items.options import Number, check_value
from mmlab.items.tables import TooFew

LEAST_NORM = 1e-6  # of a unit row less its mean: a shorter rest is rounding
MINUS_WEIGHT = 0.5  # of what a query is steered away from, beside 1 for the query


def mix_vectors(parts: Sequence[Vectors], weights: Sequence[float] | None = None) -> Vectors:
    """Return the weighted mean of unit rows, made unit rows again: "this image, but red" as one query.

    `parts` have the same ids in the same order, or a single row that is mixed into every other. The ids are those of
    the first part with several rows, or of the first part. Weights are any finite numbers, equal unless given: only
    their ratios count, and a negative one steers away ("not blue"). Raises SpaceMismatch for vectors of two spaces and
    ValueError where the rows cannot be aligned or cancel each other out.

    >>> space = Space("toy", "1", "", "", "", 2)
    >>> across, up = (Vectors([name], [row], space) for name, row in (("across", [1, 0]), ("up", [0, 1])))
    >>> mix_vectors([across, up], [3, 4]).array.round(3).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    if not parts:
        raise ValueError("parts: expected at least one set of vectors to mix, found none")
    for part in parts[1:]:
        parts[0].space.check_same(part.space)
    share = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (len(parts),) or not np.isfinite(share).all():
        raise ValueError(
            f"weights: expected {len(parts)} finite numbers, one for each part; found {share.tolist()}"
        )
    ids = _aligned_ids(parts)
    mixed = np.zeros((len(ids), parts[0].space.dimension))
    for part, weight in zip(parts, share, strict=True):
        mixed += weight * part.array.astype(np.float64)
    _check_left(mixed, ids, np.abs(share).sum())
    return Vectors(ids, unit_rows(mixed / np.abs(share).sum()), parts[0].space)


def rocchio(
    queries: Vectors, plus: Vectors | None = None, minus: Vectors | None = None, weight: float = MINUS_WEIGHT
) -> Vectors:
    """Steer each query towards and away from more vectors: unit(mean(query, plus) - weight x mean(minus)).

    All rows are unit rows of one space, and every query is steered by all rows of `plus` and `minus`. Source: Rocchio,
    Relevance Feedback in Information Retrieval (1971). Raises SpaceMismatch for vectors of two spaces, ValueError for a
    weight below 0 and where nothing is left of a query.
    """
    check_value("minus_weight", weight, Number(0))
    for part in (plus, minus):
        if part is not None:
            queries.space.check_same(part.space)
    rows = queries.array.astype(np.float64)
    if plus is not None and len(plus):
        rows = (rows + plus.array.sum(axis=0, dtype=np.float64)) / (1 + len(plus))
    if minus is not None and len(minus):
        rows = rows - weight * minus.array.mean(axis=0, dtype=np.float64)
    _check_left(rows, queries.ids, 1 + weight)
    return Vectors(queries.ids, unit_rows(rows), queries.space)


@dataclass(frozen=True)
class Centring:
    """The mean of each modality (D,) in one space, whose distance is the modality gap.

    Taking each side's mean away closes the gap. What is centred lies in a space of its own.
    """

    text: tuple[float, ...]
    image: tuple[float, ...]
    space: Space

    def __post_init__(self) -> None:
        for name in MODALITIES:
            mean = tuple(float(value) for value in getattr(self, name))
            if len(mean) != self.space.dimension or not np.isfinite(mean).all():
                raise ValueError(
                    f"centring: expected {self.space.dimension} finite numbers as the mean {name}, found {len(mean)}"
                )
            object.__setattr__(self, name, mean)

    @classmethod
    def fit(cls, texts: Vectors, images: Vectors) -> Self:
        """Learn the means from the collection; raise SpaceMismatch for two spaces, ValueError where one is empty."""
        texts.space.check_same(images.space)
        return cls(tuple(mean_row(texts).tolist()), tuple(mean_row(images).tolist()), texts.space)

    def apply(self, vectors: Vectors, modality: str) -> Vectors:
        """Return the rows less their modality's mean, "text" or "image", as unit rows of the centred space.

        Raises SpaceMismatch for vectors of another space than the means', and TooFew for a row that is the mean.
        """
        if modality not in MODALITIES:
            raise ValueError(f"modality: expected 'text' or 'image', found {modality!r}")
        self.space.check_same(vectors.space)
        moved = vectors.array - np.asarray(getattr(self, modality), dtype=np.float32)
        lost = int((np.linalg.norm(moved, axis=1) < LEAST_NORM).sum())
        if lost:
            raise TooFew(
                f"centring needs {modality}s that differ: {lost:,} of {len(vectors):,} are their own mean"
            )
        return Vectors(vectors.ids, unit_rows(moved), self.centred_space)

    @property
    def centred_space(self) -> Space:
        """The space with the centring in its preprocessing, named by 8 digits of a hash of the means."""
        means = np.array([self.text, self.image], dtype="<f8").tobytes()
        digest = hashlib.sha256(means).hexdigest()[:8]
        return replace(self.space, preprocessing=f"{self.space.preprocessing}; centred {digest}")


def _aligned_ids(parts: Sequence[Vectors]) -> np.ndarray:
    many = [part.ids for part in parts if len(part) != 1] or [parts[0].ids]
    for ids in many[1:]:
        if not np.array_equal(ids, many[0]):
            raise ValueError(
                f"parts: expected the same ids in the same order, or one row; found {len(many[0])} and {len(ids)} rows "
                "of different ids: take the same ids from each"
            )
    return many[0]


def _check_left(mixed: np.ndarray, ids: np.ndarray, scale: float) -> None:
    """Raise ValueError for a row of which nothing is left: unit rows are exact to float32, the rest is rounding."""
    nothing = np.linalg.norm(mixed, axis=1) <= 1e-6 * scale
    if nothing.any():
        raise ValueError(
            f"the weighted rows of {nothing.sum()} queries cancel each other out, first {ids[nothing][0]}: "
            "no direction is left to search in; change the weights"
        )
