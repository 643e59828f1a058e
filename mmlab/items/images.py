"""Open one image file the same way everywhere: upright, RGB, of bounded size, or refused with a reason."""

import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mmlab.items.files import (
    DECODING_BYTES,
    MAX_DECODING_BYTES,
    MAX_PIXELS,
    MAX_SCANNED_PIXELS,
    MAX_SCANS,
    file_hash,
    open_regular,
)

if TYPE_CHECKING:
    from PIL import Image

# Larger images are decoded one at a time, so that many threads stay within memory.
MAX_PARALLEL_PIXELS = 25_000_000
STRIP_PIXELS = 4_000_000  # that are converted at a time, so that no third copy of a large image is made
SCAN, BYTES_PER_READ = b"\xff\xda", 1 << 20  # the marker before each scan of a JPEG; it stands nowhere else
# Formats that are decoded without starting an interpreter.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
ORIENTATION_TAG = 0x0112  # of EXIF
TRANSPOSITIONS = {  # EXIF orientation: the transposition that makes it upright
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# ROTATE_90, ROTATE_270, TRANSPOSE and TRANSVERSE of Image.Transpose exchange width and height.
SWAPPING = {2, 4, 5, 6}
PILLOW = re.compile(r"PIL\.")
IGNORED = ("ignore", None, Warning, PILLOW, 0)  # as `warnings.filters` keeps it
_large_lock, _filters_lock = Lock(), Lock()
CHANGED = "changed file"
MAX_READERS = 8  # of files whose bytes are compared
FILES_PER_TASK = 1000  # that one of them looks at, one after the other
_changed: set[str] = set()  # paths of files that are not opened in this process, see `refuse_changed`


class ImageError(ValueError):
    """A file that cannot be used as an image; the message is a short, stable reason."""


def open_image(source: str | Path | BinaryIO, min_side: int | None = None) -> "Image.Image":
    """Open an image as RGB: first frame, EXIF orientation applied, transparency on white.

    source: a path, or a file open for reading in binary. min_side: where the format can (JPEG), decode at 1/2, 1/4 or
    1/8, as small as the longer side keeps `min_side` pixels; one that has fewer is never made smaller, and the whole
    file is read and checked all the same. Raises ImageError with one of: missing file, changed file (see
    `refuse_changed`), unreadable file (a permission, a folder, a failing disk), empty file, not an image, too many
    pixels, too many scans, damaged file.

    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 2)).save(file, "PNG")
    >>> open_image(file)
    <PIL.Image.Image image mode=RGB size=4x2 at ...>
    """
    return open_measured(source, min_side)[0]


def open_measured(
    source: str | Path | BinaryIO, min_side: int | None = None
) -> tuple["Image.Image", tuple[int, int]]:
    """Return what `open_image` does, with width and height of the upright image at its full size."""
    if not isinstance(source, str | Path):
        return _decoded(source, min_side)
    with _opened(source) as file:
        return _decoded(file, min_side)


def image_bytes(path: str | Path) -> bytes:
    """Return the bytes of an image file as they are; raise ImageError where it cannot be read, see `open_image`."""
    with _opened(path) as file:
        return file.read()


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading in binary; raise ImageError where it cannot be, or the block cannot read it."""
    if str(path) in _changed:
        raise ImageError(CHANGED)
    try:
        with open_regular(path) as file:
            yield file
    except FileNotFoundError as error:
        raise ImageError("missing file") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageError("unreadable file") from error


def refuse_changed(paths: Sequence[str], contents: Sequence[str], since: float = 0) -> list[str]:
    """Return the paths of the files whose bytes no longer have these sha256, and refuse to open them from now on.

    since: a time in seconds since 1970 when they had them; a file that was neither written nor renamed after it is not
    read. A file that is not there has not changed. One that has its sha256 again is opened again. `open_image` and all
    that opens a path by it gives the reason "changed file".
    """
    parts = [slice(start, start + FILES_PER_TASK) for start in range(0, len(paths), FILES_PER_TASK)]
    with ThreadPoolExecutor(MAX_READERS) as threads:
        found = threads.map(lambda part: _find_changed(paths[part], contents[part], since), parts)
        changed = [path for one in found for path in one]
    _changed.difference_update(paths)
    _changed.update(changed)
    return changed


def accept_as_is(paths: Iterable[str]) -> None:
    """Open these files again, whatever they were when `refuse_changed` looked at them."""
    _changed.difference_update(paths)


def _find_changed(paths: Sequence[str], contents: Sequence[str], since: float) -> list[str]:
    return [path for path, content in zip(paths, contents, strict=True) if _has_changed(path, content, since)]


def _has_changed(path: str, content: str, since: float) -> bool:
    try:
        found = os.stat(path)
        return max(found.st_mtime, found.st_ctime) >= since and file_hash(path) != content
    except (OSError, ValueError):  # whoever opens it says why it cannot be
        return False


def thumbnail(path: str | Path, side: int = 128) -> bytes:
    """Return JPEG bytes of the image scaled to fit a square of `side` pixels."""
    image = open_image(path, min_side=2 * side)
    image.thumbnail((side, side), _pillow().Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@cache
def known_formats() -> tuple[str, ...]:
    """Return the formats that are decoded: FORMATS, and HEIF where pillow-heif is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener(thumbnails=False)
    return (*FORMATS, "HEIF")


def _decoded(file: BinaryIO, min_side: int | None) -> tuple["Image.Image", tuple[int, int]]:
    pillow = _pillow()
    _ignore_warnings()
    try:
        with pillow.open(file, formats=known_formats()) as image:
            width, height = image.size
            _check_size(image, file)
            if min_side:
                image.draft(None, (min_side, 1) if width >= height else (1, min_side))
            with _large_lock if image.width * image.height > MAX_PARALLEL_PIXELS else nullcontext():
                image.load()
                turn = _transposition(image)
                upright = _rgb(image) if turn is None else _rgb(image).transpose(turn)
            return upright, (height, width) if turn in SWAPPING else (width, height)
    except pillow.UnidentifiedImageError:
        raise ImageError("not an image" if file.seek(0, io.SEEK_END) else "empty file") from None
    except pillow.DecompressionBombError as error:
        raise ImageError("too many pixels") from error
    except ImageError:
        raise
    except Exception as error:  # of damaged files, decoders raise nearly everything
        raise ImageError("damaged file") from error


def _check_size(image: "Image.Image", file: BinaryIO) -> None:
    """Raise ImageError where decoding the image would take more memory or time than any image is worth."""
    pixels, name = image.width * image.height, image.format or ""
    if pixels > MAX_PIXELS or pixels * DECODING_BYTES.get(name, DECODING_BYTES[""]) > MAX_DECODING_BYTES:
        raise ImageError("too many pixels")
    scans = _count_scans(file) if name in ("JPEG", "MPO") else 1
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageError("too many scans")


def _count_scans(file: BinaryIO) -> int:
    place, tail, scans = file.tell(), b"", 0
    file.seek(0)
    while chunk := file.read(BYTES_PER_READ):
        scans += (tail + chunk).count(SCAN)
        tail = chunk[-1:]
    file.seek(place)
    return scans


def _pillow() -> Any:
    """Return Pillow's module of images, which is loaded with the first image: `mmlab.items` serves all rooms."""
    from PIL import Image

    return Image


def _ignore_warnings() -> None:
    """Keep Pillow's warnings of odd files out of notebooks; ImageError says what matters.

    The filter is added once and stays: `warnings.catch_warnings` is not safe in threads.
    """
    with _filters_lock:
        if IGNORED not in warnings.filters:
            warnings.filterwarnings("ignore", module=PILLOW.pattern)


def _transposition(image: "Image.Image") -> "Image.Transpose | None":
    """Return how to make the image upright, None where it is or its EXIF block is broken."""
    try:
        name = TRANSPOSITIONS.get(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block spoils no image
        return None
    return None if name is None else _pillow().Transpose[name]


def _rgb(image: "Image.Image") -> "Image.Image":
    is_grey = image.mode.startswith(("I", "F"))
    if not is_grey and not image.has_transparency_data:
        return image.convert("RGB")
    white = _white(image) if is_grey else 0
    found: Image.Image = _pillow().new("RGB", image.size)
    for box in _strips(image):
        part = image.crop(box)
        found.paste(_grey(part, white) if is_grey else _on_white(part), box)
    return found


def _strips(image: "Image.Image") -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes of strips of full width that cover the image."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _on_white(part: "Image.Image") -> "Image.Image":
    opaque, pillow = part.convert("RGBA"), _pillow()
    return pillow.alpha_composite(pillow.new("RGBA", opaque.size, "white"), opaque)


def _numbers(part: "Image.Image") -> np.ndarray:
    return np.nan_to_num(np.asarray(part, dtype=np.float32), posinf=0, neginf=0)


def _white(image: "Image.Image") -> float:
    """Return the value of white in an image with more than 8 bits.

    It is 65535 where the file says 16 bits; else the least of 1, 255 and 65535 that no value exceeds, or the greatest
    value.
    """
    if image.mode.startswith("I;16"):
        return 65535
    greatest = max(float(_numbers(image.crop(box)).max()) for box in _strips(image))
    return next((white for white in (1, 255, 65535) if greatest <= white), greatest)


def _grey(part: "Image.Image", white: float) -> "Image.Image":
    """Return numbers as 8-bit grey, where Pillow would clip them; those below 0, and what is no number, are black."""
    found = (_numbers(part).clip(0) * np.float32(255 / white)).round().astype(np.uint8)
    return _pillow().fromarray(found).convert("RGB")
