"""Measure each image file once, flag what is odd about it, and find images that look like an earlier one.

The pixels are decoded, measured and dropped.
"""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.rules import ASPECT, BLANK, BLURRED, DARK, TINY
from mmlab.items import ImageError
from mmlab.items.files import open_regular
from mmlab.items.images import accept_as_is, open_measured
from mmlab.items.parameter_table import check_values
from mmlab.items.tables import TableOnDisk, array_on_disk, in_blocks, is_first, on_disk, places_among
from mmlab.items.vector_files import blocks_of
from mmlab.items.workers import UNSEEN, RayCluster, check_seen, count_cores

if TYPE_CHECKING:
    from PIL import Image
    from tqdm import tqdm

KIND = "measured"  # in the cache: the file as it is now -> the fields of ImageFacts
VERSION = 2  # of the facts; with another, all images are measured again
FILES_PER_CHUNK = 200  # given to the workers at a time: a kill loses no more, and a long list needs no memory
MAX_BYTES_IN_MEMORY = 64 << 20  # of a file; larger ones are read twice, to be hashed and to be decoded
MEASURED_SIDE = 160  # pixels of the longer side of the copy that is measured
PHASH_SIDE = 32  # pixels of the square that the perceptual hash is made of
CELLS = 4  # the signature has CELLS x CELLS colours; the sharpness is that of the sharpest of as many tiles

# The bounds of the flags were set on 200 photos of 500 pixels, as they are and altered, and on drawn products,
# which are smooth.
TINY_BELOW = 16  # pixels of the shorter side: less than one patch of a ViT-B/16, such as spacers and icons
ASPECT_ABOVE = 4  # longer side over shorter: models see a square, and of such an image at most a quarter
BLANK_BELOW = 0.015  # contrast: 4 of 255 grey levels, more than what JPEG adds to a plain colour
DARK_BELOW = 0.1  # brightness: the darkest real photos at night have about that, but contain bright lights
DARK_CONTRAST_BELOW = 0.05  # a dark image is also one in which nothing stands out
BLURRED_BELOW = 0.008  # sharpness: photos blurred by 4 pixels have less than 0.005, sound ones at least 0.017


class ImageFacts(NamedTuple):
    """What is known of one image file; only `reason` and `detail` where it was refused.

    content: sha256 of the bytes. width, height: pixels, upright.
    phash: the 64 bits of its perceptual hash as 16 hexadecimal digits.
    signature: base64 of the mean colours of 4 x 4 cells, uint8 RGB, row by row.
    brightness: mean grey, 0 to 1. contrast: standard deviation of the channel that varies most, 0 to 0.5.
    sharpness: mean square of the Laplacian in the sharpest of 4 x 4 tiles, of grey stretched to 0 to 1; 0 to 16.
    """

    content: str | None = None
    width: int | None = None
    height: int | None = None
    phash: str | None = None
    signature: str | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    reason: str | None = None
    detail: str | None = None


Keys = Mapping[str, str | None]  # in the cache, of files by path; None where there is no file
Measure = Callable[[Iterable[Keys]], Iterator[tuple[Keys, dict[str, ImageFacts]]]]

DTYPES = {
    **dict.fromkeys(("content", "phash", "signature", "reason", "detail"), "str"),
    **dict.fromkeys(("width", "height"), "Int32"),
    **dict.fromkeys(("brightness", "contrast", "sharpness"), "float64"),
}


def measure_images(
    files: Mapping[str, str | Path],
    cache: FindingsCache | None = None,
    progress: bool = True,
    engine: str = "local",
) -> tuple[pd.DataFrame, int]:
    """Return the fields of ImageFacts, one row per name in order, and the number of files decoded now.

    files: absolute paths by name. A path is measured once; with a cache, once for all ingests as long as its size
    and its time of change stay the same. Facts are kept as they come, so a killed ingest goes on where it stopped.
    engine: "local", or "ray" for a cluster (see `mmlab.items.workers.RayCluster`, whose errors this raises too).
    """
    from tqdm.auto import tqdm

    named = pd.Series(files, dtype="str")
    paths = named[is_first(named)]
    found, decoded = _FactsByPath(), 0
    bar = tqdm(total=len(paths), desc="images", unit="image", disable=not progress)
    with bar, ThreadPoolExecutor(count_cores()) as threads, _measuring(engine, threads) as measure:
        for new, measured in measure(_unknown_chunks(paths, found, cache, threads, bar)):
            found.add(measured)
            decoded += _keep(new, measured, cache)
            bar.update(len(measured))
    accept_as_is(paths)
    return found.table(named), decoded


class _FactsByPath:
    """The facts of files, as columns in a file."""

    def __init__(self) -> None:
        self._tables = TableOnDisk()
        self.add({})

    def add(self, facts: Mapping[str, ImageFacts]) -> None:
        """Add the facts of new files by path."""
        table = pd.DataFrame(list(facts.values()), pd.Index(list(facts), dtype="str"), ImageFacts._fields)
        self._tables.add(table.astype(DTYPES))

    def table(self, paths: pd.Series) -> pd.DataFrame:
        """Return a line of facts for each path, indexed as the paths."""
        whole = self._tables.read()
        if whole.index.equals(pd.Index(paths)):
            return whole.set_axis(paths.index)
        places = places_among(paths, whole.index)
        return on_disk(
            whole.take(places[block]).set_axis(paths.index[block]) for block in blocks_of(len(paths))
        )


def _unknown_chunks(
    paths: pd.Series,
    found: _FactsByPath,
    cache: FindingsCache | None,
    threads: ThreadPoolExecutor,
    bar: "tqdm",
) -> Iterator[Keys]:
    """Yield the keys of files that are to be measured, by path; add what the cache knows of others to `found`."""
    for start in range(0, len(paths), FILES_PER_CHUNK):
        chunk = paths.iloc[start : start + FILES_PER_CHUNK].tolist()
        keys = dict(zip(chunk, threads.map(_cache_key, chunk), strict=True))
        known = _known_facts(keys, cache)
        found.add(known)
        bar.update(len(known))
        if new := {path: key for path, key in keys.items() if path not in known}:
            yield new


@contextmanager
def _measuring(engine: str, threads: ThreadPoolExecutor) -> Iterator[Measure]:
    """Give a function that measures the files of chunks, by threads or by the workers of a cluster."""
    check_values(engine=engine)
    if engine == "ray":
        with RayCluster() as cluster:
            yield lambda chunks: _measure_on(cluster, chunks)
    else:
        yield lambda chunks: (
            (chunk, dict(zip(chunk, threads.map(measure_image, chunk), strict=True))) for chunk in chunks
        )


def _measure_on(cluster: RayCluster, chunks: Iterable[Keys]) -> Iterator[tuple[Keys, dict[str, ImageFacts]]]:
    for keys, measured, node in cluster.map(measure_files, chunks):
        check_seen([path for path, facts in measured.items() if facts.reason in UNSEEN], node)
        yield keys, measured


def measure_files(paths: Iterable[str]) -> dict[str, ImageFacts]:
    """Return the facts of image files by path, as `measure_image` finds them one after the other."""
    return {path: measure_image(path) for path in paths}


def _keep(keys: Keys, measured: Mapping[str, ImageFacts], cache: FindingsCache | None) -> int:
    """Keep the facts that will be the same next time; return how many there are."""
    lasting = {path: facts for path, facts in measured.items() if facts.reason not in UNSEEN}
    if cache is not None:
        cache.put(KIND, {key: facts for path, facts in lasting.items() if (key := keys[path])})
    return len(lasting)


def _known_facts(keys: Keys, cache: FindingsCache | None) -> dict[str, ImageFacts]:
    values = {} if cache is None else cache.get(KIND, filter(None, keys.values()))
    return {path: ImageFacts(*values[key]) for path, key in keys.items() if key in values}


def _cache_key(path: str) -> str | None:
    """Return a hash of the path, size and time of change of a file; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    state = f"{VERSION} {found.st_size} {found.st_mtime_ns} {path}"
    return hashlib.sha256(state.encode()).hexdigest()


def measure_image(path: str) -> ImageFacts:
    """Return the facts of one image file, or why it cannot be used."""
    try:
        with open_regular(path) as file:
            small = os.fstat(file.fileno()).st_size <= MAX_BYTES_IN_MEMORY
            whole = io.BytesIO(file.read()) if small else file
            content = hashlib.file_digest(whole, "sha256").hexdigest()
            whole.seek(0)
            image, (width, height) = open_measured(whole, MEASURED_SIDE)
        return _facts(image)._replace(content=content, width=width, height=height)
    except ImageError as error:
        return ImageFacts(reason=str(error), detail=str(error.__cause__ or "")[:200] or None)
    except FileNotFoundError as error:
        return ImageFacts(reason="missing file", detail=str(error))
    except OSError as error:
        return ImageFacts(reason="unreadable file", detail=str(error))


def _facts(image: "Image.Image") -> ImageFacts:
    """Measure everything on one small copy of the image."""
    from imagehash import phash
    from PIL import Image

    # reducing_gap: shrink by whole factors first, which is fast.
    image.thumbnail((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.HAMMING, reducing_gap=1)
    cells = image.resize((CELLS, CELLS), Image.Resampling.BOX).tobytes()
    grey = image.convert("L")
    values = np.asarray(grey, dtype=np.float32)
    tiles = Image.fromarray(_laplacian(values) ** 2).resize((CELLS, CELLS), Image.Resampling.BOX)
    return ImageFacts(
        # Resized here: phash would use a slower filter.
        phash=str(phash(grey.resize((PHASH_SIDE, PHASH_SIDE), Image.Resampling.HAMMING))),
        signature=base64.b64encode(cells).decode(),
        brightness=float(values.mean(dtype=np.float64) / 255),
        contrast=_contrast(image),
        # of the sharpest tile: an image with a soft background is not blurred
        sharpness=float(np.asarray(tiles).max()),
    )


def _contrast(image: "Image.Image") -> float:
    """Return the largest standard deviation of a channel, from histograms: far faster than from the pixels."""
    counts = np.reshape(image.histogram(), (3, 256)) / (image.width * image.height)
    levels = np.arange(256) / 255
    means = counts @ levels
    return float(np.sqrt((counts * (levels - means[:, None]) ** 2).sum(axis=1).max()))


def _laplacian(grey: np.ndarray) -> np.ndarray:
    """Return how far each pixel is from its four neighbours, in shares of the range of all."""
    wide = np.pad(grey, 1, mode="edge")
    neighbours = wide[1:-1, :-2] + wide[1:-1, 2:] + wide[:-2, 1:-1] + wide[2:, 1:-1]
    found: np.ndarray = (neighbours - 4 * grey) / max(np.ptp(grey), 1)
    return found


def quality_flags(facts: pd.DataFrame) -> pd.DataFrame:
    """Return for each image which of the QUALITY_FLAGS hold, bool, indexed as `facts`; none does for a refused image.

    facts: the fields of ImageFacts. Sharpness is the variance of the Laplacian (Pech-Pacheco et al., Diatom
    autofocusing in brightfield microscopy, ICPR 2000). A tiny, dark or blank image is not called blurred as well.
    """
    return pd.concat([_flags_of(block) for block in in_blocks(facts)])


def _flags_of(facts: pd.DataFrame) -> pd.DataFrame:
    numbers = facts[["width", "height", "brightness", "contrast", "sharpness"]].astype("float64")
    size = numbers[["width", "height"]]
    shorter, longer = size.min(axis=1), size.max(axis=1)
    tiny, blank = shorter < TINY_BELOW, numbers["contrast"] < BLANK_BELOW
    dark = (numbers["brightness"] < DARK_BELOW) & (numbers["contrast"] < DARK_CONTRAST_BELOW)
    blurred = (numbers["sharpness"] < BLURRED_BELOW) & ~(tiny | dark | blank)
    aspect = longer > ASPECT_ABOVE * shorter
    return pd.DataFrame({TINY: tiny, BLURRED: blurred, DARK: dark, BLANK: blank, ASPECT: aspect})


BANDS, BAND_BITS = 4, 16  # of the 64 bits
MAX_BITS = 16  # more are no resemblance, and need too many probes
MAX_COLOUR_DIFFERENCE = 22  # of 255, in any cell; tuned on drawn products that differ in colour only
MAX_GAIN = 1.3  # brightness may differ by this factor
MAX_NEIGHBOURS = 64  # in a larger bucket of a band, each hash is compared with so many near it in order
ROWS_PER_BATCH, PAIRS_PER_BATCH = 1 << 14, 1 << 16
MAX_ROUNDS = 1000  # first images of one cluster; an image that is like none of them stays alone

Pairs = tuple[np.ndarray, np.ndarray]  # two arrays of row numbers, (n,) int64


def near_duplicates(facts: pd.DataFrame, bits: int) -> np.ndarray:
    """Return for each image the place of the first of its group, int32 (N,): its own where it is alone or the first.

    facts: `phash` and `signature` of ImageFacts, none missing; images with the same bytes may be among them and join.
    bits: how many bits of the hash may differ, 0 to 16; ValueError for another number.
    An image joins the earliest first image that it is near to itself: at most `bits` of the hash differ, and no
    colour by more than MAX_COLOUR_DIFFERENCE once brightness is evened out. So a chain of small changes does not
    put unlike images into one group.

    About n x 200 pairs are compared at 8 bits and 200,000 images. Where many share a band of the hash, the number
    stays below n x 2 x MAX_NEIGHBOURS for each probe, at the price that some of their pairs may be missed.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"near duplicates: expected 0 to {MAX_BITS} of 64 bits, found {bits}")
    hashes = _decode_hashes(facts["phash"])
    colours = _decode_colours(facts["signature"])
    return _first_of_group(_cluster(hashes, colours, bits), hashes, colours, bits)


def _decode_hashes(hashes: pd.Series) -> np.ndarray:
    """Return hashes of 16 hexadecimal digits as (n,) uint64, in a file."""
    return array_on_disk(
        np.frombuffer(bytes.fromhex("".join(block)), ">u8").astype(np.uint64) for block in in_blocks(hashes)
    )


def _decode_colours(signatures: pd.Series) -> np.ndarray:
    """Return the colours as (n, values) uint8, in a file."""
    if signatures.empty:
        return np.zeros((0, 3), np.uint8)
    return array_on_disk(
        np.frombuffer(b"".join(map(base64.b64decode, block)), np.uint8).reshape(len(block), -1)
        for block in in_blocks(signatures)
    )


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

    labels = np.arange(len(hashes), dtype=np.int32)
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
    tone = colours.mean(axis=1, dtype=np.float32)
    for band in range(BANDS):
        radius = bits // BANDS - (band > bits % BANDS)
        start = BAND_BITS * band
        rotated = np.bitwise_or(hashes << np.uint64(start), _shift_right(hashes, 64 - start))
        order = np.lexsort((tone, rotated)).astype(np.int32)
        values = (rotated[order] >> np.uint64(64 - BAND_BITS)).astype(np.int32)
        starts = np.searchsorted(values, np.arange((1 << BAND_BITS) + 1))
        begins = range(0, len(order), ROWS_PER_BATCH)
        yield from _in_batches(
            pairs
            for flip, begin in product(_flips(radius), begins)
            for pairs in _pair_rows(begin, order, values, starts, flip)
        )


def _in_batches(some: Iterable[Pairs]) -> Iterator[Pairs]:
    """Yield pairs about PAIRS_PER_BATCH at a time, since joining what is near costs as much as there are images."""
    waiting: list[Pairs] = []
    for pairs in some:
        if sum(len(rows) for rows, _ in [*waiting, pairs]) > PAIRS_PER_BATCH:
            yield _joined(waiting)
            waiting = []
        waiting.append(pairs)
    yield _joined(waiting)


def _joined(some: list[Pairs]) -> Pairs:
    none = np.empty(0, np.int32)
    return np.concatenate([none, *(a for a, _ in some)]), np.concatenate([none, *(b for _, b in some)])


def _shift_right(hashes: np.ndarray, places: int) -> np.ndarray:
    return hashes >> np.uint64(places) if places < 64 else np.zeros_like(hashes)


def _flips(radius: int) -> Iterator[int]:
    """Yield all numbers of BAND_BITS bits in which at most `radius` bits are set."""
    for number in range(radius + 1):
        for places in combinations(range(BAND_BITS), number):
            yield sum(1 << place for place in places)


def _pair_rows(
    begin: int, order: np.ndarray, values: np.ndarray, starts: np.ndarray, flip: int
) -> Iterator[Pairs]:
    """Yield the pairs whose values differ in just the bits of `flip`, each once, MAX_NEIGHBOURS a row at most.

    begin: the first of the ROWS_PER_BATCH rows whose pairs with later ones are yielded.
    """
    rows = np.arange(begin, min(begin + ROWS_PER_BATCH, len(order)))
    if flip:
        rows = rows[values[rows] < values[rows] ^ flip]
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
    firsts = np.arange(len(labels), dtype=np.int32)
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
