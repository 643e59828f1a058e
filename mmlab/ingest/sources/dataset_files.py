"""The image files of a dataset, and those that a reader looks for beside them."""

import os
from collections.abc import Collection
from pathlib import Path

from mmlab.ingest.file_walk import walk_files

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jfif", ".jpe", ".jp2", ".j2k", ".jpf",
)  # fmt: skip


def files_below(root: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[str]:
    """Return the files with these suffixes in any case: relative to root, with forward slashes, sorted.

    Hidden files and folders are skipped. Files behind a link that leads out of `root` are there too; whether they
    may be used is decided when images are found.
    """
    return [name for name in walk_files(root).names if os.path.splitext(name)[1].lower() in suffixes]
