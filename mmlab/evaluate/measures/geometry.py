"""The vectors of texts and of images, and the shape of their space: gap, narrowness, dimensions in use, hubs.

N, Q rows, D dimensions; all rows are unit rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, RANKING_COLUMNS, Vectors, check_columns, exact_search, is_among
from mmlab.items.rankings import find_best, ranks
from mmlab.items.vector_files import blocks_of
from mmlab.items.vectors import main_vectors, score_blocks

MOST_COUNTED = 20_000  # texts, or images, in whose space hubs are counted; of more, so many are drawn
HUB_RESAMPLES = 1000


def vectors_by_modality(vectors: Sequence[Vectors], items: pd.DataFrame) -> dict[str, Vectors]:
    """Return the vectors of the texts and those of the images, "text" and "image", in the order of `items`.

    `vectors`: those of a run, one per space. Each modality is taken from the main space (`main_vectors`), or where
    that holds none of it, as with a text encoder beside an image encoder, from the first space that does. A modality
    that no item is of has no rows. Raises ValueError where no space holds one of the two though there are such items.

    >>> from mmlab.items import Space
    >>> items = pd.DataFrame({"item_id": ["i", "t"], "modality": ["image", "text"]})
    >>> vectors = Vectors(["t", "i"], np.eye(2), Space("clip", "1", "", "", "", 2))
    >>> vectors_by_modality([vectors], items)["image"].ids.tolist()
    ['i']
    """
    main = main_vectors(vectors, items)
    found = {}
    for modality in MODALITIES:
        ids = items.loc[items["modality"] == modality, "item_id"]
        holding = [one for one in (main, *vectors) if is_among(ids, one.ids).any()]
        if not holding and len(ids):
            spaces = [one.space.key for one in vectors]
            raise ValueError(f"no vectors of modality {modality!r} in {spaces}; run 02_embed")
        own = holding[0] if holding else main
        found[modality] = own.take(ids[is_among(ids, own.ids)])
    return found


def share_space(by_modality: Mapping[str, Vectors]) -> bool:
    """Return whether texts and images lie in one space, so that a text and an image have a cosine."""
    return by_modality["text"].space == by_modality["image"].space


def joint_vectors(main: Vectors, by_modality: Mapping[str, Vectors]) -> Vectors:
    """Return texts, as they ask, and images in one, without any rows where they lie in two spaces.

    `main`: the vectors that hold both, of which nothing is copied unless texts ask by other rows than they are found.
    """
    return main.asking() if share_space(by_modality) else main.take(main.ids[:0])


def modality_gap(texts: Vectors, images: Vectors) -> float:
    """Return the Euclidean distance, in [0, 2], between the mean of the text rows and the mean of the image rows.

    Source: Liang et al., Mind the Gap (NeurIPS 2022). Raises SpaceMismatch for vectors of two spaces and ValueError
    where one of the two is empty.

    >>> from mmlab.items import Space
    >>> space = Space("clip", "1", "", "", "", 2)
    >>> modality_gap(Vectors(["t"], [[1, 0]], space), Vectors(["i"], [[-1, 0]], space))
    2.0
    """
    texts.space.check_same(images.space)
    return float(np.linalg.norm(mean_row(texts) - mean_row(images)))


def mean_row(vectors: Vectors) -> np.ndarray:
    """Return the mean of the rows, float64 (D,); raise ValueError where there are none."""
    if not len(vectors):
        raise ValueError("no vectors to take the mean of; both modalities are needed")
    return vectors.array.mean(axis=0, dtype=np.float64)


def anisotropy(array: np.ndarray) -> float:
    """Return the mean cosine of two different rows of (N, D), -1 to 1: near 0 where all directions are used.

    All pairs count, none is drawn: (|sum of rows|² - N) / (N (N - 1)). NaN for fewer than two rows. Source:
    Ethayarajh, How Contextual are Contextualized Word Representations? (EMNLP 2019).
    """
    count = len(array)
    if count < 2:
        return float("nan")
    total = array.sum(axis=0, dtype=float)
    return float((total @ total - count) / (count * (count - 1)))


def effective_dimension(array: np.ndarray) -> float:
    """Return the participation ratio of (N, D): 1 if all variance lies in one direction, D if it is equal in all.

    (sum of l)² / sum of l² over the eigenvalues l of the covariance that the rows are drawn from. The ratio of the rows
    themselves is at most N - 1 and grows with N; both sums are estimated without that bias, as of normal rows. NaN for
    fewer than three rows and where all are the same. Source: Bai and Saranadasa, Effect of High Dimension (Statistica
    Sinica 6, 1996), for the sum of squares.
    """
    count = len(array)
    if count < 3:
        return float("nan")
    gram = _gram(array)
    trace, squares = np.trace(gram) / (count - 1), (gram**2).sum() / (count - 1) ** 2
    if trace <= 0:
        return float("nan")
    spread = (count - 1) ** 2 / ((count - 2) * (count + 1)) * (squares - trace**2 / (count - 1))
    if spread <= 0:  # by chance, where all directions are in nearly equal use
        return float(array.shape[1])
    return float(np.clip((trace**2 - 2 * spread / (count - 1)) / spread, 1, array.shape[1]))


def _gram(array: np.ndarray) -> np.ndarray:
    """Return the products of the centred rows (N, D), float64: (N, N) of few rows, else those of the columns (D, D)."""
    mean = array.mean(axis=0, dtype=float)
    if len(array) < array.shape[1]:
        return (array - mean) @ (array - mean).T
    gram = np.zeros((array.shape[1],) * 2)
    for part in blocks_of(len(array)):  # of a million rows there are never all in float64
        centred = array[part] - mean
        gram += centred.T @ centred
    return gram


def hub_row(queries: Vectors, gallery: Vectors, modality: str, k: int) -> tuple[str, str, float, str, int]:
    """Return the row of `describe_space` on the hubs of a modality, which is the gallery."""
    meaning, share = "over 1: a few come up for everything", MOST_COUNTED / max(len(queries), len(gallery))
    if share >= 1:
        return "hubness", modality, hubness(queries, gallery, k), meaning, len(gallery)
    rng = np.random.default_rng(0)
    asking, found = (
        one.take(rng.permutation(one.ids)[: int(len(one) * share)]) for one in (queries, gallery)
    )
    counts = count_occurrences(exact_search(asking, found, k), found.ids, k).to_numpy()
    resampled = [skewness(rng.choice(counts, len(counts))) for _ in range(HUB_RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    meaning += f"; by {len(asking):,} queries and {len(found):,} items drawn, 95% {low:.2f} to {high:.2f}"
    return "hubness", modality, skewness(counts), meaning, len(found)


def hubness(queries: Vectors, gallery: Vectors, k: int = 10) -> float:
    """Return the skewness of how often each item of the gallery is among the `k` nearest of the queries.

    About 0 where all items come up alike, over 1 where a few hubs come up again and again.
    """
    return skewness(count_occurrences(exact_search(queries, gallery, k), gallery.ids, k))


def count_occurrences(rankings: pd.DataFrame, item_ids: Sequence[str] | np.ndarray, k: int = 10) -> pd.Series:
    """Count for each item of the gallery how many queries have it among their first k: a count per item of `item_ids`.

    An item that is never found counts 0. Raises ValueError for a ranked item that is not in the gallery.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    counts = rankings.loc[rankings["rank"] <= k, "item_id"].value_counts()
    strangers = counts.index.difference(item_ids)
    if len(strangers):
        raise ValueError(f"{len(strangers)} ranked items are not in the gallery, first {strangers[0]}")
    return counts.reindex(pd.Index(item_ids, name="item_id"), fill_value=0)


def skewness(counts: Sequence[float] | pd.Series) -> float:
    """Return the mean of ((count - mean) / standard deviation)^3: 0 without hubs, the higher the more.

    It is 0 where all counts are equal. Source: Radovanović, Nanopoulos, Ivanović, Hubs in Space (JMLR 2010). Raises
    ValueError without counts.
    """
    values = np.asarray(counts, dtype=np.float64)
    if not len(values):
        raise ValueError("no counts: the gallery is empty")
    distance = values - values.mean()
    deviation = np.sqrt(np.mean(distance**2))
    return float(np.mean((distance / deviation) ** 3)) if deviation > 0 else 0.0


def describe_space(by_modality: Mapping[str, Vectors], k: int = 10) -> pd.DataFrame:
    """Return anisotropy, effective dimension, modality gap and hubness: measure, of, value, meaning, items (how many).

    `by_modality`: "text" and "image" -> their vectors (`vectors_by_modality`); one without rows is left out. Hubness of
    texts is counted with images as queries, that of images with texts. It and the gap are left out where there are not
    both in one space, and what takes two different rows where there are none. The values describe the vectors at hand
    and estimate nothing, so they carry no interval; but for hubness of more than 20,000 texts or images: of these so
    many are drawn, and the same share of the others, and the meaning names the interval.
    """
    text, image = (by_modality[modality] for modality in MODALITIES)
    rows = []
    for modality in (modality for modality in MODALITIES if len(by_modality[modality])):
        array = by_modality[modality].array
        rows.append(("anisotropy", modality, anisotropy(array), "0: all directions used, 1: one", len(array)))
        meaning = f"1: one direction, {array.shape[1]}: all alike"
        rows.append(("effective dimension", modality, effective_dimension(array), meaning, len(array)))
    if share_space(by_modality) and len(text) and len(image):
        gap, both = modality_gap(text, image), len(text) + len(image)
        rows.append(("modality gap", "text and image", gap, "0: none, 2: opposite", both))
        rows += [hub_row(image, text, "text", k), hub_row(text.asking(), image, "image", k)]
    return pd.DataFrame(rows, columns=["measure", "of", "value", "meaning", "items"]).dropna(subset="value")


def nearest_others(
    rows: np.ndarray, array: np.ndarray, groups: np.ndarray, count: int, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of `rows` (Q,) the `count` nearest other rows of `array` (N, D), and their cosines.

    `groups`: a number from 0 per row of `array` (N,); rows of the same group are left out. `among`: the rows that are
    looked at, all unless given. Both results are (Q, min(count, N)), nearest first; where there are fewer others, row
    -1 and cosine -inf fill the end.
    """
    among = np.arange(len(array)) if among is None else among
    count, own = min(count, len(array)), RowsByGroup(groups[among], groups.max(initial=0) + 1)
    nearest = np.full((len(rows), count), -1)
    cosines = np.full((len(rows), count), -np.inf, dtype=np.float32)
    for part, scores in score_blocks(array[rows], array[among]):
        leave_out(scores, groups[rows[part]], own)
        row, column = find_best(scores, count)
        order = np.lexsort((-scores[row, column], row))
        row, column = row[order], column[order]
        place = ranks(row) - 1
        row, column, place = (one[place < count] for one in (row, column, place))
        nearest[part][row, place], cosines[part][row, place] = among[column], scores[row, column]
    return nearest, cosines


class RowsByGroup:
    """The rows of each of `count` groups, cut out when they are asked for; `groups`: the number of each row's, from 0.

    >>> RowsByGroup(np.array([1, 0, 1]), 2)[1].tolist()
    [0, 2]
    """

    def __init__(self, groups: np.ndarray, count: int) -> None:
        self._order = np.argsort(groups, kind="stable")
        self._ends = np.cumsum(np.bincount(groups, minlength=count))

    def __getitem__(self, group: int) -> np.ndarray:
        """Return the rows of a group."""
        return self._order[self._ends[group - 1] if group else 0 : self._ends[group]]


def leave_out(scores: np.ndarray, groups: np.ndarray, columns: RowsByGroup) -> None:
    """Set the scores (Q, N) of each row with the columns of its own group, one of `groups` (Q,), to -inf."""
    for row, group in zip(scores, groups, strict=True):
        row[columns[group]] = -np.inf
