"""Early fusion: several query vectors of one space -> one, to be searched with once."""

from collections.abc import Sequence

import numpy as np

from mmlab.items import Vectors, unit_rows


def mix_vectors(parts: Sequence[Vectors], weights: Sequence[float] | None = None) -> Vectors:
    """The weighted mean of unit rows, made unit rows again: "this image, but red" as one query.

    `parts` have the same ids in the same order, or a single row that is mixed into every other; the ids are
    those of the first part with several rows, or of the first. Weights are any finite numbers, equal unless
    given: only their ratios count, and a negative one steers away ("not blue"). Raises SpaceMismatch for vectors
    of two spaces and ValueError where the rows cannot be aligned or cancel each other out.
    """
    if not parts:
        raise ValueError("nothing to mix: expected at least one set of vectors")
    for part in parts[1:]:
        parts[0].space.check_same(part.space)
    weights = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(parts),) or not np.isfinite(weights).all():
        raise ValueError(f"expected {len(parts)} finite weights, one for each part; found {weights.tolist()}")
    ids = _aligned_ids(parts)
    mixed = np.zeros((len(ids), parts[0].space.dimension))
    for part, weight in zip(parts, weights, strict=True):
        mixed += weight * part.array.astype(np.float64)
    _check_left(mixed, ids, np.abs(weights).sum())
    return Vectors(ids, unit_rows(mixed / np.abs(weights).sum()), parts[0].space)


def steer(
    queries: Vectors, towards: Vectors | None = None, away: Vectors | None = None, weight: float = 0.5
) -> Vectors:
    """Each query with further positives and with minus-queries: unit(mean(query, towards) - weight x mean(away)).

    All rows are unit rows of one space, and every query is steered by all rows of `towards` and `away`. Source:
    Rocchio, Relevance Feedback in Information Retrieval (1971). Raises SpaceMismatch for vectors of two spaces,
    ValueError for a weight below 0 and where nothing is left of a query.
    """
    if not 0 <= weight < np.inf:
        raise ValueError(f"the weight of what is steered away from is a number from 0, found {weight}")
    for part in (towards, away):
        if part is not None:
            queries.space.check_same(part.space)
    rows = queries.array.astype(np.float64)
    if towards is not None and len(towards):
        rows = (rows + towards.array.sum(axis=0, dtype=np.float64)) / (1 + len(towards))
    if away is not None and len(away):
        rows = rows - weight * away.array.mean(axis=0, dtype=np.float64)
    _check_left(rows, queries.ids, 1 + weight)
    return Vectors(queries.ids, unit_rows(rows), queries.space)


def _aligned_ids(parts: Sequence[Vectors]) -> np.ndarray:
    many = [part.ids for part in parts if len(part) != 1] or [parts[0].ids]
    for ids in many[1:]:
        if not np.array_equal(ids, many[0]):
            raise ValueError(
                f"the parts to mix have different ids ({len(many[0])} and {len(ids)} rows); "
                "take the same ids in the same order from each, or give one row"
            )
    return many[0]


def _check_left(mixed: np.ndarray, ids: np.ndarray, scale: float) -> None:
    """Unit rows are exact to float32: what is left of them below that is rounding, not a direction."""
    nothing = np.linalg.norm(mixed, axis=1) <= 1e-6 * scale
    if nothing.any():
        raise ValueError(
            f"the weighted rows of {nothing.sum()} queries cancel each other out, first {ids[nothing][0]}: "
            "no direction is left to search in; change the weights"
        )
