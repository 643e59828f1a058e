"""Look at each image file once: its bytes' hash, size and facts of its content, or the reason why it is refused.

The images are decoded to be measured, and let go: no pixels are kept.
"""

import base64
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import Memo
from mmlab.items import ImageError
from mmlab.items.images import open_measured

if TYPE_CHECKING:
    from PIL import Image
    from tqdm import tqdm

VERSION = 2  # of the facts; with another, all images are looked at anew
CHUNK = 500  # files handed to the threads at a time: a kill loses no more, and a long list costs no memory
STREAMED = 64 << 20  # bytes; larger files are read twice instead of being held in memory
SIDE = 160  # pixels of the longer side of the copy that is measured
HASHED = 32  # pixels of the square that the perceptual hash is made of
CELLS = 4  # the signature has CELLS x CELLS colours, the sharpness is that of the sharpest of as many tiles
PASSING = ("missing file", "unreadable file")  # may be otherwise next time though the file is the same


class Look(NamedTuple):
    """What is known of one image file; where it was refused, only `reason` and `detail`.

    content: sha256 of the bytes. width, height: pixels, upright.
    phash: the 64 bits of its perceptual hash as 16 hexadecimal digits.
    signature: base64 of the mean colours of 4 x 4 cells, uint8 RGB, row by row.
    brightness: mean grey, 0 to 1. contrast: standard deviation of the channel that varies most, 0 to 0.5.
    sharpness: mean square of the Laplacian in the sharpest of 4 x 4 tiles, of grey stretched to 0 to 1, 0 to 16.
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


def image_name(entry: str) -> str:
    """An image's path inside its dataset in one spelling: forward slashes, no "./" and no "a/../"."""
    return os.path.normpath(entry.strip().replace("\\", "/")) if entry.strip() else ""


def locate(root: Path, name: str) -> Path:
    """The file that `name` (relative to `root`, or absolute) names; nothing is opened.

    root: resolved. Raises ImageError with one of: no image named, path leaves the dataset, missing file (which
    folders, pipes and devices are too: they would block).
    """
    if not name:
        raise ImageError("no image named")
    path = root / name.replace("\0", "?")
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise ImageError("path leaves the dataset")
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise ImageError("missing file")
    return path


def look_at(
    files: Mapping[str, str | Path], memo: Memo | None = None, progress: bool = True
) -> tuple[pd.DataFrame, int]:
    """One row per name, in order, indexed by it: the fields of Look; and how many files were opened now.

    files: absolute paths by name. The same path is looked at once, and with a memo once for all ingests as long
    as its size and time of change are the same; what is found is kept as it comes, so a killed ingest goes on.
    """
    from tqdm.auto import tqdm

    paths = list(dict.fromkeys(map(str, files.values())))
    looks, opened = {}, 0
    bar = tqdm(total=len(paths), desc="images", unit="image", disable=not progress)
    with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
        for chunk in _chunks(paths):
            keys = dict(zip(chunk, threads.map(_key, chunk), strict=True))
            known = _known(keys, memo)
            bar.update(len(known))
            new = [path for path in chunk if path not in known]
            found = dict(zip(new, _counted(threads.map(_look, new), bar), strict=True))
            lasting = {path: look for path, look in found.items() if look.reason not in PASSING}
            if memo is not None:
                memo.put("look", {keys[path]: look for path, look in lasting.items() if keys[path]})
            looks |= known | found
            opened += len(lasting)
    rows = [looks[str(path)] for path in files.values()]
    table = pd.DataFrame(rows, index=pd.Index(list(files), dtype="str"), columns=Look._fields)
    return table.astype(DTYPES), opened


def _known(keys: Mapping[str, str | None], memo: Memo | None) -> dict[str, Look]:
    """What the memo knows, by path."""
    values = {} if memo is None else memo.get("look", filter(None, keys.values()))
    return {path: Look(*values[key]) for path, key in keys.items() if key in values}


def _counted(looks: Iterable[Look], bar: "tqdm") -> Iterator[Look]:
    for look in looks:
        yield look
        bar.update()


def _look(path: str) -> Look:
    try:
        with open(path, "rb") as file:
            small = os.fstat(file.fileno()).st_size <= STREAMED
            whole = io.BytesIO(file.read()) if small else file
            content = hashlib.file_digest(whole, "sha256").hexdigest()
            whole.seek(0)
            image, size = open_measured(whole, SIDE)
        return Look(content, *size, *_facts(image))
    except ImageError as error:
        return Look(reason=str(error), detail=str(error.__cause__ or "")[:200] or None)
    except FileNotFoundError as error:
        return Look(reason="missing file", detail=str(error))
    except OSError as error:
        return Look(reason="unreadable file", detail=str(error))


def _facts(image: "Image.Image") -> tuple[str, str, float, float, float]:
    """phash, signature, brightness, contrast, sharpness, all from one small copy."""
    from imagehash import phash
    from PIL import Image

    image.thumbnail((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=1)  # whole factors first: fast
    cells = image.resize((CELLS, CELLS), Image.Resampling.BOX).tobytes()
    grey = image.convert("L")
    values = np.asarray(grey, dtype=np.float32)
    return (
        str(phash(grey.resize((HASHED, HASHED), Image.Resampling.HAMMING))),  # else a slower filter does it
        base64.b64encode(cells).decode(),
        float(values.mean(dtype=np.float64) / 255),
        _contrast(image),
        _sharpness(values),
    )


def _contrast(image: "Image.Image") -> float:
    """From the histograms of the channels, many times faster than from the pixels."""
    counts = np.reshape(image.histogram(), (3, 256)) / (image.width * image.height)
    levels = np.arange(256) / 255
    means = counts @ levels
    return float(np.sqrt((counts * (levels - means[:, None]) ** 2).sum(axis=1).max()))


def _sharpness(grey: np.ndarray) -> float:
    """The sharpest tile decides: an image with a soft background is not blurred."""
    from PIL import Image

    wide = np.pad(grey, 1, mode="edge")
    sides = wide[1:-1, :-2] + wide[1:-1, 2:] + wide[:-2, 1:-1] + wide[2:, 1:-1]
    laplacian = (sides - 4 * grey) / max(np.ptp(grey), 1)
    tiles = Image.fromarray(laplacian**2).resize((CELLS, CELLS), Image.Resampling.BOX)
    return float(tiles.getextrema()[1])


def _key(path: str) -> str | None:
    """What names a file as it is now, in the memo; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    told = f"{VERSION} {found.st_size} {found.st_mtime_ns} {path}"
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()


def _chunks(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), CHUNK):
        yield paths[start : start + CHUNK]
