"""Read the text printed in images with Tesseract: a last resort for images that come without a text."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.items import ImageError, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

OCR = "ocr"  # origin of the texts; in the cache: image, language, version and method -> words and confidences
IMAGES_PER_CHUNK = 100  # read between two writes to the cache
TIMEOUT_SECONDS = 60  # for one image
# pixels of the longer side: smaller images are doubled, larger ones shrunk
DOUBLE_BELOW, MAX_SIDE = 1000, 3000
# Finds blocks of text where there are some; the modes that expect text (6, 11) see words in any photograph.
PAGE_MODE = "--psm 3"
METHOD = (
    f"{PAGE_MODE} x2<{DOUBLE_BELOW} <{MAX_SIDE}"  # part of the cache's key: other methods read other words
)
INSTALL = "apt install tesseract-ocr, conda install -c conda-forge tesseract, or brew install tesseract"


class OcrMissing(RuntimeError):
    """Tesseract or its data for a language is not installed; the message says how to install it."""


class Reading(NamedTuple):
    """The words of one image with Tesseract's confidence in them (0 to 100), or why it was not read."""

    words: list[tuple[str, int]]
    reason: str | None = None


def read_printed(
    images: Mapping[str, str],
    cache: FindingsCache | None,
    language: str = "eng",
    confidence: int = 60,
    progress: bool = True,
) -> pd.DataFrame:
    """Return text and reason, one row per image, indexed by content: what is printed in it, or why it is unknown.

    images: files by content hash. text: see `printed_text`. reason: missing where the image was read.
    All words are kept in the cache with their confidences, so another threshold reads no image again; failures are
    tried again. Raise OcrMissing where Tesseract or the language is not installed.
    """
    version = _find_tesseract(language) if images else ""
    keys = {content: f"{content} {language} {version} {METHOD}" for content in images}
    readings = _read_all(images, keys, cache, language, progress)
    return pd.DataFrame(
        {
            "text": [printed_text(readings[content].words, confidence) for content in images],
            "reason": [readings[content].reason for content in images],
        },
        index=pd.Index(list(images), dtype="str", name="content"),
        dtype="str",
    )


def printed_text(words: list[tuple[str, int]], confidence: int) -> str:
    """Join the words of at least this confidence (0 to 100); return "" where they look like chance.

    Fewer than two words, or none of three letters, look like chance.

    >>> printed_text([("red", 90), ("mug", 60), ("|", 95)], confidence=60)
    'red mug'
    """
    sure = [word for word, found in words if found >= confidence and any(map(str.isalnum, word))]
    most_letters = max((sum(map(str.isalpha, word)) for word in sure), default=0)
    return " ".join(sure) if len(sure) >= 2 and most_letters >= 3 else ""


def read_image(path: str, language: str = "eng") -> Reading:
    """Return the words of one image in reading order; a failure gives no words and the reason."""
    try:
        return Reading(_recognise_words(_resize_for_ocr(open_image(path)), language))
    except ImageError as error:
        return Reading([], str(error))
    except (RuntimeError, OSError, ValueError) as error:
        slow = "timeout" in str(error)  # pytesseract has no class for it
        return Reading([], f"Tesseract took over {TIMEOUT_SECONDS} seconds" if slow else "Tesseract failed")


def _read_all(
    images: Mapping[str, str],
    keys: Mapping[str, str],
    cache: FindingsCache | None,
    language: str,
    progress: bool,
) -> dict[str, Reading]:
    from tqdm.auto import tqdm

    contents = list(images)
    known = cache.get(OCR, keys.values()) if cache else {}
    readings = {content: Reading(known[keys[content]]) for content in contents if keys[content] in known}
    new = [content for content in contents if content not in readings]
    read = partial(read_image, language=language)
    bar = tqdm(
        total=len(contents), initial=len(readings), desc="print in images", unit="image", disable=not progress
    )
    with bar, _one_thread_each(), ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(new), IMAGES_PER_CHUNK):
            chunk = new[start : start + IMAGES_PER_CHUNK]
            fresh = dict(zip(chunk, threads.map(read, [images[content] for content in chunk]), strict=True))
            if cache:
                done = {keys[content]: one.words for content, one in fresh.items() if one.reason is None}
                cache.put(OCR, done)
            readings |= fresh
            bar.update(len(chunk))
    return readings


def _find_tesseract(language: str) -> str:
    """Return Tesseract's version, once it has read an empty image in this language."""
    engine = _tesseract()
    try:
        version = str(engine.get_tesseract_version())
    except (engine.TesseractNotFoundError, SystemExit) as error:  # it exits over an unreadable version
        raise OcrMissing(f"Tesseract was not found on the PATH: install it ({INSTALL})") from error
    try:
        _recognise_words(np.full((32, 32), 255, np.uint8), language)
    except (RuntimeError, OSError) as error:
        raise OcrMissing(
            f"Tesseract {version} cannot read {language!r} ({str(error)[:200]}): install the language, such as "
            "apt install tesseract-ocr-deu for deu, or name another; languages are joined as in eng+deu"
        ) from error
    return version


def _resize_for_ocr(image: "Image") -> "Image":
    """Return the image in grey and of a size that Tesseract reads well: it misses the low letters of small images."""
    from PIL import Image

    grey = image.convert("L")
    if max(grey.size) < DOUBLE_BELOW:
        return grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.BICUBIC)
    grey.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return grey


def _recognise_words(image: "Image | np.ndarray", language: str) -> list[tuple[str, int]]:
    engine = _tesseract()
    table = engine.image_to_data(
        image, lang=language, config=PAGE_MODE, output_type=engine.Output.DICT, timeout=TIMEOUT_SECONDS
    )
    pairs = zip(table.get("text", []), table.get("conf", []), strict=False)
    return [(word.strip(), int(found)) for word, found in pairs if word.strip()]  # layout rows have no words


def _tesseract() -> Any:
    """Return the module that runs Tesseract, with its settings."""
    from pytesseract import pytesseract

    return pytesseract


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit Tesseract to one thread per image, since there is one image per core; set its environment, not ours."""
    engine = _tesseract()
    before = engine.environ
    engine.environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        yield
    finally:
        engine.environ = before
