"""The files of a dataset: where its images lie."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mmlab.ingest.sources.text_files import replace_surrogates

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jfif", ".jpe", ".jp2", ".j2k", ".jpf",
)  # fmt: skip


def files_below(root: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[str]:
    """Return the files with these suffixes in any case: relative to root, with forward slashes, sorted.

    Hidden files and folders are skipped; links that lead out of `root` or to folders are not followed.
    """
    names: list[str] = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        here = Path(folder)
        names += [
            (here / name).relative_to(root).as_posix()
            for name in files
            if os.path.splitext(name)[1].lower() in suffixes
            and not name.startswith(".")
            and _stays_below(here / name, root)
        ]
    return sorted(names)


def unlisted_images(root: Path, images: Iterable[str]) -> list[str]:
    """Return the image files below root that are not among `images`, however those are spelled."""
    listed = {_relative_name(image, root) for image in images}
    return [name for name in map(replace_surrogates, files_below(root)) if name not in listed]


def place_images(
    names: Iterable[str], table: Path, root: Path, subfolders: Sequence[str]
) -> tuple[Path, dict[str, str]]:
    """Return the root, and the names relative to it of those images that are found.

    They are looked for beside the table and in the folder above, then in the subfolders of both. Where one lies
    outside of the root, the root becomes the folder above the table.
    """
    bases = (table.parent, table.parent.parent)
    folders = [base / name for name in ("", *subfolders) for base in bases if (base / name).is_dir()]
    found = {name: folder for name in dict.fromkeys(names) if (folder := _folder_of(name, folders))}
    used = set(found.values())
    if not all(folder.is_relative_to(root) for folder in used):
        root = table.parent.parent
    prefixes = {folder: folder.relative_to(root).as_posix() + "/" for folder in used}
    return root, {name: prefixes[folder].removeprefix("./") + name for name, folder in found.items()}


def _folder_of(name: str, folders: list[Path]) -> Path | None:
    if not name or os.path.isabs(name):
        return None
    return next((folder for folder in folders if os.path.isfile(folder / name)), None)


def _stays_below(path: Path, root: Path) -> bool:
    return not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _relative_name(image: str, root: Path) -> str:
    """Return one spelling of a name as it may be written: relative to root where it lies below."""
    name = os.path.normpath(image.strip().replace("\\", "/"))
    return os.path.relpath(name, root).replace("\\", "/") if os.path.isabs(name) else name
