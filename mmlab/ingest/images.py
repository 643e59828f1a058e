"""Look at each image file once: where it lies, its bytes' hash and its size, or the reason why it is refused.

The pictures are decoded to know that they can be, and let go: no pixels are kept.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.items import PictureError, file_hash, open_picture

CHUNK = 1000  # files handed to the threads at a time, so that a long list costs no memory


class Picture(NamedTuple):
    """What is known of one image file; where it was refused, only `reason` and `detail`."""

    path: str | None = None
    content: str | None = None
    width: int | None = None
    height: int | None = None
    reason: str | None = None
    detail: str | None = None


def image_name(entry: str) -> str:
    """An image's path inside its dataset in one spelling: forward slashes, no "./" and no "a/../"."""
    return os.path.normpath(entry.strip().replace("\\", "/")) if entry.strip() else ""


def read_pictures(folder: str | Path, names: Sequence[str], progress: bool = True) -> pd.DataFrame:
    """One row per name, in their order, indexed by it: the fields of Picture.

    The files are decoded by as many threads as there are cores.
    """
    from tqdm.auto import tqdm

    root = Path(folder).resolve()
    bar = tqdm(total=len(names), desc="images", unit="image", disable=not progress)
    with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
        found = []
        for chunk in _chunks(names):
            for picture in threads.map(lambda name: read_picture(root, name), chunk):
                found.append(picture)
                bar.update()
    pictures = pd.DataFrame(found, index=pd.Index(names, dtype="str"), columns=Picture._fields)
    strings = dict.fromkeys(("path", "content", "reason", "detail"), "str")
    return pictures.astype({**strings, "width": "Int32", "height": "Int32"})


def read_picture(root: Path, name: str) -> Picture:
    """Decode, measure and hash one file below `root`; what lies outside of it is never opened."""
    try:
        path = _locate(root, name)
        picture = open_picture(path)
        return Picture(str(path), file_hash(path), *picture.size)
    except PictureError as error:
        return Picture(reason=str(error), detail=str(error.__cause__ or ""))
    except OSError as error:  # gone between decoding and hashing
        return Picture(reason="missing file", detail=str(error))


def _locate(root: Path, name: str) -> Path:
    if not name:
        raise PictureError("no image named")
    path = root / name.replace("\0", "?")
    if os.path.isabs(name) or not Path(os.path.realpath(path)).is_relative_to(root):
        raise PictureError("path leaves the dataset")
    if not path.is_file():  # pipes and devices would block
        raise PictureError("missing file")
    return path


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), CHUNK):
        yield names[start : start + CHUNK]
