"""Choose what is read of a folder: the tables that are one source, or texts beside images; and what is passed over."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmlab.ingest.dataset_files import (
    IMAGE_SUFFIXES,
    LEADS_OUT,
    TABLE_FOLDERS,
    FileTree,
    follow,
    group_links,
    inside_folders,
    is_given,
    list_given,
    open_given,
    walk_files,
    written_link,
)
from mmlab.ingest.sources.cells import split_in
from mmlab.ingest.sources.folders import TEXT_SUFFIXES, are_texts, match_texts
from mmlab.ingest.sources.joins import Side, find_joins, open_side, why_alone
from mmlab.ingest.sources.kinds import (
    FIXED,
    FOLDERS,
    HERE,
    LAST,
    NOT_HERE,
    NOT_READ,
    ON_THE_WEB,
    PREFERRED,
    SUFFIXES,
    TABLES,
    Columns,
    DataFile,
    folded,
    kind_of,
    look_at,
    names_on_disk,
    split_of,
)
from mmlab.ingest.sources.text_files import NUMBERED_SUFFIX, PACKED

MAX_DEPTH = 5  # of folders in which tables are looked for
MAX_LOOKS = 200  # files whose content is looked at
FAMILY = 8  # files whose names differ in numbers only, from which on the first stands for all
MAX_FILES_NEAR = 100_000  # that are looked at for a table that was named alone
TEXTS_LOOKED_AT = 20  # that are found beside images
NO_DATA = re.compile(r"(readme|licen[cs]e|citation|requirements|changelog|notice)", re.IGNORECASE)
ANSWERS = re.compile(r"(^|[_-])submission", re.IGNORECASE)  # a form that competitions give out
SAME_KINDS = ({"csv", "tsv", "flickr", "text"}, {"json", "jsonl", "coco", "karpathy"})
EXPECTED = (
    "a table with a column of images and one of texts (.csv, .tsv, .json, .jsonl, .parquet, .xlsx), a caption file of "
    "COCO, Karpathy or Flickr, webdataset archives, a saved Hugging Face dataset, PDFs, or images"
)


class Choice(NamedTuple):
    """What is read: files, or images with the text files that belong to them; and what is not, with the reason.

    tree: the files of the folder, None where a file was named.
    """

    kind: str
    root: Path
    files: list[DataFile]
    images: list[str]
    texts: dict[str, Path]
    unread: dict[str, str]
    on_disk: Callable[[str], bool]
    tree: FileTree | None = None


def choose(folder: Path, kind: str, columns: Columns) -> Choice:
    """Choose what is read of a folder.

    kind: "auto", or the only kind to look for. Raise FileNotFoundError where nothing usable lies there, ValueError
    where several sources do and none comes before the others, or where the one table cannot be read.
    """
    folder = snapshot_of(folder)
    found = _Folder(folder, kind)
    if kind == "huggingface" or (kind == "auto" and is_saved_dataset(folder)):
        return found.choice("huggingface", [DataFile("huggingface", folder, "")])
    if kind not in FOLDERS:
        found.look_at_files(columns)
    best = found.best()
    joined = found.joined(best, columns)
    if joined:
        return found.choice(joined[0].kind, joined)
    if best is not None:
        return found.choice(best.kind, found.parts_of(best))
    found.raise_failure(columns)
    if found.sidecars and kind in ("auto", "sidecar"):
        return found.choice("sidecar", [])
    if found.images and kind in ("auto", "images", "sidecar"):
        return found.choice("images" if kind == "auto" else kind, [])
    raise _nothing_found(folder, kind, found.unread)


def choose_file(path: Path, kind: str, columns: Columns) -> Choice:
    """Return the choice of the one file that was named; raise ValueError where it has no such kind."""
    if kind in ("huggingface", *FOLDERS):
        raise ValueError(f"dataset {path}: expected a folder for the kind {kind}, found a file")
    content = Path(written_link(str(path), inside_folders(path.parent)) or path)
    seen = kind_of(content, path.name) if kind == "auto" else kind
    if not seen:
        raise ValueError(f"dataset {path}: expected {EXPECTED}; found {path.name}: name its kind by source=")
    seen = "csv" if seen == "text" else seen
    file = DataFile(seen, content, path.name, split=split_in(path.stem))
    return Choice(seen, path.parent, [file], [], {}, {}, names_on_disk(_images_near(path)))


def _images_near(path: Path) -> list[str]:
    """Return images below the folder of a table, and the one above where this is a folder of tables; a bounded look."""
    above = [path.parent.parent] if path.parent.name.lower() in TABLE_FOLDERS else []
    trees = [walk_files(folder, MAX_FILES_NEAR) for folder in (path.parent, *above)]
    return [name for tree in trees for name in tree.names if _suffix(name) in IMAGE_SUFFIXES]


def snapshot_of(folder: Path) -> Path:
    """Return the newest files of a repository of a Hugging Face cache that is given as a whole, else the folder."""
    snapshots = folder / "snapshots"
    if not (snapshots.is_dir() and ((folder / "refs").is_dir() or (folder / "blobs").is_dir())):
        return folder
    main = folder / "refs" / "main"
    revision = ""
    if main.is_file() and is_given(main):
        with open_given(main) as file:
            revision = file.read(100).decode("utf-8", "replace").strip()
    revisions = sorted(list_given(snapshots), key=lambda path: (path.name == revision, path.stat().st_mtime))
    return revisions[-1] if revisions else folder


def is_saved_dataset(folder: Path) -> bool:
    """Return whether save_to_disk wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("dataset_info.json", "state.json")
    )


class _Folder:
    """What lies in a folder, and what is known of each file."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind, self.tree = folder, kind, walk_files(folder)
        self.images = [name for name in self.tree.names if _suffix(name) in IMAGE_SUFFIXES]
        self.others, self.unread = self._others()
        self.on_disk = names_on_disk(self.images)
        self.families: list[list[str]] = []
        self.files: list[DataFile] = []
        self.failures: dict[str, Exception] = {}
        self.sidecars = self._sidecars()

    def _others(self) -> tuple[list[str], dict[str, str]]:
        """Return the files that may hold texts, and why some are not read: their kind, or a link that leads out."""
        suffixes = {*TEXT_SUFFIXES, *SUFFIXES, *NOT_READ, *PACKED}
        others = [name for name in self.tree.names if _suffix(name) in suffixes]
        follow(self.tree.links.values())
        behind = {name: self.tree.linked[name] for name in others if name in self.tree.linked}
        behind = {name: link for name, link in behind.items() if not is_given(self.path(name))}
        others = [name for name in others if name not in behind]
        unread = {
            name: f"not read: {NOT_READ[_suffix(name)]}" for name in others if _suffix(name) in NOT_READ
        }
        for link, names in group_links(behind).items():
            where = f"{len(names):,} texts or tables lie behind {link}, " if len(names) > 1 else ""
            unread[link if where else names[0]] = f"not read: {where}{LEADS_OUT}"
        return others, unread

    def path(self, name: str) -> Path:
        """Return where the content of a file lies."""
        return Path(self.tree.path(name))

    def _sidecars(self) -> dict[str, str]:
        texts = match_texts(self.images, self.others)
        shared = {
            name
            for name in texts.values()
            if _suffix(name) == ".json" and kind_of(self.path(name), name) in FIXED
        }
        texts = {image: name for image, name in texts.items() if name not in shared}
        if texts and not are_texts(map(self.path, sorted(set(texts.values()))[:TEXTS_LOOKED_AT])):
            self.unread |= dict.fromkeys(list(texts.values())[:1000], "it holds numbers only, no text")
            return {}
        return texts

    def look_at_files(self, columns: Columns) -> None:
        """Look at the files that may be tables; those that are none are unread, with the reason."""
        stems = {os.path.splitext(name)[0] for name in self.images}
        beside = {
            name
            for name in self.others
            if _suffix(name) in TEXT_SUFFIXES and os.path.splitext(name)[0] in stems
        }
        beside |= set(self.sidecars.values())
        families: dict[tuple[str, str], list[str]] = {}
        for name in self.others:
            known = name in beside or name in self.unread or NO_DATA.match(name.rpartition("/")[2])
            if not known and _suffix(name) == DOCUMENT:
                self._add_document(name)
            elif not known and name.count("/") <= MAX_DEPTH:
                families.setdefault(_family(name), []).append(name)
        for number, names in enumerate(families.values()):
            several = len(names) >= FAMILY
            self.families += [names] if several else [[name] for name in names]
            for name in names[:1] if several else names:
                file = self._look(name, columns) if number < MAX_LOOKS else None
                if file:
                    others = names[1:] if several else []
                    self.files += [file, *(_like(file, self.path(other), other) for other in others)]

    def _add_document(self, name: str) -> None:
        """Add a PDF, unopened; beside images it is more likely a manual or a paper about them."""
        if self.images and self.kind == "auto":
            self.unread[name] = NOT_BESIDE_IMAGES
        elif name.count("/") <= MAX_DEPTH:
            file = DataFile("pdf", self.path(name), name, ("pdf",), place=LAST, split=split_of(name))
            self.files.append(file)

    def _look(self, name: str, columns: Columns) -> DataFile | None:
        path = self.path(name)
        if ANSWERS.search(name.rpartition("/")[2]):
            self.unread[name] = "a form for the answers of a competition, no captions"
            return None
        try:
            return look_at(path, name, columns, self.on_disk, self.kind)
        except (ValueError, OSError, ModuleNotFoundError) as error:
            self.failures[name] = error
            self.unread[name] = _reason(error, path, name)
        return None

    def best(self) -> DataFile | None:
        """Return the file that comes before all others; None where images and what lies beside them do."""
        files = [file for file in self.files if self._has_kind(file.kind)]
        exact = [file for file in files if file.kind == self.kind] or files
        texts = [file for file in exact if file.texts]
        if self.sidecars and self.kind == "auto":
            texts = [file for file in texts if file.place == HERE and not file.web]
        usable = texts or ([] if self.sidecars and self.kind == "auto" else exact)
        return min(usable, key=lambda file: (file.order, file.name), default=None)

    def _has_kind(self, kind: str) -> bool:
        return self.kind in ("auto", kind) or any({self.kind, kind} <= same for same in SAME_KINDS)

    def parts_of(self, best: DataFile) -> list[DataFile]:
        """Return the files that are read with the best one; the others are unread."""
        chosen = [best]
        for file in sorted(self.files, key=lambda file: (file.order, file.name)):
            if file == best:
                continue
            reason = _reason_against(file, best, chosen)
            if not reason:
                chosen.append(file)
            elif reason == AMBIGUOUS:
                raise self._ambiguous(best, file)
            else:
                self.unread[file.name] = reason
        return sorted(chosen, key=lambda file: _natural(file.name))

    def joined(self, best: DataFile | None, columns: Columns) -> list[DataFile]:
        """Return tables of images that have their texts in other tables; none where the best file needs no others."""
        here = best and best.texts and best.place == HERE and (best.kind in FIXED or best.has_text)
        if here or (best and best.place == LAST) or self.sidecars or self.kind not in ("auto", *TABLES):
            return []
        tables = list(filter(None, (self._side(names, columns) for names in self.families[:MAX_LOOKS])))
        try:
            found = find_joins(tables, columns)
        except ValueError:
            if best and best.texts and best.place == ON_THE_WEB:
                return []
            raise
        used = {name for file in found if file.join for name in (file.name, *file.join.names)}
        reasons = {file.name: "it is none of the tables that are joined" for file in self.files if found}
        reasons |= {file.name: why for side in tables if (why := why_alone(side)) for file in side.files}
        self.unread = {name: why for name, why in (self.unread | reasons).items() if name not in used}
        return found

    def _side(self, names: list[str], columns: Columns) -> Side | None:
        known = next((file.kind for file in self.files if file.name == names[0]), None)
        kind = known or kind_of(self.path(names[0]), names[0])
        try:
            kind = {"text": "csv"}.get(kind, kind)
            files = [DataFile(kind, self.path(name), name, split=split_of(name)) for name in names]
            return open_side(files, columns, self.on_disk) if kind in TABLES else None
        except (ValueError, OSError, ModuleNotFoundError):
            return None

    def _ambiguous(self, *files: DataFile) -> ValueError:
        named = ", ".join(f"dataset={file.path}" for file in files)
        kinds = {file.kind for file in files}
        advice = f" or source={' or '.join(sorted(kinds))}" if len(kinds) > 1 else ""
        return ValueError(
            f"dataset {self.folder}: several sources lie there, {[file.name for file in files]}: name one, "
            f"as {named}{advice}"
        )

    def raise_failure(self, columns: Columns) -> None:
        """Raise why a table could not be read, where it is the only one, or its name or `columns` say so."""
        for name, error in sorted(self.failures.items(), key=lambda one: not self._is_meant(one[0])):
            is_other = "expected a column with" in str(error) and SUFFIXES.get(_suffix(name)) in (
                "text",
                "json",
            )
            alone = not (self.images or self.sidecars or is_other)
            if alone or columns or self._is_meant(name):
                raise error

    def _is_meant(self, name: str) -> bool:
        stem = name.rpartition("/")[2].partition(".")[0].lower()
        return stem in PREFERRED and SUFFIXES.get(_suffix(name)) != "text"

    def choice(self, kind: str, files: list[DataFile]) -> Choice:
        beside = dict.fromkeys(self.sidecars.values())
        if files and beside:
            reason = f"of {len(beside):,} texts beside images, none is read where there is a table: give source=sidecar"
            self.unread |= dict.fromkeys(list(beside)[:1], reason)
        for file in self.files if not files else ():
            reason = (
                "its images lie on disk with a text beside each"
                if self.sidecars
                else "it names images without texts"
            )
            self.unread.setdefault(file.name, reason)
        sidecars = self.sidecars if kind == "sidecar" else {}
        texts = {image: self.path(name) for image, name in sidecars.items()}
        kind = {"text": "csv"}.get(kind, kind)
        return Choice(kind, self.folder, files, self.images, texts, self.unread, self.on_disk, self.tree)


AMBIGUOUS = "?"
DOCUMENT = ".pdf"
NOT_BESIDE_IMAGES = "a document beside images; source=pdf reads the pages of all documents here"


def _reason_against(file: DataFile, best: DataFile, chosen: Sequence[DataFile]) -> str:
    """Return why a file is not read together with the best one; "" where it is."""
    same = next((other for other in chosen if _share(file, other)), None)
    if same is not None:
        return f"it holds the same as {same.name}"
    if file.place == LAST and best.place != LAST:
        return f"documents are read where there is no table: to read it, give dataset={file.path}"
    parts = file.shape == best.shape and file.texts == best.texts
    parts |= bool(file.split and best.split and file.split != best.split and file.shape[:1] == best.shape[:1])
    if file.place != best.place and file.place == NOT_HERE:
        return f"none of the images that it names first is here: to read it all the same, give dataset={file.path}"
    if parts and (file.place == best.place or not file.texts):
        return ""
    if not file.texts:
        return "it names images without texts"
    return (
        AMBIGUOUS
        if file.order == best.order
        else f"another table of captions: to read it, give dataset={file.path}"
    )


def _share(one: DataFile, other: DataFile) -> bool:
    """Return whether the first pairs of two files are mostly the same."""
    pairs, others = (
        {(folded(image), text.strip()) for image, text in file.pairs if text} for file in (one, other)
    )
    return bool(pairs and others) and len(pairs & others) * 2 > min(len(pairs), len(others))


def _like(file: DataFile, path: Path, name: str) -> DataFile:
    split = split_in(os.path.splitext(os.path.basename(name))[0]) or file.split
    return file._replace(path=path, name=name, pairs=frozenset(), split=split)


def _family(name: str) -> tuple[str, str]:
    folder, _, last = name.rpartition("/")
    return folder, re.sub(r"\d+", "#", last)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    return NUMBERED_SUFFIX.sub(r"\1", suffix) if suffix[-1:].isdigit() else suffix


def _reason(error: Exception, path: Path, name: str) -> str:
    """Return why a file was passed over, in short."""
    no_images = re.search(r"expected a column with the images .* found (\[.*\]): rename", str(error))
    if no_images:
        return f"no column holds images; found {no_images[1][:300]}"
    return str(error).removeprefix(f"{name}: ").replace(str(path), path.name)[:500]


def _nothing_found(folder: Path, kind: str, unread: Mapping[str, str]) -> FileNotFoundError:
    found = sorted(entry.name for entry in folder.iterdir())[:10] or "an empty folder"
    expected = EXPECTED if kind == "auto" else f"a source of the kind {kind}"
    advice = "give the path of the file if it lies elsewhere or has another name"
    reasons = [f"{name}: {why}" for name, why in unread.items() if why.startswith("not read")]
    advice = "; ".join([*reasons[:3], advice])
    return FileNotFoundError(f"dataset {folder}: expected {expected}; found {found}: {advice}")
