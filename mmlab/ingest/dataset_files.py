"""The files of a dataset: the one place where they are walked and opened, so that nothing else is read.

The rule: a file belongs to the dataset where, all links resolved, it lies in one of its roots. These are the folder as
it was given and, for a table that was named itself, the folder of its dataset. A link that leads out of them is not
followed unless `follow_links` says so; then the folder where it ends is a root too. Images are found under the same
rule by `mmlab.ingest.images.image_index`, to which the folder that `images_at` names is one more root.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from mmlab.items.files import open_regular

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jfif", ".jpe", ".jp2", ".j2k", ".jpf",
    *((".heic", ".heif") if find_spec("pillow_heif") else ()),
)  # fmt: skip
MAX_FILES = 1_000_000  # a walk ends there: a link may lead to the whole disk
MAX_LINK_BYTES = 1024  # of a file that git wrote in place of a link
KIND_FOLDERS = {  # folders that say what lies in them, so that images/train/1.jpg and captions/train/1.txt match
    "images", "image", "imgs", "img", "jpg", "jpgs", "jpegs", "png", "photos", "photo", "captions", "caption", "texts",
    "text", "txt", "txts", "labels", "label", "annotations", "descriptions", "prompts", "sentences",
}  # fmt: skip
# folders of tables, whose dataset is the folder above
TABLE_FOLDERS = {*KIND_FOLDERS, "lists", "meta", "metadata", "splits", "data"}
LEADS_OUT = "a link that leads out of the dataset: give -p follow_links=true"


@dataclass
class _Roots:
    """The real paths of the folders that may be read, and whether the ends of links join them."""

    folders: list[str]
    follow_links: bool


_ROOTS: ContextVar[_Roots | None] = ContextVar("roots of the dataset that is read", default=None)


@contextmanager
def reading(dataset: Path, follow_links: bool = False) -> Iterator[None]:
    """Let the block open the files of one dataset only.

    dataset: a folder, or a table in the folder of its dataset or in a folder of tables there.
    """
    root = Path(os.path.realpath(dataset if dataset.is_dir() else dataset.parent))
    if not dataset.is_dir() and root.name.lower() in TABLE_FOLDERS:
        root = root.parent
    token = _ROOTS.set(_Roots(inside_folders(root), follow_links))
    try:
        yield
    finally:
        _ROOTS.reset(token)


def is_given(path: str | Path) -> bool:
    """Return whether a file may be read: in the dataset that is being read, where one is."""
    roots = _ROOTS.get()
    return roots is None or is_inside(os.path.realpath(path), roots.folders)


def follow(targets: Iterable[str]) -> None:
    """Make the ends of links roots of the dataset that is being read, where its links are followed."""
    roots = _ROOTS.get()
    if roots is not None and roots.follow_links:
        roots.folders += targets


def open_given(path: str | Path) -> BinaryIO:
    """Open a file of the dataset for reading; raise ValueError where it leads out, OSError where it is no plain file.

    A pipe or a device is never waited for.
    """
    real = os.path.realpath(path)
    if not is_given(real):
        raise ValueError(f"{path} is {LEADS_OUT}")
    return open_regular(real, follow_link=False)  # a link that was put there since is not followed


def list_given(folder: Path, suffixes: tuple[str, ...] = ("",)) -> list[Path]:
    """Return what lies in a folder of the dataset, sorted, without what leads out; nothing of a folder outside.

    suffixes: in small letters, of the names to return; all by default.
    """
    if not is_given(folder):
        return []
    with os.scandir(folder) as entries:
        named = (entry for entry in entries if entry.name.lower().endswith(suffixes))
        return sorted(Path(entry.path) for entry in named if not entry.is_symlink() or is_given(entry.path))


def inside_folders(root: Path) -> list[str]:
    """Return the folders that links may lead to: root, and the blobs beside a snapshot of a Hugging Face cache."""
    snapshots = [folder for folder in (root, *root.parents) if folder.parent.name == "snapshots"]
    blobs = [folder.parents[1] / "blobs" for folder in snapshots]
    return [str(folder) for folder in (root, *blobs) if folder == root or folder.is_dir()]


def is_inside(path: str, folders: list[str]) -> bool:
    """Return whether a real path is one of the folders or lies below one of them."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


@dataclass
class FileTree:
    """The files below a folder.

    Hidden files and folders are left out, and so are links to folders inside, whose files are there without them.

    Attributes:
        root: the folder, resolved.
        names: of the files, relative to root with forward slashes, sorted.
        linked: of these, those that lie outside: the name -> the link that leads there (itself, or a folder above).
        links: the links that lead out: the name -> the file or folder where it ends.
        written: the links that git wrote as text: the name -> the file or folder that it names.
        complete: False where the walk ended at `MAX_FILES`.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    linked: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    complete: bool = True

    def path(self, name: str) -> str:
        """Return the absolute path of one of the files."""
        link = self.linked.get(name)
        if link is None:
            return self.written.get(name) or os.path.join(self.root, name)
        return self.links[link] + name[len(link) :]


def walk_files(root: Path, max_files: int = MAX_FILES) -> FileTree:
    """Return the files below a folder; none where it is not there. Folders that cannot be read count as empty.

    The files of a Hugging Face cache are links into the `blobs` of their own repository, which does not lead out.
    Where git could make no links, as on Windows, it writes a text file with the path: that is a link too, one to a file
    only where it leads nowhere else.
    """
    tree = FileTree(Path(os.path.realpath(root)))
    walk = _Walk(tree, inside_folders(tree.root), {str(tree.root)}, [("", "", str(tree.root))])
    while walk.waiting and tree.complete:
        walk.read_folder(*walk.waiting.pop())
        tree.complete = len(tree.names) < max_files
    tree.names.sort()
    return tree


@dataclass
class _Walk:
    """A walk under way: where links may lead, the folders that were seen, and those to be read.

    `waiting` holds their names, the link that each lies behind, and their real paths.
    """

    tree: FileTree
    inside: list[str]
    seen: set[str]
    waiting: list[tuple[str, str, str]]

    def read_folder(self, folder: str, link: str, path: str) -> None:
        """Add the files of one folder, and its folders to those that are waiting."""
        for entry in _entries(path):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                self.follow(name, link, os.path.realpath(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                self.waiting.append((name, link, entry.path))
            elif entry.is_file(follow_symlinks=False):
                self.add_file(name, link, entry)

    def add_file(self, name: str, link: str, entry: os.DirEntry[str]) -> None:
        """Add a file that is no link, or follow what git wrote in place of one."""
        small = not link and 0 < entry.stat(follow_symlinks=False).st_size <= MAX_LINK_BYTES
        target = written_link(entry.path, self.inside) if small else ""
        if target:
            self.tree.written[name] = target
        if os.path.isdir(target):
            self.follow(name, link, target)
        else:
            self.add(name, link)

    def follow(self, name: str, link: str, target: str) -> None:
        """Add the file that a link leads to; a folder waits, unless it lies inside and is read there anyway."""
        leads_out = not is_inside(target, self.inside)
        if leads_out and os.path.exists(target):
            self.tree.links[name] = target
        if os.path.isfile(target):
            self.add(name, link or (name if leads_out else ""))
        elif os.path.isdir(target) and leads_out and target not in self.seen:
            self.seen.add(target)
            if not is_inside(str(self.tree.root), [target]):
                self.waiting.append((name, link or name, target))

    def add(self, name: str, link: str) -> None:
        """Add a file, and the link that it lies behind."""
        self.tree.names.append(name)
        if link:
            self.tree.linked[name] = link


def written_link(path: str, inside: list[str]) -> str:
    """Return the file or folder that a small text file names, as git writes a link; "" where it is none.

    A link to a folder has no suffix. One to a file has the suffix of the file, or leads to one without a suffix, as the
    blobs of a Hugging Face cache are; it must lie in one of the folders `inside`.
    """
    try:
        with open_given(path) as file:
            text = file.read(MAX_LINK_BYTES).decode("utf-8")
    except (OSError, ValueError):
        return ""
    suffix, own = (os.path.splitext(name)[1].lower() for name in (text, path))
    to_file = suffix == own != "" or (not suffix and "/" in text)
    if not text or "\n" in text or "\0" in text or not (to_file or not own):
        return ""
    target = os.path.realpath(os.path.join(os.path.dirname(path), text))
    is_link = to_file and is_inside(target, inside) and os.path.isfile(target)
    return target if is_link or (not own and os.path.isdir(target)) else ""


def group_links(linked: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files behind each link that leads out; links of single files together by their folder.

    linked: name -> the link that it lies behind, as in `FileTree.linked`.

    >>> group_links({"a.txt": "a.txt", "b.txt": "b.txt", "more/c.txt": "more"})
    {'*': ['a.txt', 'b.txt'], 'more': ['more/c.txt']}
    """
    groups: dict[str, list[str]] = {}
    for name, link in linked.items():
        place = f"{name.rpartition('/')[0]}/*".lstrip("/") if link == name else link
        groups.setdefault(place, []).append(name)
    return groups


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError:
        return
