"""Find images that look like an earlier one, whatever was done to their size, quality or brightness.

Candidates agree in one of four 16-bit bands of the perceptual hash up to few bits (multi-index hashing: Norouzi,
Punjani, Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012), so most pairs are never compared.
The hash is blind to colour: the signature decides.
"""

import base64
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

BANDS, BAND_BITS = 4, 16  # of the 64 bits
MAX_BITS = 16  # more are no resemblance, and need too many probes
MAX_COLOUR_DIFFERENCE = 22  # of 255, in any cell; tuned on drawn products that differ in colour only
MAX_GAIN = 1.3  # brightness may differ by this factor
MAX_NEIGHBOURS = 64  # in a larger bucket of a band, each hash is compared with so many near it in order
PAIRS_PER_BATCH = 1 << 18
MAX_ROUNDS = 1000  # first images of one cluster; an image that is like none of them stays alone

Pairs = tuple[np.ndarray, np.ndarray]  # two arrays of row numbers, (n,) int64


def near_duplicates(facts: pd.DataFrame, bits: int) -> pd.Series:
    """Return for each image the name of the first image of its group: its own where it is alone or the first.

    facts: `phash` and `signature` of ImageFacts by name, none missing; images with the same bytes may be among
    them and join. bits: how many bits of the hash may differ, 0 to 16; ValueError for another number.
    An image joins the earliest first image that it is near to itself: at most `bits` of the hash differ, and no
    colour by more than MAX_COLOUR_DIFFERENCE once brightness is evened out. So a chain of small changes does not
    put unlike images into one group.

    About n x 200 pairs are compared at 8 bits and 200,000 images. Where many share a band of the hash, the number
    stays below n x 2 x MAX_NEIGHBOURS for each probe, at the price that some of their pairs may be missed.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"near duplicates: expected 0 to {MAX_BITS} of 64 bits, found {bits}")
    hashes = np.array([int(digits, 16) for digits in facts["phash"]], dtype=np.uint64)
    colours = _decode_colours(facts["signature"])
    firsts = _first_of_group(_cluster(hashes, colours, bits), hashes, colours, bits)
    return pd.Series(facts.index[firsts], facts.index, dtype="str")


def _decode_colours(signatures: pd.Series) -> np.ndarray:
    """Return the colours as (n, values) uint8."""
    if signatures.empty:
        return np.zeros((0, 3), np.uint8)
    raw = b"".join(map(base64.b64decode, signatures))
    return np.frombuffer(raw, np.uint8).reshape(len(signatures), -1)


def _are_near(a: np.ndarray, b: np.ndarray, hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """Return whether each of the rows `a` is near the row of `b` beside it, as booleans."""
    near = np.bitwise_count(hashes[a] ^ hashes[b]) <= bits
    rows = np.flatnonzero(near)
    left, right = colours[a[rows]].astype(np.float32), colours[b[rows]].astype(np.float32)
    norms = np.sqrt([(left**2).sum(axis=1), (right**2).sum(axis=1)])
    gain = np.clip((norms[0] + 1) / (norms[1] + 1), 1 / MAX_GAIN, MAX_GAIN)
    root = np.sqrt(gain)[:, None]  # half of the gain on each of the two images: the order does not matter
    near[rows] = np.abs(left / root - right * root).max(axis=1) <= MAX_COLOUR_DIFFERENCE
    return near


def _cluster(hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """Return a label per image, the same for images that a chain of near ones joins."""
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


def _candidates(hashes: np.ndarray, colours: np.ndarray, bits: int) -> Iterator[Pairs]:
    """Yield the pairs of rows that agree in a band but for some flipped bits, about PAIRS_PER_BATCH at a time.

    Of two hashes that differ in b bits, one of the first b % 4 + 1 bands differs in at most b // 4, or one of the
    others in less.
    """
    tone = colours.astype(np.float32).mean(axis=1)
    for band in range(BANDS):
        radius = bits // BANDS - (band > bits % BANDS)
        start = BAND_BITS * band
        rotated = np.bitwise_or(hashes << np.uint64(start), _shift_right(hashes, 64 - start))
        order = np.lexsort((tone, rotated))
        values = (rotated[order] >> np.uint64(64 - BAND_BITS)).astype(np.int64)
        starts = np.searchsorted(values, np.arange((1 << BAND_BITS) + 1))
        for flip in _flips(radius):
            yield from _pair_rows(order, values, starts, flip)


def _shift_right(hashes: np.ndarray, places: int) -> np.ndarray:
    return hashes >> np.uint64(places) if places < 64 else np.zeros_like(hashes)


def _flips(radius: int) -> Iterator[int]:
    """Yield all numbers of BAND_BITS bits in which at most `radius` bits are set."""
    for number in range(radius + 1):
        for places in combinations(range(BAND_BITS), number):
            yield sum(1 << place for place in places)


def _pair_rows(order: np.ndarray, values: np.ndarray, starts: np.ndarray, flip: int) -> Iterator[Pairs]:
    """Yield the pairs whose values differ in just the bits of `flip`, each once, MAX_NEIGHBOURS a row at most."""
    rows = np.arange(len(values))
    if flip:
        rows = rows[values < values ^ flip]
    first = starts[values[rows] ^ flip] if flip else rows + 1
    end = starts[(values[rows] ^ flip) + 1]
    if flip:  # in a large bucket, the part that lies as far along as the row does in its own bucket
        own = starts[values[rows]], starts[values[rows] + 1]
        along = (rows - own[0]) / (own[1] - own[0])
        first = first + (along * np.maximum(end - first - MAX_NEIGHBOURS, 0)).astype(np.int64)
    counts = np.clip(end - first, 0, MAX_NEIGHBOURS)
    some = counts > 0
    rows, first, counts = rows[some], first[some], counts[some]
    for part in np.array_split(np.arange(len(rows)), counts.sum() // PAIRS_PER_BATCH + 1):
        number = counts[part]
        offset = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        yield order[np.repeat(rows[part], number)], order[np.repeat(first[part], number) + offset]


def _first_of_group(labels: np.ndarray, hashes: np.ndarray, colours: np.ndarray, bits: int) -> np.ndarray:
    """Return the first row of each row's group: in rounds, the first row left of each cluster takes what is near."""
    firsts = np.arange(len(labels))
    left = firsts[np.bincount(labels, minlength=len(labels))[labels] > 1]
    for _ in range(MAX_ROUNDS):
        if not len(left):
            break
        _, place, cluster = np.unique(labels[left], return_index=True, return_inverse=True)
        leaders = left[place][cluster]
        joined = _are_near(left, leaders, hashes, colours, bits)
        firsts[left[joined]] = leaders[joined]
        left = left[~joined]
    return firsts
