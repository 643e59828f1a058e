"""Pairs that may be wrong: a list for review, with a score and a reason.

A pair's cosine is held against those of its neighbourhood: the pairs of the `NEIGHBOURS` texts nearest to its
text, and of the `NEIGHBOURS` images nearest to its image (an image's is the median of its texts). How far
it lies from their median is measured in their robust standard deviation, 1.4826 times the median absolute
deviation, that of all pairs at least: the robust z of Iglewicz and Hoaglin (1993), who call a value beyond 3.5
an outlier.
"""

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.exact import EQUAL
from mmlab.evaluate.measures.qrels import qrels_from_pairs
from mmlab.evaluate.space.neighbours import nearest_others, nearest_right
from mmlab.items import Vectors, is_among, score_blocks

NEIGHBOURS = 10
ENOUGH = 3  # neighbours to judge by
FAR = -3.5
WRONG = "fits its image with {cosine:.2f} where neighbours have {expected:.2f}, another one with {other_cosine:.2f}"
POOR = (
    "fits its image with {cosine:.2f} where neighbours have {expected:.2f}, no other over {other_cosine:.2f}"
)


def suspected_wrong_pairs(vectors: Vectors, items: pd.DataFrame, threshold: float = FAR) -> pd.DataFrame:
    """Texts that fit their own image far too badly and another image well: the worst first.

    text_id, image_id, cosine, expected (the neighbourhood's median), score (robust z of the pair, under
    `threshold`), other_id (the image of another pair that fits best), other_cosine, other_score (its robust z:
    over `threshold`, and over the pair's by more than twice the threshold's size), reason. Texts that fit no
    image are `suspected_poor_texts`. Raises ValueError unless the threshold is below 0.
    """
    if not threshold < 0:
        raise ValueError(f"threshold: expected a robust z below 0, found {threshold}")
    pairs = judge_pairs(vectors, items)
    fits = (pairs["other_score"] > threshold) & (pairs["other_score"] - pairs["score"] > -2 * threshold)
    return _listed(pairs[(pairs["score"] < threshold) & fits], WRONG)


def suspected_poor_texts(vectors: Vectors, items: pd.DataFrame, threshold: float = FAR) -> pd.DataFrame:
    """Texts that fit neither their own nor another image (cut short, full of tags, off topic): the worst first.

    The columns of `suspected_wrong_pairs`.
    """
    pairs = judge_pairs(vectors, items)
    return _listed(pairs[(pairs["score"] < threshold) & (pairs["other_score"] <= threshold)], POOR)


def judge_pairs(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """Every text with the nearest image of its pair, and what to expect of it: the columns above but the reason.

    Scores are NaN where there are fewer than 3 neighbours to judge by, or no other image.
    """
    known = items[is_among(items["item_id"], vectors.ids)]
    pairs = nearest_right(vectors, vectors, qrels_from_pairs(known, "text", "image"))
    pairs = pairs.rename(columns={"query_id": "text_id", "item_id": "image_id"})
    images, of_image = np.unique(pairs["image_id"].to_numpy(dtype=str), return_inverse=True)
    text_array, image_array = vectors.take(pairs["text_id"]).array, vectors.take(images).array
    group = pd.factorize(known.set_index("item_id")["pair_id"].loc[pairs["text_id"]])[0]
    image_group = np.zeros(len(images), dtype=int)
    image_group[of_image] = group
    of_images = pairs["cosine"].groupby(of_image).median().to_numpy()
    near = [
        _near(text_array, group, pairs["cosine"].to_numpy()),
        _near(image_array, image_group, of_images)[of_image],
    ]
    expected, spread = _expected(np.hstack(near), pairs["cosine"].to_numpy())
    other, other_cosine = _best_elsewhere(text_array, group, image_array, image_group)
    pairs = pairs.assign(expected=expected, score=(pairs["cosine"] - expected) / spread)
    pairs = pairs.assign(other_id=images[other], other_cosine=other_cosine)
    return pairs.assign(other_score=(other_cosine - expected) / spread)


def _near(array: np.ndarray, groups: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """The pair cosines of each row's nearest others, (N, NEIGHBOURS or fewer), NaN where there are no more."""
    rows, _ = nearest_others(np.arange(len(array)), array, groups, NEIGHBOURS)
    return np.where(rows < 0, np.nan, cosines[rows])


def _expected(near: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation of each neighbourhood; NaN where it is too small."""
    near = np.where((~np.isnan(near)).sum(axis=1, keepdims=True) < ENOUGH, np.nan, near)
    table = pd.DataFrame(near.T)  # pandas' median is NaN, without a warning, where all are
    middle = table.median().to_numpy()
    spread = (table - middle).abs().median().to_numpy()
    least = np.median(np.abs(cosines - np.median(cosines))) if len(cosines) else 0.0
    return middle, 1.4826 * np.maximum(spread, max(least, EQUAL))


def _best_elsewhere(
    texts: np.ndarray, groups: np.ndarray, images: np.ndarray, image_groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The row of the image of another pair that fits each text best, and its cosine (NaN: there is none)."""
    rows, cosines = np.zeros(len(texts), dtype=int), np.full(len(texts), np.nan)
    for part, scores in score_blocks(texts, images):
        scores[groups[part][:, None] == image_groups] = -np.inf
        rows[part] = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), rows[part]]
        cosines[part] = np.where(np.isinf(best), np.nan, best)
    return rows, cosines


def _listed(pairs: pd.DataFrame, reason: str) -> pd.DataFrame:
    pairs = pairs.sort_values("score", kind="stable", ignore_index=True)
    reasons = [reason.format(**row) for row in pairs.to_dict("records")]
    return pairs.assign(reason=pd.array(reasons, dtype="str"))
