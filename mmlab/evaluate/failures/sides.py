"""Which modality failed: whether the text or the image of a missed pair stands among strangers.

An item's neighbours are the n nearest others of its own modality (not itself). One is right if it has the same
`pair_id` or the same label. With r right ones among the neighbours, and a the number that there could be (all
right others, n at most), the item's side has failed if r < a / 2: most of what could be there is not.
Where a = 0, there is nothing to judge by.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.evaluate.space.neighbours import nearest_others, nearest_right
from mmlab.items import Vectors, check_columns, is_among

FAILED = {(True, True): "both", (True, False): "text", (False, True): "image", (False, False): "neither"}


def failed_sides(
    sides: Mapping[str, Vectors],
    items: pd.DataFrame,
    qrels: pd.DataFrame,
    misses: list[str],
    neighbours: int = 5,
) -> pd.DataFrame:
    """For each missed query which side failed: query_id, item_id, text_share, image_share, failed.

    `sides`: "text" and "image" -> their vectors, of one space or two (`vectors_by_modality`). item_id is the right
    answer nearest to the query (in two spaces: the first). The shares are r / a of the pair's text and image, NaN
    where nothing can be judged. failed: "text", "image", "both", "neither" (both stand among their like: the
    two modalities do not meet), or "unknown" (one cannot be judged and the other has not failed). Images can
    be judged by labels, or where several share a pair. Queries without a right answer that has a vector are
    left out. Raises ValueError for fewer than 1 neighbours.
    """
    check_columns(items, ("item_id", "modality", "pair_id", "label"), "items")
    if neighbours < 1:
        raise ValueError(f"neighbours: expected 1 or more, found {neighbours}")
    missed = qrels[is_among(qrels["query_id"], misses)]
    asked = "text" if is_among(missed["query_id"], sides["text"].ids).any() else "image"
    answered = "image" if asked == "text" else "text"
    pairs = nearest_right(sides[asked], sides[answered], missed).drop(columns="cosine")
    for side, column in ((asked, "query_id"), (answered, "item_id")):
        pairs[f"{side}_share"] = _right_shares(pairs[column].to_numpy(), sides[side], items, neighbours)
    pairs = pairs[["query_id", "item_id", "text_share", "image_share"]]
    return pairs.assign(failed=[_name(*row) for row in pairs[["text_share", "image_share"]].to_numpy()])


def _right_shares(ids: np.ndarray, vectors: Vectors, items: pd.DataFrame, neighbours: int) -> np.ndarray:
    """R / a of each of `ids` among the vectors of its modality, NaN where a = 0."""
    known = items.set_index("item_id").loc[vectors.ids]
    rows = pd.Index(vectors.ids).get_indexer(ids)
    pair, label = (pd.factorize(known[name])[0] for name in ("pair_id", "label"))
    nearest, _ = nearest_others(rows, vectors.array, np.arange(len(vectors)), neighbours)
    right = _same(pair, rows[:, None], nearest) | _same(label, rows[:, None], nearest)
    both = pd.factorize(pd.Series(pair * (label.max(initial=0) + 2) + label))[0]
    size_pair, size_label, size_both = (_sizes(code)[rows] for code in (pair, label, both))
    others = np.where(label[rows] < 0, size_pair, size_pair + size_label - size_both) - 1
    possible = np.minimum(others, neighbours)
    found = (right & (nearest >= 0)).sum(axis=1)
    return np.divide(found, possible, out=np.full(len(rows), np.nan), where=possible > 0)


def _same(codes: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (codes[one] == codes[other]) & (codes[one] >= 0)


def _sizes(codes: np.ndarray) -> np.ndarray:
    """How many rows share the code of each row; a missing code (-1) counts like one of its own."""
    return np.bincount(codes + 1)[codes + 1]


def _name(text_share: float, image_share: float) -> str:
    failed = (text_share < 0.5, image_share < 0.5)  # NaN is not less
    if np.isnan([text_share, image_share]).any() and not any(failed):
        return "unknown"
    return FAILED[failed]
