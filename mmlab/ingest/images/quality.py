"""Measure each image file once and flag what is odd about it; the pixels are decoded, measured and dropped."""

import base64
import hashlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.rules import ASPECT, BLANK, BLURRED, DARK, TINY
from mmlab.items import ImageError
from mmlab.items.files import open_regular
from mmlab.items.images import open_measured, refuse_changed

if TYPE_CHECKING:
    from PIL import Image
    from tqdm import tqdm

KIND = "measured"  # in the cache: the file as it is now -> the fields of ImageFacts
VERSION = 2  # of the facts; with another, all images are measured again
FILES_PER_CHUNK = 500  # given to the threads at a time: a kill loses no more, and a long list needs no memory
MAX_BYTES_IN_MEMORY = 64 << 20  # of a file; larger ones are read twice, to be hashed and to be decoded
MEASURED_SIDE = 160  # pixels of the longer side of the copy that is measured
PHASH_SIDE = 32  # pixels of the square that the perceptual hash is made of
CELLS = 4  # the signature has CELLS x CELLS colours; the sharpness is that of the sharpest of as many tiles
# may be otherwise next time though the file is the same
TEMPORARY_REASONS = ("missing file", "unreadable file")

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


DTYPES = {
    **dict.fromkeys(("content", "phash", "signature", "reason", "detail"), "str"),
    **dict.fromkeys(("width", "height"), "Int32"),
    **dict.fromkeys(("brightness", "contrast", "sharpness"), "float64"),
}


def measure_images(
    files: Mapping[str, str | Path], cache: FindingsCache | None = None, progress: bool = True
) -> tuple[pd.DataFrame, int]:
    """Return the fields of ImageFacts, one row per name in order, and the number of files decoded now.

    files: absolute paths by name. A path is measured once; with a cache, once for all ingests as long as its size
    and its time of change stay the same. Facts are kept as they come, so a killed ingest goes on where it stopped.
    """
    from tqdm.auto import tqdm

    paths = list(dict.fromkeys(map(str, files.values())))
    facts: dict[str, ImageFacts] = {}
    decoded = 0
    bar = tqdm(total=len(paths), desc="images", unit="image", disable=not progress)
    with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), FILES_PER_CHUNK):
            chunk, new = _measure_chunk(paths[start : start + FILES_PER_CHUNK], cache, threads, bar)
            facts |= chunk
            decoded += new
    refuse_changed(paths, [str(facts[path].content) for path in paths], math.inf)  # they are as they are
    rows = [facts[str(path)] for path in files.values()]
    index = pd.Index(list(files), dtype="str")
    return pd.DataFrame(rows, index, ImageFacts._fields).astype(DTYPES), decoded


def _measure_chunk(
    paths: list[str], cache: FindingsCache | None, threads: ThreadPoolExecutor, bar: "tqdm"
) -> tuple[dict[str, ImageFacts], int]:
    keys = dict(zip(paths, threads.map(_cache_key, paths), strict=True))
    known = _known_facts(keys, cache)
    bar.update(len(known))
    new = [path for path in paths if path not in known]
    measured = dict(zip(new, _counted(threads.map(measure_image, new), bar), strict=True))
    lasting = {path: facts for path, facts in measured.items() if facts.reason not in TEMPORARY_REASONS}
    if cache is not None:
        cache.put(KIND, {key: facts for path, facts in lasting.items() if (key := keys[path])})
    return known | measured, len(lasting)


def _known_facts(keys: Mapping[str, str | None], cache: FindingsCache | None) -> dict[str, ImageFacts]:
    values = {} if cache is None else cache.get(KIND, filter(None, keys.values()))
    return {path: ImageFacts(*values[key]) for path, key in keys.items() if key in values}


def _counted(facts: Iterable[ImageFacts], bar: "tqdm") -> Iterator[ImageFacts]:
    for one in facts:
        yield one
        bar.update()


def _cache_key(path: str) -> str | None:
    """Return a hash of the path, size and time of change of a file; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    state = f"{VERSION} {found.st_size} {found.st_mtime_ns} {path}"
    return hashlib.sha256(state.encode(errors="surrogateescape")).hexdigest()


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


def quality_flags(facts: pd.DataFrame) -> pd.Series:
    """Return for each image the tuple of its QUALITY_FLAGS, indexed as `facts`; () for a refused image.

    facts: the fields of ImageFacts. Sharpness is the variance of the Laplacian (Pech-Pacheco et al., Diatom
    autofocusing in brightfield microscopy, ICPR 2000). A tiny, dark or blank image is not called blurred as well.
    """
    numbers = facts[["width", "height", "brightness", "contrast", "sharpness"]].astype("float64")
    size = numbers[["width", "height"]]
    shorter, longer = size.min(axis=1), size.max(axis=1)
    tiny, blank = shorter < TINY_BELOW, numbers["contrast"] < BLANK_BELOW
    dark = (numbers["brightness"] < DARK_BELOW) & (numbers["contrast"] < DARK_CONTRAST_BELOW)
    blurred = (numbers["sharpness"] < BLURRED_BELOW) & ~(tiny | dark | blank)
    masks = {TINY: tiny, BLURRED: blurred, DARK: dark, BLANK: blank, ASPECT: longer > ASPECT_ABOVE * shorter}
    names = np.array(list(masks), dtype=object)
    table = np.column_stack(list(masks.values()))
    return pd.Series([tuple(names[row]) for row in table], facts.index, dtype=object)
