"""Cosines of right pairs against wrong ones: how well a space separates them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.geometry import modality_gap
from mmlab.evaluate.measures.qrels import qrels_from_pairs
from mmlab.items import MODALITIES, QREL_COLUMNS, Vectors, is_among
from mmlab.items.tables import TooFew, places_among
from mmlab.items.vector_files import blocks_of

GRID = 512  # places at which two densities are compared
MAX_DRAWS = 1000  # of a wrong item for one query
TEXTS_WITH_IMAGES, TEXTS_OF_A_PAIR, NOT_COMPARABLE = "texts with images", "texts of a pair", "not comparable"
COSINE_COLUMNS = ("query_id", "item_id", "positive", "negative")
SPACE_COLUMNS = ("space", "compared", "pairs", "matched mean", "mismatched mean", "AUC", "modality gap")


@dataclass(frozen=True)
class Separation:
    """How far apart the cosines of right and wrong pairs lie.

    Both means; `auc` in [0, 1] (0.5: not at all); `overlap` in [0, 1], the area that both densities share
    (0: apart, 1: alike); `ashman_d` >= 0: over 2, the two form two peaks of their own, else one.
    """

    positive_mean: float
    negative_mean: float
    auc: float
    overlap: float
    ashman_d: float


class MatchedCosines(NamedTuple):
    """What is compared in a space ("texts with images", ...), and the cosines as `pair_cosines` returns them."""

    compared: str
    cosines: pd.DataFrame


def pair_cosines(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the cosine of every right pair (`positive`) and of its query with a random wrong item (`negative`).

    Returns query_id, item_id, positive, negative: one row per row of `qrels`, none where queries and gallery lie in
    two spaces. The wrong item is drawn from the items that `qrels` names and is not right for the query. Raises
    TooFew where there is only one item to draw from, or nearly every item answers the query.
    """
    if queries.space != gallery.space:
        return pd.DataFrame(columns=list(COSINE_COLUMNS)).astype({"positive": float, "negative": float})
    names, items = np.unique(qrels["item_id"].to_numpy(dtype=str), return_inverse=True)
    if len(names) < 2:
        raise TooFew(f"wrong pairs need 2 items or more to be drawn from, found {len(names)}")
    asked, rows = np.unique(qrels["query_id"].to_numpy(dtype=str), return_inverse=True)
    right = set(zip(rows.tolist(), items.tolist(), strict=True))
    rng = np.random.default_rng(seed)
    wrong = [_draw_wrong(rng, len(names), query, right) for query in rows.tolist()]
    asking, found = places_among(asked, queries.ids)[rows], places_among(names, gallery.ids)
    positive, negative = (
        paired_cosines(queries.array, asking, gallery.array, found[chosen]) for chosen in (items, wrong)
    )
    return qrels[["query_id", "item_id"]].assign(positive=positive, negative=negative)


def paired_cosines(
    left: np.ndarray, left_rows: np.ndarray, right: np.ndarray, right_rows: np.ndarray
) -> np.ndarray:
    """Return the cosines (P,) of one row of `left` (N, D) with one of `right` (M, D) each, block by block.

    >>> paired_cosines(np.eye(2), np.array([0, 1]), np.eye(2), np.array([0, 0])).tolist()
    [1.0, 0.0]
    """
    cosines = np.empty(len(left_rows), dtype=left.dtype)
    for part in blocks_of(len(cosines)):
        cosines[part] = np.einsum("nd,nd->n", left[left_rows[part]], right[right_rows[part]])
    return cosines


def _draw_wrong(rng: np.random.Generator, gallery: int, query: int, right: set[tuple[int, int]]) -> int:
    for _ in range(MAX_DRAWS):
        drawn = int(rng.integers(gallery))
        if (query, drawn) not in right:
            return drawn
    raise TooFew(f"no wrong item was found in {MAX_DRAWS:,} draws: nearly every item answers this query")


def separation(positive: np.ndarray | pd.Series, negative: np.ndarray | pd.Series) -> Separation:
    """Return means, AUC, overlap and bimodality of the cosines of right (P,) and wrong (N,) pairs.

    AUC = U / (P N) with Mann and Whitney's U, ties counting one half: the chance that a random right pair has a
    higher cosine than a random wrong one. Overlap = area under the lower of both densities (Inman and Bradley 1989),
    each a sum of Gaussian kernels of Silverman's width (1986, 3.31): 50 draws of one distribution look .9 alike, and
    half alike in 50 bins. Ashman's D = sqrt(2) |difference of means| / sqrt(sum of variances) (Ashman, Bird and
    Zepf 1994); infinite for two different constants. Raises ValueError where one of them is empty.
    """
    positive, negative = (np.asarray(values, dtype=float) for values in (positive, negative))
    if not len(positive) or not len(negative):
        raise ValueError(f"expected right and wrong pairs, found {len(positive)} and {len(negative)}")
    ranks = pd.Series(np.concatenate([positive, negative])).rank().to_numpy()[: len(positive)]
    u = ranks.sum() - len(positive) * (len(positive) + 1) / 2
    return Separation(
        positive_mean=float(positive.mean()),
        negative_mean=float(negative.mean()),
        auc=float(u / (len(positive) * len(negative))),
        overlap=_overlap(positive, negative),
        ashman_d=_ashman_d(positive, negative),
    )


def _overlap(positive: np.ndarray, negative: np.ndarray) -> float:
    both = np.concatenate([positive, negative])
    margin = 4 * max(_kernel_width(positive), _kernel_width(negative))
    if np.ptp(both) == 0:
        return 1.0
    edges = np.linspace(both.min() - margin, both.max() + margin, GRID + 1)
    return float(np.minimum(*(_density(values, edges) for values in (positive, negative))).sum())


def _kernel_width(values: np.ndarray) -> float:
    spreads = [values.std(), np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34]
    return float(0.9 * min((one for one in spreads if one > 0), default=0.0) * len(values) ** -0.2)


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the share of a kernel estimate in each bin (GRID,), the values taken to lie in the middle of a bin."""
    shares = np.histogram(values, edges)[0] / len(values)
    width = _kernel_width(values) / (edges[1] - edges[0])
    if width < 0.1:
        return shares
    kernel = np.exp(-0.5 * (np.arange(-GRID, GRID + 1) / width) ** 2)
    return np.convolve(shares, kernel / kernel.sum())[GRID : 2 * GRID]


def _ashman_d(positive: np.ndarray, negative: np.ndarray) -> float:
    apart = abs(positive.mean() - negative.mean())
    width = np.sqrt(positive.var() + negative.var())
    if width == 0:
        return 0.0 if apart == 0 else float("inf")
    return float(np.sqrt(2) * apart / width)


def matched_cosines(vectors: Vectors, items: pd.DataFrame, seed: int = 0) -> MatchedCosines:
    """Return what can be compared in a space, and the cosines of its matched and mismatched pairs.

    Where it holds both modalities, each text is compared with its own image and with one drawn from the others. Where
    it holds texts alone, each further text of a pair is compared with the first one of its own and of another pair.
    The former ask (`Vectors.asking`).
    Where there are not two pairs of either kind it is "not comparable", without rows.
    """
    held = items[is_among(items["item_id"], vectors.ids)]
    for compared, qrels in (
        (TEXTS_WITH_IMAGES, qrels_from_pairs(held, "text", "image")),
        (TEXTS_OF_A_PAIR, _between_texts(held)),
    ):
        if qrels["item_id"].nunique() > 1:
            return MatchedCosines(compared, pair_cosines(vectors.asking(), vectors, qrels, seed))
    return MatchedCosines(NOT_COMPARABLE, pd.DataFrame(columns=list(COSINE_COLUMNS)))


def compare_spaces(vectors: Sequence[Vectors], items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Compare spaces by their matched pairs: a row per space, with the columns of SPACE_COLUMNS.

    `vectors`: those of a run, one per space. The means are cosines, the AUC lies in [0, 1], the modality gap in
    [0, 2]. All are NaN where there is nothing to compare.
    """
    rows = []
    for one in vectors:
        compared, cosines = matched_cosines(one, items, seed)
        figures = (np.nan, np.nan, np.nan)
        if len(cosines):
            apart = separation(cosines["positive"], cosines["negative"])
            figures = (apart.positive_mean, apart.negative_mean, apart.auc)
        rows.append((one.space.key, compared, len(cosines), *figures, _gap(one, items)))
    return pd.DataFrame(rows, columns=list(SPACE_COLUMNS))


def _between_texts(items: pd.DataFrame) -> pd.DataFrame:
    texts = items.loc[items["modality"] == "text", ["item_id", "pair_id"]]
    further = texts["pair_id"].duplicated()
    both = texts[further].rename(columns={"item_id": "query_id"}).merge(texts[~further], on="pair_id")
    return both.assign(relevance=1)[list(QREL_COLUMNS)]


def _gap(vectors: Vectors, items: pd.DataFrame) -> float:
    modality = items.set_index("item_id")["modality"].loc[vectors.ids].to_numpy()
    text, image = (vectors.take(vectors.ids[modality == one]) for one in MODALITIES)
    return modality_gap(text, image) if len(text) and len(image) else float("nan")


def nearest_right(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the right answer nearest to each query, where both have a vector: query_id, item_id, cosine.

    Between two spaces there is no cosine: it is NaN, and the first right answer is taken.
    """
    known = is_among(qrels["query_id"], queries.ids) & is_among(qrels["item_id"], gallery.ids)
    right = qrels.loc[known & (qrels["relevance"] > 0), ["query_id", "item_id"]].reset_index(drop=True)
    if queries.space != gallery.space:
        return right.drop_duplicates("query_id", ignore_index=True).assign(cosine=np.nan)
    asked = places_among(right["query_id"], queries.ids)
    answers = places_among(right["item_id"], gallery.ids)
    right["cosine"] = paired_cosines(queries.array, asked, gallery.array, answers)
    best = right.groupby("query_id", sort=False)["cosine"].idxmax()
    return right.loc[best].reset_index(drop=True)
