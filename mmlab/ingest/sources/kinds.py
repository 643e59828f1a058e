"""The kinds of files that a source may consist of, and what one file says at a first look."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from mmlab.ingest.dataset_files import open_given
from mmlab.ingest.sources.caption_files import open_lists, read_coco, read_karpathy
from mmlab.ingest.sources.cells import Part, is_address, split_in
from mmlab.ingest.sources.folders import open_pdf
from mmlab.ingest.sources.json_files import open_json
from mmlab.ingest.sources.packed_tables import open_huggingface, open_parquet, open_webdataset
from mmlab.ingest.sources.ready_vectors import KIND as VECTORS
from mmlab.ingest.sources.records import Table, glance
from mmlab.ingest.sources.text_files import open_bytes, plain_suffix
from mmlab.ingest.sources.text_tables import open_delimited, open_excel

SUFFIXES = {  # of files that are looked at, without that of a packing
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "text", ".token": "text", ".lst": "text",
    ".json": "json", ".jsonl": "jsonl", ".jsonlines": "jsonl", ".ndjson": "jsonl", ".manifest": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xls": "excel", ".xlsm": "excel", ".xlsb": "excel",
    ".ods": "excel", ".tar": "webdataset", ".tgz": "webdataset", ".pdf": "pdf",
}  # fmt: skip
LIST_SUFFIXES = (".txt", ".lst")  # of files that may be lists of images, with lists of texts beside them
NOT_READ = {  # suffixes of files that look like data: what to do about them
    ".zip": "unpack it", ".7z": "unpack it", ".rar": "unpack it", ".xml": "save its captions as a table",
    ".arrow": "give the folder that holds dataset_info.json and state.json", ".feather": "save it as Parquet",
    ".pkl": "a pickle may run code: save it as Parquet or csv", ".pickle": "it may run code: save it as Parquet or csv",
    ".npz": "save it as Parquet or csv", ".npy": "save it as Parquet or csv", ".mat": "save it as Parquet or csv",
    ".h5": "save it as Parquet or csv", ".hdf5": "save it as Parquet or csv", ".lmdb": "save it as files or Parquet",
    ".tfrecord": "save it as files or webdataset", ".db": "save its table as csv", ".sqlite": "save its table as csv",
    ".heic": 'pip install "mmlab[heic]", or save it as JPEG', ".heif": 'pip install "mmlab[heic]", or save it as JPEG',
    ".svg": "save it as PNG", ".psd": "save it as PNG", ".raw": "save it as JPEG", ".dng": "save it as JPEG",
    ".jxl": "save it as JPEG or PNG", ".doc": "save its table as csv", ".docx": "save its table as csv",
    ".numbers": "save it as csv",
}  # fmt: skip
# Tables with any columns, one record for each image or for each caption.
TABLES: dict[str, Callable[[Path], Table]] = {
    "csv": open_delimited,
    "tsv": open_delimited,
    "flickr": open_delimited,
    "lists": open_lists,
    "excel": open_excel,
    "json": open_json,
    "jsonl": open_json,
    "parquet": open_parquet,
    "webdataset": open_webdataset,
    "pdf": open_pdf,
    "huggingface": open_huggingface,
}
# Formats with fixed fields.
FIXED: dict[str, Callable[[Path], Part]] = {"coco": read_coco, "karpathy": read_karpathy}
FOLDERS = ("sidecar", "images")
KINDS = (*TABLES, *FIXED, *FOLDERS, VECTORS)
FLICKR_HEAD = "image_name|"
KAGGLE_HEADS = ("image,caption", "image_name,comment_number")  # of captions.txt
PREFERRED = ("captions", "metadata")  # names of a table, before others
LEMMAS = ".lemma."
Columns = Mapping[str, list[str]]
BYTES_PER_SEARCH = 1 << 22
MAX_SEARCHED_BYTES = 2_000_000_000


HERE, ON_THE_WEB, NOT_HERE, LAST = range(4)  # places of images; the last: read where there is nothing else


class Join(NamedTuple):
    """Where a table of images has its texts: in other files, in the records whose column says what its own says.

    texts: kind and path of each file, and their names. whole: whether these texts belong to no other table of images.
    """

    texts: tuple[tuple[str, Path], ...]
    names: tuple[str, ...]
    text_column: str
    image_column: str
    whole: bool = True


class DataFile(NamedTuple):
    """A file that may be read as a table, or as a part of one.

    path: where its content lies. name: relative to the folder of the source, with the suffix that says its kind.
    shape: the names of its columns of images and of texts, which the parts of one source share. texts: whether it has
    texts. place: where its images are. pairs: its first images and texts. split: what its name says. web: whether it
    has addresses of images. join: where its texts are, if not in itself.
    """

    kind: str
    path: Path
    name: str
    shape: tuple[object, ...] = ()
    texts: bool = True
    place: int = 0
    pairs: frozenset[tuple[str, str]] = frozenset()
    split: str | None = None
    web: bool = False
    join: Join | None = None

    @property
    def has_text(self) -> bool:
        """Whether one of the first images has a text."""
        return not self.pairs or any(text for _, text in self.pairs)

    @property
    def order(self) -> tuple[int, int, int]:
        """What makes a file the first choice: where its images are, its depth, its name and kind."""
        return self.place, self.name.count("/"), self.preference

    @property
    def preference(self) -> int:
        """What the name and the kind say: the smaller, the sooner it is read."""
        stem = self.name.rpartition("/")[2].partition(".")[0].lower()
        if stem in PREFERRED:
            return PREFERRED.index(stem)
        return {"flickr": 2, "karpathy": 3, "coco": 4, "webdataset": 6}.get(self.kind, 5)


def look_at(
    path: Path, name: str, columns: Columns, on_disk: Callable[[str], bool], kind: str = "auto"
) -> DataFile:
    """Return what the first records of a file say; raise ValueError where it is no table of images."""
    found = kind_of(path, name)
    split = split_of(name)
    if LEMMAS in name.rpartition("/")[2].lower():
        raise ValueError("lemmas are no captions")
    if found in FIXED:
        texts = found != "coco" or has_captions(path)
        return DataFile(found, path, name, (found,), texts, _place_of_fixed(path, on_disk), split=split)
    if found not in TABLES and found != "text":
        raise ValueError("no table of images")
    found = "csv" if found == "text" else found
    seen = glance(TABLES[found](path), columns, name, on_disk)
    if len(seen.columns.names) == 1 and plain_suffix(Path(name)) in LIST_SUFFIXES:
        found, seen = "lists", glance(open_lists(path), columns, name, on_disk)
    pairs = frozenset(seen.pairs)
    images = [image for image, _ in pairs if image]
    web = all(map(is_address, images))
    place = HERE if not images or any(map(on_disk, images)) else ON_THE_WEB if web else NOT_HERE
    texts, web = bool(seen.columns.texts), bool(images) and (web or seen.columns.address is not None)
    return DataFile(found, path, name, seen.columns.shape, texts, place, pairs, split, web)


def split_of(name: str) -> str | None:
    """Return the split that the name of a file says, or that of the nearest folder above it."""
    *folders, last = name.split("/")
    return next(filter(None, map(split_in, [last.rpartition(".")[0], *reversed(folders)])), None)


def _place_of_fixed(path: Path, on_disk: Callable[[str], bool]) -> int:
    """Return whether images that a caption file of JSON names are on disk, by a look at its beginning and its end."""
    with open_given(path) as file:
        head = file.read(1 << 20)
        file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 20)))
        text = (head + b"\n" + file.read()).decode("utf-8", "replace")
    names = re.findall(r'"file_?name":\s*"([^"\\]{1,300})"', text)
    return HERE if not names or any(map(on_disk, names)) else NOT_HERE


def kind_of(path: Path, name: str) -> str:
    """Return the kind of a file by its name and, for JSON and text, its content; "" for a file that is none.

    text: a .txt that may be a table, or not.
    """
    name = name.rpartition("/")[2].lower()
    kind = "webdataset" if re.search(r"\.tar(\.\w+)?$", name) else SUFFIXES.get(plain_suffix(Path(name)), "")
    if kind in ("json", "jsonl"):
        return fixed_kind(path) or kind
    head = _head(path) if kind in ("csv", "text") else ""
    if name.endswith((".token", ".token.txt")) or head.startswith(FLICKR_HEAD):
        return "flickr"
    return "flickr" if name == "captions.txt" and head.startswith(KAGGLE_HEADS) else kind


def fixed_kind(path: Path) -> str:
    """Return coco or karpathy for a JSON file with their fields; what these say is for their readers."""
    found = {name for name in ("images", "annotations", "sentences", "image_id") if _mentions(path, name)}
    if found >= {"images", "sentences"}:
        return "karpathy"
    return (
        "coco" if found >= {"images", "annotations", "image_id"} or found == {"images", "annotations"} else ""
    )


def has_captions(path: Path) -> bool:
    """Return whether a COCO file mentions captions."""
    return _mentions(path, "caption")


def _mentions(path: Path, name: str) -> bool:
    """Return whether a file contains this name in quotes; a search, so that large files are not parsed twice."""
    needle, tail, read = f'"{name}"'.encode(), b"", 0
    try:
        with open_bytes(path) as file:
            while (chunk := file.read(BYTES_PER_SEARCH)) and read < MAX_SEARCHED_BYTES:
                if needle in tail + chunk:
                    return True
                tail, read = chunk[-len(needle) :], read + len(chunk)
    except (OSError, ValueError):
        return False
    return False


def _head(path: Path) -> str:
    try:
        with open_bytes(path) as file:
            return file.read(100).decode("utf-8-sig", "replace").lower()
    except (OSError, ValueError):
        return ""


def names_on_disk(images: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for whether one of the images has a name, in any folder and case, with a suffix or without."""
    names = (folded(image) for image in images)
    # of many names, 64 bits each
    known = np.unique(
        np.fromiter((hash(one) for name in names for one in (name, name.rpartition(".")[0])), np.int64)
    )

    def is_known(name: str) -> bool:
        hashes = [hash(one) for one in (folded(name), folded(unquote(name)))]
        return any(
            place < len(known) and known[place] == one
            for place, one in zip(np.searchsorted(known, hashes), hashes, strict=True)
        )

    return lambda name: bool(name) and len(name) < 1000 and is_known(name)


def folded(name: str) -> str:
    """Return the last part of a path in one case and form."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/").rpartition("/")[2]).casefold()
