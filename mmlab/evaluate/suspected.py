"""Data that may be wrong, for review: wrong pairs, and misses that may be none.

A pair's cosine is compared with those of its neighbourhood: the pairs of the 10 texts nearest to its text, and of the
10 images nearest to its image (an image's cosine is the median of its texts'). Of more than 20,000 texts, or images, so
many are drawn, and neighbours are looked for among these; the 20,000 texts that fit worst are listed.
How far a cosine lies from their median is measured in their robust standard deviation, 1.4826 times the median absolute
deviation, that of all pairs at least: the robust z of Iglewicz and Hoaglin (1993), who call a value beyond 3.5 an
outlier.

The demo catalogue's faults are known: the folder of its images holds `faults.csv` (each fault) and `truth.csv` (what
each image shows), and the lists are compared with them. A dataset of one's own has neither.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.geometry import RowsByGroup, leave_out, nearest_others
from mmlab.evaluate.measures.pair_separation import nearest_right, paired_cosines
from mmlab.evaluate.measures.qrels import qrels_from_pairs, right_ranks
from mmlab.items import Vectors, check_columns, is_among
from mmlab.items.rankings import SCORE_TOLERANCE
from mmlab.items.tables import places_among
from mmlab.items.vectors import score_blocks

MAX_NEIGHBOURS = 10  # of a text and of an image
MAX_COMPARED = 20_000  # texts, and images, among which neighbours are looked for
MAX_LISTED = 20_000  # texts, for which another image is looked for
MIN_NEIGHBOURS = 3  # with fewer a pair has no score
MAX_OUTLIER_Z = -3.5
LEAST_LISTED = 20  # pairs, by which the share of wrong ones is estimated
LEAST_SHARE = 0.02  # of the surely wrong pairs, likewise
DRAWN_IMAGES = 5  # for each text, to see how wrong pairs score
MISFIT_LEFT = 4  # the score of a wrong pair over that of the image that fits better
SD_PER_DEVIATION = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
OTHER_FITS = "another one with {other_cosine:.2f}"
NO_OTHER_FITS = "no other over {other_cosine:.2f}"
PAIR_REASON = "fits its image with {cosine:.2f} where neighbours have {expected:.2f}, "
MIN_CAPTION_COSINE = 0.95
MAX_RANK = 10


def suspected_wrong_pairs(
    vectors: Vectors, items: pd.DataFrame, threshold: float = MAX_OUTLIER_Z
) -> pd.DataFrame:
    """Return texts that have a score, the 20,000 that fit their own image worst for their neighbourhood, these first.

    `vectors`: of texts and images, in one space. Returns text_id, image_id, cosine, expected (the neighbourhood's
    median), score (robust z of the pair), other_id (the image of another pair that fits best), other_cosine,
    other_score (its robust z), suspected, false_alarms, reason. suspected marks a score under `threshold` of which
    another image leaves less than a quarter; a text that no image fits is short or off topic rather than in the wrong
    place. false_alarms estimates which share of the list down to this row is there by chance, see
    `expected_false_alarms`; read on as far as it is worth the time. Raises ValueError unless the threshold is below 0.

    >>> from mmlab.items import Space
    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "a"})
    >>> vectors = Vectors(["t", "i"], np.eye(2), Space("clip", "1", "", "", "", 2))
    >>> len(suspected_wrong_pairs(vectors, items))  # one pair has no neighbours to compare with
    0
    """
    if not threshold < 0:
        raise ValueError(f"threshold: expected a robust z below 0, found {threshold}")
    pairs = score_pairs(vectors, items).dropna(subset=["score", "other_score"])
    pairs = pairs.sort_values("score", kind="stable", ignore_index=True)
    fits = pairs["other_score"] > pairs["score"] / MISFIT_LEFT
    pairs["suspected"] = (pairs["score"] < threshold) & fits
    wrong_scores = _scores_of_wrong_pairs(vectors, items, pairs) if len(pairs) else np.empty(0)
    pairs["false_alarms"] = expected_false_alarms(pairs["score"].to_numpy(dtype=float), wrong_scores)
    reasons = [
        (PAIR_REASON + (OTHER_FITS if other else NO_OTHER_FITS)).format_map(row)
        for other, row in zip(fits, pairs.to_dict("records"), strict=True)
    ]
    return pairs.assign(reason=pd.array(reasons, dtype="str"))


def expected_false_alarms(scores: np.ndarray, wrong_scores: np.ndarray) -> np.ndarray:
    """Estimate the share of right pairs among the first n of rising `scores` (N,), for every n: (N,), in [0, 1].

    `wrong_scores` (W,) are those of pairs that are surely wrong. A wrong pair scores as these do: of w N wrong ones,
    w N F(s) are expected at a score of s or less, F being the share of `wrong_scores` there. w is the largest share
    that leaves no negative number of right pairs in any list of 20 or more. It is too low where wrong pairs still fit
    better than by chance: rather too many false alarms are expected than too few. NaN for shorter lists.

    >>> expected_false_alarms(np.arange(-20.0, 20.0), np.arange(-20.0, 0.0))[[9, 19, 39]].round(2).tolist()
    [nan, 0.0, 0.5]
    """
    place = np.arange(1, len(scores) + 1)
    share = np.searchsorted(np.sort(wrong_scores), scores, side="right") / max(len(wrong_scores), 1)
    usable = (place >= LEAST_LISTED) & (share >= LEAST_SHARE)
    if not usable.any():
        return np.ones(len(scores))
    wrong = (place[usable] / share[usable]).min() * share
    bounded = np.minimum.accumulate((1 - np.minimum(wrong / place, 1))[::-1])[::-1]
    return np.where(place < LEAST_LISTED, np.nan, bounded)


def _scores_of_wrong_pairs(
    vectors: Vectors, items: pd.DataFrame, pairs: pd.DataFrame, seed: int = 0
) -> np.ndarray:
    """Return the robust z that the texts of `pairs` have with images of other pairs, drawn by `seed`."""
    images = items[(items["modality"] == "image") & is_among(items["item_id"], vectors.ids)]
    own = items.set_index("item_id")["pair_id"].loc[pairs["text_id"]].to_numpy()
    drawn = np.random.default_rng(seed).integers(len(images), size=(DRAWN_IMAGES, len(pairs)))
    texts, array = vectors.take(pairs["text_id"]).array, vectors.take(images["item_id"]).array
    spread = (pairs["cosine"] - pairs["expected"]) / pairs["score"]
    scores = [(np.einsum("nd,nd->n", texts, array[row]) - pairs["expected"]) / spread for row in drawn]
    return np.concatenate(scores)[(images["pair_id"].to_numpy()[drawn] != own).ravel()]


def score_pairs(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """Return texts with the nearest image of their pair: the columns of `suspected_wrong_pairs` up to other_score.

    Scores are NaN where there are fewer than 3 neighbours to compare with, or no other image.
    """
    known = items[is_among(items["item_id"], vectors.ids)]
    pairs = nearest_right(vectors, vectors, qrels_from_pairs(known, "text", "image"))
    pairs = pairs.rename(columns={"query_id": "text_id", "item_id": "image_id"})
    images, of_image = np.unique(pairs["image_id"].to_numpy(dtype=str), return_inverse=True)
    text_array, image_array = vectors.take(pairs["text_id"]).array, vectors.take(images).array
    group = pd.factorize(known.set_index("item_id")["pair_id"].loc[pairs["text_id"]])[0]
    image_group = np.zeros(len(images), dtype=int)
    image_group[of_image] = group
    cosine = pairs["cosine"].to_numpy()
    of_images = pairs["cosine"].groupby(of_image).median().to_numpy()
    near_texts = _neighbour_cosines(text_array, group, cosine)
    near_images = _neighbour_cosines(image_array, image_group, of_images)[of_image]
    expected, spread = _expected(np.hstack([near_texts, near_images]), cosine)
    pairs = pairs.assign(expected=expected, score=(pairs["cosine"] - expected) / spread)
    worst = np.sort(np.argsort(pairs["score"].to_numpy(), kind="stable")[:MAX_LISTED])
    other, other_cosine = _best_elsewhere(text_array[worst], group[worst], image_array, image_group)
    pairs = pairs.iloc[worst].assign(other_id=images[other], other_cosine=other_cosine)
    other_score = (other_cosine - expected[worst]) / spread[worst]
    return pairs.assign(other_score=other_score).reset_index(drop=True)


def _neighbour_cosines(array: np.ndarray, groups: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Return the pair cosines of each row's nearest others, (N, 10 or fewer), NaN where there are no more."""
    every = np.arange(len(array))
    among = np.sort(np.random.default_rng(0).permutation(every)[:MAX_COMPARED])
    rows, _ = nearest_others(every, array, groups, MAX_NEIGHBOURS, among)
    return np.where(rows < 0, np.nan, cosines[rows])


def _expected(near: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return median and robust standard deviation of each neighbourhood, NaN where it is too small."""
    near = np.where((~np.isnan(near)).sum(axis=1, keepdims=True) < MIN_NEIGHBOURS, np.nan, near)
    table = pd.DataFrame(near.T)  # pandas' median is NaN, without a warning, where all are
    middle = table.median().to_numpy()
    spread = (table - middle).abs().median().to_numpy()
    least = np.median(np.abs(cosines - np.median(cosines))) if len(cosines) else 0.0
    return middle, SD_PER_DEVIATION * np.maximum(spread, max(least, SCORE_TOLERANCE))


def _best_elsewhere(
    texts: np.ndarray, groups: np.ndarray, images: np.ndarray, image_groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of the image of another pair that fits each text best, and its cosine (NaN: there is none)."""
    rows, cosines = np.zeros(len(texts), dtype=int), np.full(len(texts), np.nan)
    own = RowsByGroup(image_groups, groups.max(initial=0) + 1)
    for part, scores in score_blocks(texts, images):
        leave_out(scores, groups[part], own)
        rows[part] = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), rows[part]]
        cosines[part] = np.where(np.isinf(best), np.nan, best)
    return rows, cosines


def suspected_false_negatives(
    vectors: Vectors,
    items: pd.DataFrame,
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    threshold: float = MIN_CAPTION_COSINE,
    max_rank: int = MAX_RANK,
) -> pd.DataFrame:
    """Return items ranked above the first right answer that may be right too, those with the closest captions first.

    `vectors`: of the texts; others are not needed. Hits down to `max_rank` are compared. score is the highest cosine
    of a text of the query (itself, or those of its pair if it is an image) and a text of the item (likewise), and is
    at least `threshold`. Returns query_id, item_id, rank, score, query_text, item_text, reason. Items that `qrels`
    calls right, and items without a text, are left out. Raises ValueError for missing columns.

    >>> from mmlab.items import Space
    >>> items = pd.DataFrame({"item_id": ["t1", "t2", "i1", "i2"], "modality": ["text", "text", "image", "image"],
    ...                       "pair_id": ["a", "b"] * 2, "text": ["a mug", "one mug", None, None]})
    >>> texts = Vectors(["t1", "t2"], [[1, 0], [1, 0]], Space("clip", "1", "", "", "", 2))
    >>> hits = pd.DataFrame({"query_id": "t1", "item_id": ["i2", "i1"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> suspected_false_negatives(texts, items, hits, qrels_from_pairs(items, "text", "image"))["item_id"].tolist()
    ['i2']
    """
    check_columns(items, ("item_id", "modality", "pair_id", "text"), "items")
    above = _above_right(rankings, qrels, max_rank)
    texts = _texts_of(items[(items["modality"] == "image") | is_among(items["item_id"], vectors.ids)])
    of_queries, of_items = texts.add_prefix("query_"), texts.add_prefix("item_")
    both = above.merge(of_queries, on="query_id").merge(of_items, on="item_id")
    both["score"] = _cosines(vectors, both["query_text_id"], both["item_text_id"])
    best = both.loc[both.groupby(["query_id", "item_id"], sort=False)["score"].idxmax()]
    best = best[best["score"] >= threshold].sort_values("score", ascending=False, kind="stable")
    reasons = [f"at rank {rank}, above the right answer; cosine of the captions {score:.2f}"
               for rank, score in zip(best["rank"], best["score"], strict=True)]  # fmt: skip
    best = best[["query_id", "item_id", "rank", "score", "query_text", "item_text"]]
    return best.assign(reason=pd.array(reasons, dtype="str")).reset_index(drop=True)


def above_threshold(suspects: pd.DataFrame, threshold: float = MIN_CAPTION_COSINE) -> pd.DataFrame:
    """Return the rows of a list of `suspected_false_negatives`, made with a lower threshold, that reach this one."""
    return suspects[suspects["score"] >= threshold].reset_index(drop=True)


def _above_right(rankings: pd.DataFrame, qrels: pd.DataFrame, max_rank: int) -> pd.DataFrame:
    """Return query_id, item_id and rank of the hits of judged queries above their first right answer."""
    rankings = rankings[rankings["rank"] <= max_rank]
    ranks = right_ranks(rankings, qrels, ties="as ranked")
    best = ranks.groupby("query_id")["rank"].min().fillna(np.inf)
    # NaN, and so no hit is above, where the query is not judged
    chosen = rankings["rank"] < rankings["query_id"].map(best).astype(float)
    return rankings.loc[chosen, ["query_id", "item_id", "rank"]]


def _texts_of(items: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of each item, a text's own and for an image those of its pair: id, text_id, text."""
    texts = items.loc[items["modality"] == "text", ["item_id", "pair_id", "text"]]
    images = items.loc[items["modality"] == "image", ["item_id", "pair_id"]]
    own = texts.assign(id=texts["item_id"])
    of_pairs = images.rename(columns={"item_id": "id"}).merge(texts, on="pair_id")
    both = pd.concat([own, of_pairs], ignore_index=True)
    return both.rename(columns={"item_id": "text_id"})[["id", "text_id", "text"]]


def _cosines(vectors: Vectors, first: pd.Series, second: pd.Series) -> np.ndarray:
    left, right = (places_among(ids, vectors.ids) for ids in (first, second))
    return paired_cosines(vectors.array, left, vectors.array, right)


FAULTS_FILE, TRUTH_FILE = "faults.csv", "truth.csv"
SWAPPED = "swapped captions"
PRODUCT_COLUMNS = ("category", "colour", "pattern", "background", "companion")  # what a caption may name
COLUMNS = ["list", "listed", "right", "known", "precision", "recall"]


@dataclass(frozen=True)
class KnownFaults:
    """The item_ids of the texts that belong to another image, and for each pair_id the number of its product."""

    wrong_texts: frozenset[str]
    product: pd.Series


def read_known_faults(items: pd.DataFrame) -> KnownFaults | None:
    """Read the faults beside the images of `items`; return None where their folder has none that can be read."""
    folder = _folder(items)
    if folder is None or not ((folder / FAULTS_FILE).is_file() and (folder / TRUTH_FILE).is_file()):
        return None
    try:
        faults = pd.read_csv(folder / FAULTS_FILE, usecols=["fault", "image"])
        shown = pd.read_csv(folder / TRUTH_FILE, keep_default_na=False, usecols=["image", *PRODUCT_COLUMNS])
    except ValueError:  # files of these names from elsewhere
        return None
    swapped = set(faults.loc[faults["fault"] == SWAPPED, "image"])
    texts = items[(items["modality"] == "text") & is_among(items["pair_id"], swapped)]
    product = shown.groupby(list(PRODUCT_COLUMNS), sort=False).ngroup().set_axis(shown["image"])
    return KnownFaults(frozenset(texts["item_id"]), product)


def score_suspects(wrong: pd.DataFrame, above: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Compare both lists with the known faults: list, listed, right, known, precision, recall.

    `wrong`: `suspected_wrong_pairs`. `above`: `suspected_false_negatives` with a threshold of -1, so all hits above the
    right answer, of which those with close captions count as listed. `items`: those evaluated. No rows where no fault
    is known.
    """
    faults = read_known_faults(items)
    if faults is None:
        return pd.DataFrame(columns=COLUMNS)
    closer = above_threshold(above)
    rows = [score_wrong_pairs(wrong, faults), score_false_negatives(closer, above, items, faults)]
    return pd.concat(rows, ignore_index=True)


def score_wrong_pairs(suspects: pd.DataFrame, faults: KnownFaults) -> pd.DataFrame:
    """Return one row for what `suspected_wrong_pairs` marks: list, listed, right, known, precision, recall.

    NaN where there is none.
    """
    listed = suspects.loc[suspects["suspected"], "text_id"]
    right = int(is_among(listed, faults.wrong_texts).sum())
    return _row("wrong pairs", len(listed), right, len(faults.wrong_texts))


def score_false_negatives(
    suspects: pd.DataFrame, possible: pd.DataFrame, items: pd.DataFrame, faults: KnownFaults
) -> pd.DataFrame:
    """Return one row for `suspected_false_negatives`: right are those whose image shows the same product.

    `possible`: the list for a threshold of -1, all hits above the right answer.
    """
    right, known = (int(_same_product(table, items, faults).sum()) for table in (suspects, possible))
    return _row("false negatives", len(suspects), right, known)


def _row(name: str, listed: int, right: int, known: int) -> pd.DataFrame:
    precision = right / listed if listed else np.nan
    recall = right / known if known else np.nan
    return pd.DataFrame([(name, listed, right, known, precision, recall)], columns=COLUMNS)


def _same_product(table: pd.DataFrame, items: pd.DataFrame, faults: KnownFaults) -> np.ndarray:
    pair = items.set_index("item_id")["pair_id"]
    first, second = (faults.product.reindex(pair.reindex(table[name])) for name in ("query_id", "item_id"))
    return first.to_numpy() == second.to_numpy()  # NaN, an unknown image, equals nothing


def _folder(items: pd.DataFrame) -> Path | None:
    """Return the folder of the dataset, the path of an image without its pair_id; None where they do not fit."""
    images = items[items["modality"] == "image"]
    if images.empty:
        return None
    path, name = str(images["image"].iloc[0]), str(images["pair_id"].iloc[0])
    return Path(path.removesuffix(name)) if path.endswith(name) and path != name else None
