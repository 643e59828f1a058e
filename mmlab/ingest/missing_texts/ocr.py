"""Read what is printed in images, with Tesseract: the last resort for images that come without a text."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from mmlab.ingest.findings_cache import Memo
from mmlab.items import ImageError, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

KIND = "ocr"
CHUNK = 100  # images between two looks into the memo
TIMEOUT = 60  # seconds that Tesseract may take for one image
SMALL, LARGEST = 1000, 3000  # pixels of the longer side: below the first, images are doubled
PAGE = "--psm 3"  # looks for blocks of text; the modes that expect some (6, 11) see words in any photograph
METHOD = f"{PAGE} x2<{SMALL} <{LARGEST}"  # part of the memo's key: other ways read other words
INSTALL = "apt install tesseract-ocr, conda install -c conda-forge tesseract, or brew install tesseract"


class OcrMissing(RuntimeError):
    """Tesseract or its data for a language is not installed; the message says how to install it."""


class Reading(NamedTuple):
    """The words of one image with Tesseract's confidence in them (0 to 100), or why it was not read."""

    words: list[tuple[str, int]]
    reason: str | None = None


def read_printed(
    images: Mapping[str, str],
    memo: Memo | None,
    language: str = "eng",
    confidence: int = 60,
    progress: bool = True,
) -> pd.DataFrame:
    """Text and reason, indexed by content: what is printed in each image.

    `images` maps content hashes to files. `text` is "" where nothing is printed: words below the `confidence`
    (0 to 100) do not count, and fewer than two words, or none of three letters, are taken for chance. `reason`
    says why an image could not be read, and is missing for the others. The words are kept in `memo` with their
    confidences, so that another threshold reads no image again; failures are tried again.
    Raises OcrMissing where Tesseract or the language is not there.
    """
    version = _find_engine(language) if images else ""
    keys = {content: f"{content} {language} {version} {METHOD}" for content in images}
    readings = _read_all(images, keys, memo, language, progress)
    return pd.DataFrame(
        {
            "text": [printed_text(readings[content].words, confidence) for content in images],
            "reason": [readings[content].reason for content in images],
        },
        index=pd.Index(list(images), dtype="str", name="content"),
        dtype="str",
    )


def printed_text(words: list[tuple[str, int]], confidence: int) -> str:
    """The words that are sure enough, joined by spaces; "" where they look like chance."""
    sure = [word for word, found in words if found >= confidence and any(map(str.isalnum, word))]
    longest = max((sum(map(str.isalpha, word)) for word in sure), default=0)
    return " ".join(sure) if len(sure) >= 2 and longest >= 3 else ""


def read_image(path: str, language: str = "eng") -> Reading:
    """The words of one image in reading order; an image that fails gives none and the reason."""
    try:
        return Reading(_words(_enlarged(open_image(path)), language))
    except ImageError as error:
        return Reading([], str(error))
    except (RuntimeError, OSError, ValueError) as error:
        slow = "timeout" in str(error)  # pytesseract has no class for it
        return Reading([], f"Tesseract took over {TIMEOUT} seconds" if slow else "Tesseract failed")


def _read_all(
    images: Mapping[str, str], keys: Mapping[str, str], memo: Memo | None, language: str, progress: bool
) -> dict[str, Reading]:
    from tqdm.auto import tqdm

    readings, contents = {}, list(images)
    bar = tqdm(total=len(contents), desc="print in images", unit="image", disable=not progress)
    with bar, _one_thread_each(), ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(contents), CHUNK):
            chunk = contents[start : start + CHUNK]
            known = memo.get(KIND, [keys[content] for content in chunk]) if memo else {}
            new = [content for content in chunk if keys[content] not in known]
            read = threads.map(partial(read_image, language=language), [images[content] for content in new])
            fresh = dict(zip(new, read, strict=True))
            if memo:
                done = {keys[content]: one.words for content, one in fresh.items() if one.reason is None}
                memo.put(KIND, done)
            readings |= {content: Reading(known.get(keys[content], [])) for content in chunk} | fresh
            bar.update(len(chunk))
    return readings


def _find_engine(language: str) -> str:
    """Tesseract's version, once it has read an empty image in this language."""
    import pytesseract
    from PIL import Image

    try:
        version = str(pytesseract.get_tesseract_version())
    except (pytesseract.TesseractNotFoundError, SystemExit) as error:  # it exits over an unreadable version
        raise OcrMissing(f"Tesseract was not found on the PATH: install it ({INSTALL})") from error
    try:
        _words(Image.new("L", (32, 32), "white"), language)
    except (RuntimeError, OSError) as error:
        raise OcrMissing(
            f"Tesseract {version} cannot read {language!r} ({str(error)[:200]}): install the language, such as "
            "apt install tesseract-ocr-deu for deu, or name another; languages are joined as in eng+deu"
        ) from error
    return version


def _enlarged(image: "Image") -> "Image":
    """In grey, and of a size that Tesseract reads well: letters of a small image are too low for it."""
    from PIL import Image

    grey = image.convert("L")
    if max(grey.size) < SMALL:
        return grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.BICUBIC)
    grey.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return grey


def _words(image: "Image", language: str) -> list[tuple[str, int]]:
    import pytesseract

    table = pytesseract.image_to_data(
        image, lang=language, config=PAGE, output_type=pytesseract.Output.DICT, timeout=TIMEOUT
    )
    pairs = zip(table.get("text", []), table.get("conf", []), strict=False)
    return [(word.strip(), int(found)) for word, found in pairs if word.strip()]  # layout has no words


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep Tesseract to one thread per image, as there is an image per core; in its environment, not ours."""
    from pytesseract import pytesseract as engine

    before = engine.environ
    engine.environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        yield
    finally:
        engine.environ = before
