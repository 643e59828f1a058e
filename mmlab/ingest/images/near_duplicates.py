"""Near duplicates: images that look like an earlier one, whatever was done to size, quality or brightness.

Candidates agree in one of four 16-bit bands of the perceptual hash up to few bits (multi-index hashing: Norouzi,
Punjani, Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012), so most pairs are never compared.
The hash is blind to colour: the signature decides.
"""

import base64
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

BANDS, WIDTH = 4, 16  # of the 64 bits
MAX_BITS = 16  # more are no resemblance, and need too many probes
SAME_COLOURS = (
    22  # of 255: no colour of any cell differs by more; tuned on drawn products that differ in colour only
)
GAIN = 1.3  # brightness may differ by this factor
WINDOW = 64  # in a band's bucket of more, each is compared with so many beside it in the order of the hashes
PAIRS = 1 << 18  # compared at a time
ROUNDS = 1000  # firsts of one cluster; what is like none of them stands alone


def near_duplicates(looks: pd.DataFrame, bits: int) -> pd.Series:
    """The name of the first image, in order, of each image's group: itself where it is alone or the first.

    looks: `phash` and `signature` of images.Look by name, none missing; images of the same bytes may be left
    out or in, then they join. An image joins the earliest first one that it is near to itself: at most `bits`
    (0 to 16) of the hash differ, and no colour by more than `SAME_COLOURS` once brightness is evened out. So a
    chain of small changes does not make one group of what differs.

    About n x 200 pairs are compared at 8 bits and 200,000 images. Where many share a band of the hash the number
    stays below n x 2 x WINDOW for each probe, at the price that some of theirs may be missed.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"near duplicates differ in 0 to {MAX_BITS} of 64 bits, found {bits}")
    hashes = np.array([int(digits, 16) for digits in looks["phash"]], dtype=np.uint64)
    colours = _colours(looks["signature"])
    firsts = _firsts(_clusters(hashes, colours, bits), hashes, colours, bits)
    return pd.Series(looks.index[firsts], looks.index, dtype="str")


def _colours(signatures: pd.Series) -> np.ndarray:
    """(n, values) uint8."""
    if signatures.empty:
        return np.zeros((0, 3), np.uint8)
    raw = b"".join(map(base64.b64decode, signatures))
    return np.frombuffer(raw, np.uint8).reshape(len(signatures), -1)


def _are_near(a: np.ndarray, b: np.ndarray, hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """Whether each of the rows `a` is near its row of `b`, as booleans."""
    near = np.bitwise_count(hashes[a] ^ hashes[b]) <= bits
    rows = np.flatnonzero(near)
    ours, theirs = colours[a[rows]].astype(np.float32), colours[b[rows]].astype(np.float32)
    norms = np.sqrt([(ours**2).sum(axis=1), (theirs**2).sum(axis=1)])
    gain = np.clip((norms[0] + 1) / (norms[1] + 1), 1 / GAIN, GAIN)  # the same seen from both sides
    root = np.sqrt(gain)[:, None]
    near[rows] = np.abs(ours / root - theirs * root).max(axis=1) <= SAME_COLOURS
    return near


def _clusters(hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """A label per image; near ones have the same, and so have those that a chain of near ones joins."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels = np.arange(len(hashes))
    for a, b in _candidates(hashes, colours, bits):
        apart = labels[a] != labels[b]
        a, b = a[apart], b[apart]
        near = _are_near(a, b, hashes, colours, bits)
        if near.any():
            edges = coo_array(
                (np.ones(near.sum(), bool), (labels[a[near]], labels[b[near]])), shape=(len(labels),) * 2
            )
            labels = connected_components(edges, directed=False)[1][labels]
    return labels


def _candidates(
    hashes: np.ndarray, colours: np.ndarray, bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows that agree in a band but for some flipped bits, at most about `PAIRS` of them at a time.

    Of two hashes that differ in b bits, one of the first b % 4 + 1 bands differs in at most b // 4, or one of the
    others in less.
    """
    tone = colours.astype(np.float32).mean(axis=1)
    for band in range(BANDS):
        radius = bits // BANDS - (band > bits % BANDS)
        turned = np.bitwise_or(hashes << np.uint64(WIDTH * band), _shifted(hashes, 64 - WIDTH * band))
        order = np.lexsort((tone, turned))
        values = (turned[order] >> np.uint64(64 - WIDTH)).astype(np.int64)
        starts = np.searchsorted(values, np.arange((1 << WIDTH) + 1))
        for flip in _flips(radius):
            yield from _joined(order, values, starts, flip)


def _shifted(hashes: np.ndarray, places: int) -> np.ndarray:
    return hashes >> np.uint64(places) if places < 64 else np.zeros_like(hashes)


def _flips(radius: int) -> Iterator[int]:
    for number in range(radius + 1):
        for places in combinations(range(WIDTH), number):
            yield sum(1 << place for place in places)


def _joined(
    order: np.ndarray, values: np.ndarray, starts: np.ndarray, flip: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs whose values differ in just the bits of `flip`, each once, no more than WINDOW for a row."""
    rows = np.arange(len(values))
    if flip:
        rows = rows[values < values ^ flip]
    first = starts[values[rows] ^ flip] if flip else rows + 1
    end = starts[(values[rows] ^ flip) + 1]
    if flip:  # in a large bucket, the part that lies as far along as the row in its own
        own = starts[values[rows]], starts[values[rows] + 1]
        along = (rows - own[0]) / (own[1] - own[0])
        first = first + (along * np.maximum(end - first - WINDOW, 0)).astype(np.int64)
    counts = np.clip(end - first, 0, WINDOW)
    some = counts > 0
    rows, first, counts = rows[some], first[some], counts[some]
    for part in np.array_split(np.arange(len(rows)), counts.sum() // PAIRS + 1):
        reach = counts[part]
        within = np.arange(reach.sum()) - np.repeat(np.cumsum(reach) - reach, reach)
        yield order[np.repeat(rows[part], reach)], order[np.repeat(first[part], reach) + within]


def _firsts(labels: np.ndarray, hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """For each row the first one of its group: in rounds, the first row left of each cluster takes what is near."""
    firsts = np.arange(len(labels))
    left = firsts[np.bincount(labels, minlength=len(labels))[labels] > 1]
    for _ in range(ROUNDS):
        if not len(left):
            break
        _, place, cluster = np.unique(labels[left], return_index=True, return_inverse=True)
        leaders = left[place][cluster]
        joined = _are_near(left, leaders, hashes, colours, bits)
        firsts[left[joined]] = leaders[joined]
        left = left[~joined]
    return firsts
