"""The files that the names of a dataset can mean, from one walk; nothing is opened."""

import os
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from mmlab.ingest.dataset_files import (
    IMAGE_SUFFIXES,
    MAX_FILES,
    FileTree,
    inside_folders,
    is_inside,
    walk_files,
)
from mmlab.ingest.sources.text_files import replace_surrogates

DECIMAL = re.compile(r"\.0+$")  # pandas writes 15970 as 15970.0 where a column has gaps

Spelling = Callable[[str], str]


class ImageIndex:
    """The files below the folders that a dataset may use, each by one name.

    A file of the dataset is called by its path relative to root; one of another folder by that folder's own name and
    the path inside it, or by its whole path where the dataset uses that name.

    Attributes:
        root: the folder of the dataset, resolved.
        tree: the files below root.
        paths: the absolute paths, by their names, of files in other folders and behind links.
        linked: the names of files behind a link that leads out, and that link.
        follow_links: files behind such links may be used.
    """

    def __init__(
        self,
        root: Path,
        follow_links: bool = False,
        max_files: int = MAX_FILES,
        tree: FileTree | None = None,
    ) -> None:
        self.tree = tree or walk_files(root, max_files)
        self.root = self.tree.root
        self.follow_links = follow_links
        self.roots = [(str(self.root), "")]
        self.linked = {name: link for name, link in self.tree.linked.items() if _is_text(name)}
        self._links = self.tree.linked.keys() | self.tree.written.keys()
        self.paths = {name: self.tree.path(name) for name in self._links if _is_text(name)}
        self._known_folders: dict[str, bool] = {}
        self._spellings: dict[tuple[Spelling, int], dict[str, list[str]]] = {}

    def add_folder(self, folder: Path, prefix: str | None = None) -> str:
        """Add the files below another folder and return the name that they get; nothing below root is added twice."""
        real = Path(os.path.realpath(folder))
        if is_inside(str(real), [str(self.root)]):
            return real.relative_to(self.root).as_posix()
        for name in [name for name in self.linked if is_inside(self.paths[name], [str(real)])]:
            del self.linked[name], self.paths[name]  # the user names the folder: it needs no link
        prefix = real.name if prefix is None else prefix
        if any(name.startswith(f"{prefix}/") for name in self._names()):
            prefix = str(real)
        self.roots.append((str(real), prefix))
        tree = walk_files(real)
        self.linked |= {f"{prefix}/{name}": f"{prefix}/{link}" for name, link in tree.linked.items()}
        self.paths |= {f"{prefix}/{name}": tree.path(name) for name in tree.names if _is_text(name)}
        return prefix

    def add_files(self, folder: Path) -> None:
        """Add the image files that lie directly in another folder, by their own names."""
        with os.scandir(folder) as entries:
            files = [
                entry
                for entry in entries
                if has_image_suffix(entry.name) and entry.is_file(follow_symlinks=False)
            ]
        for entry in files:
            if _is_text(entry.name) and entry.name not in self:
                self.paths[entry.name] = entry.path

    def __contains__(self, name: str) -> bool:
        return name in self.paths or (name not in self._links and self._is_walked(name))

    def path(self, name: str) -> str:
        """Return the absolute path of one of the files."""
        return self.paths.get(name) or self.tree.path(name)

    def _is_walked(self, name: str) -> bool:
        place = bisect_left(self.tree.names, name)
        return self.tree.names[place : place + 1] == [name]

    def _names(self) -> Iterator[str]:
        """Yield the names of all files that are text, as the names in a table are."""
        own = (name for name in self.tree.names if name.isascii() or _is_text(name))
        yield from (name for name in own if name not in self._links)
        yield from self.paths

    @cached_property
    def images(self) -> list[str]:
        """The names of the image files."""
        return list(filter(has_image_suffix, self._names()))

    @cached_property
    def folders(self) -> set[str]:
        """The folders below root that hold images, also further down."""
        direct = {name.rpartition("/")[0] for name in self.images}
        return {"/".join(parts[:end]) for parts in map(_split, direct) for end in range(len(parts) + 1)}

    def by(self, spelling: Spelling, depth: int) -> dict[str, list[str]]:
        """Return the image files by the spelling of their last part and `depth` - 1 folders above it; made once."""
        if (spelling, depth) not in self._spellings:
            made = self._spellings[spelling, depth] = dict[str, list[str]]()
            for name in self.images:
                if depth == 1:
                    made.setdefault(spelling(name[name.rfind("/") + 1 :]), []).append(name)
                elif name.count("/") >= depth - 1:
                    made.setdefault(tail_key(name.split("/"), spelling, depth), []).append(name)
        return self._spellings[spelling, depth]

    def relative(self, path: str) -> str | None:
        """Return the name that an absolute path has here; None where it lies in none of the folders."""
        for root, prefix in self.roots:
            if is_inside(path, [root]):
                inner = Path(path).relative_to(root).as_posix()
                return f"{prefix}/{inner}" if prefix else inner
        return None

    def look_up(self, name: str) -> str | None:
        """Return the name of the file at this path below root, which the walk left out: hidden, or by a link inside."""
        folder, _, last = name.rpartition("/")
        if folder in self._walked and self.tree.complete and not last.startswith("."):
            return None  # it would be in the index
        path = os.path.join(self.root, name)
        if not self._exists(folder) or not os.path.isfile(path):
            return None
        real = os.path.realpath(path)
        if is_inside(real, [str(self.root)]):
            name, path = Path(real).relative_to(self.root).as_posix(), real
        elif not is_inside(real, inside_folders(self.root)):
            self.linked[name] = name
        self.paths[name] = path
        return name

    @cached_property
    def _walked(self) -> set[str]:
        return {"", *(name.rpartition("/")[0] for name in self.tree.names)}

    def _exists(self, folder: str) -> bool:
        if folder not in self._known_folders:
            self._known_folders[folder] = os.path.isdir(os.path.join(self.root, folder))
        return self._known_folders[folder]

    def unlisted(self, used: Iterable[str]) -> dict[str, str]:
        """Return the images of the dataset that are not in use, name -> path; behind links if they are followed."""
        used = set(used)
        names = (name for name in self.tree.names if self.follow_links or name not in self.linked)
        return {
            replace_surrogates(name): replace_surrogates(self.tree.path(name))
            for name in names
            if name not in used and has_image_suffix(name)
        }


def has_image_suffix(name: str) -> bool:
    """Return whether a name ends like those of image files, in any case."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def as_written(last: str) -> str:
    """Return the last part of a name as it is: the first and finest spelling."""
    return last


def folded(last: str) -> str:
    """Return a name without what systems change: %-encoding, composed or decomposed accents, and case."""
    text = unquote(last) if "%" in last else last
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).casefold()


def stem(last: str) -> str:
    """Return a folded name without the suffix of an image, and a number without decimals."""
    text = folded(last)
    root, suffix = os.path.splitext(text)
    return root if suffix in IMAGE_SUFFIXES else DECIMAL.sub("", text)


def number(last: str) -> str:
    """Return a stem without leading zeros where it is a number."""
    text = stem(last)
    return text.lstrip("0") or "0" if text.isdecimal() else text


def tail_key(parts: list[str], spelling: Spelling, depth: int) -> str:
    """Return the end of a path of `depth` parts, the last in this spelling and the folders folded."""
    return "/".join([*map(folded, parts[-depth:-1]), spelling(parts[-1])])


SPELLINGS: tuple[Spelling, ...] = (as_written, folded, stem, number)  # from the finest to the coarsest


def _is_text(name: str) -> bool:
    return replace_surrogates(name) == name


def _split(folder: str) -> list[str]:
    return folder.split("/") if folder else []
