"""Recognise what kind of source a folder or a file is, and read it into one table of rows, as written.

Nothing is cleaned, opened or refused here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import pandas as pd

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.arrow_tables import read_huggingface, read_parquet
from mmlab.ingest.sources.caption_files import (
    FLICKR_FOLDERS,
    coco_folders,
    head_of,
    read_coco,
    read_flickr,
    read_karpathy,
)
from mmlab.ingest.sources.dataset_files import files_below
from mmlab.ingest.sources.folders import has_sidecars, read_images, read_sidecar
from mmlab.ingest.sources.records import parse_columns
from mmlab.ingest.sources.text_tables import read_delimited, read_json_lines
from mmlab.items import data
from mmlab.items.files import resolve

TABLE_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
HUB_ADDRESS = re.compile("hf:/+")  # a Path joins the two slashes into one
EXPECTED = (
    "a table of captions (captions.csv, .tsv, .jsonl or .parquet), a caption file of COCO, Karpathy or "
    "Flickr, a saved Hugging Face dataset, or images"
)


class Location(NamedTuple):
    """The kind of a source, its file or folder (or the id of a Hugging Face dataset), and its root folder."""

    kind: str
    path: Path | str
    root: Path


def recognise(dataset: str | Path, kind: str = "auto") -> Location:
    """Return where the source of a dataset lies; in a folder, the first of SEARCHES that finds one decides.

    kind: "auto", or the only kind to look for. Raise FileNotFoundError where nothing usable lies there, ValueError
    where one search finds several sources.
    """
    name = str(dataset)
    path = resolve(name)
    if HUB_ADDRESS.match(name) or (kind == "huggingface" and not path.exists()):
        return _hub_dataset(HUB_ADDRESS.sub("", name, count=1), kind, path)
    if path.is_file():
        return Location(_kind_of_file(path, kind), path, path.parent)
    if not path.is_dir():
        raise FileNotFoundError(f"dataset {path}: expected a folder or a file, found nothing there")
    return _search_folder(path, kind)


def _hub_dataset(name: str, kind: str, path: Path) -> Location:
    if kind not in ("auto", "huggingface"):
        raise ValueError(f"dataset hf://{name} is of the kind huggingface, found source={kind!r}")
    if not all(name.split("/")) or name.count("/") > 1:
        raise ValueError(f"dataset {name}: expected the id of a Hugging Face dataset, as hf://owner/name")
    return Location("huggingface", name, path)  # nothing lies at this root: its images come as bytes


def _search_folder(folder: Path, kind: str) -> Location:
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and entry.name[0] != ".")
    for search in SEARCHES:
        found = [(name, path) for name, path in search(folder, files) if kind in ("auto", name)]
        if len(found) > 1:
            raise ValueError(
                f"dataset {folder}: several sources lie there, {[path.name for _, path in found]}: name one, "
                "as dataset=<path of the file> or source=<its kind>"
            )
        if found:
            return Location(*found[0], folder)
    if kind == "huggingface":
        return Location(kind, folder, folder)
    raise _nothing_found(folder, kind)


Found = Iterator[tuple[str, Path]]  # kinds of sources and where they lie


def _saved_dataset(folder: Path, files: list[Path]) -> Found:
    names = {path.name for path in files}
    if "dataset_dict.json" in names or {"dataset_info.json", "state.json"} <= names:
        yield "huggingface", folder


def _tables(_: Path, files: list[Path], stem: str = "") -> Found:
    """Yield the tables with this stem, or all."""
    for path in files:
        table = TABLE_SUFFIXES.get(path.suffix.lower())
        if table and path.stem.lower() == (stem or path.stem.lower()):
            yield table, path


def _flickr_files(_: Path, files: list[Path]) -> Found:
    return (("flickr", path) for path in files if _is_flickr(path))


def _karpathy_files(_: Path, files: list[Path]) -> Found:
    return (("karpathy", path) for path in files if _is_karpathy(path))


def _coco_files(folder: Path, files: list[Path]) -> Found:
    inner = sorted(path for path in (folder / "annotations").glob("*.json") if path.is_file())
    return (("coco", path) for path in files + inner if _is_coco(path))


def _sidecars(folder: Path, _: list[Path]) -> Found:
    if has_sidecars(folder):
        yield "sidecar", folder


def _images(folder: Path, _: list[Path]) -> Found:
    if files_below(folder):
        yield "images", folder


# How a folder is searched, in this order: each search is given the folder and the files that lie directly in it.
SEARCHES: tuple[Callable[[Path, list[Path]], Found], ...] = (
    _saved_dataset,
    partial(_tables, stem="captions"),
    partial(_tables, stem="metadata"),
    _flickr_files,
    _karpathy_files,
    _coco_files,
    _tables,
    _sidecars,
    _images,
)


def _is_flickr(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith((".token", ".token.txt")):
        return ".lemma." not in name  # lemmas are no captions
    if name == "captions.txt":
        return head_of(path).startswith("image,caption")
    return name.endswith(".csv") and head_of(path).startswith("image_name|")


def _is_karpathy(path: Path) -> bool:
    return path.match("dataset_*.json") and _mentions(path, "images", "sentences")


def _is_coco(path: Path) -> bool:
    return path.match("captions_*.json")


def _kind_of_file(path: Path, kind: str) -> str:
    if kind in ("sidecar", "images", "huggingface"):
        raise ValueError(f"dataset {path}: expected a folder for the kind {kind}, found a file")
    if kind != "auto":
        return kind
    for name, is_kind in (("flickr", _is_flickr), ("karpathy", _is_karpathy), ("coco", _is_coco)):
        if is_kind(path):
            return name
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return TABLE_SUFFIXES[suffix]
    if suffix == ".json" and _mentions(path, "sentences"):
        return "karpathy"
    if suffix == ".json" and _mentions(path, "annotations"):
        return "coco"
    raise ValueError(f"dataset {path}: expected {EXPECTED}; found {path.name}: name its kind by source=")


def _mentions(path: Path, *names: str) -> bool:
    """Return whether a JSON file contains all these names; what it says about them is for its reader."""
    content = path.read_bytes()
    return all(f'"{name}"'.encode() in content for name in names)


def _nothing_found(folder: Path, kind: str) -> FileNotFoundError:
    found = sorted(entry.name for entry in folder.iterdir())[:10] or "an empty folder"
    expected = EXPECTED if kind == "auto" else f"a source of the kind {kind}"
    advice = "give the path of the file if it lies elsewhere or has another name"
    return FileNotFoundError(f"dataset {folder}: expected {expected}; found {found}: {advice}")


# Tables with any columns, one record for each image or for each caption: (path, columns, blobs) -> rows.
TABLES: dict[str, Callable[[Path, Mapping[str, str], Blobs], pd.DataFrame]] = {
    "csv": partial(read_delimited, delimiters=",;"),
    "tsv": partial(read_delimited, delimiters="\t"),
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "huggingface": read_huggingface,
}
# Formats with fixed fields: path -> rows.
FIXED_FORMATS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "coco": read_coco,
    "karpathy": read_karpathy,
    "flickr": read_flickr,
    "sidecar": read_sidecar,
    "images": read_images,
}
# Where the images of a format usually lie, the preferred folders first: path -> folders.
IMAGE_FOLDERS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "coco": coco_folders,
    "karpathy": lambda _: FLICKR_FOLDERS,
    "flickr": lambda _: FLICKR_FOLDERS,
}
KINDS = (*TABLES, *FIXED_FORMATS)


class Source(NamedTuple):
    """What was read of a dataset. No image file was looked for.

    kind: one of KINDS.
    root: the folder where relative names start.
    rows: one line per caption, or per image without one, indexed by `row` from 1 in the source's order:
        image: the name as written, a relative or absolute path or an address; "" where there is none.
        caption: as written; "" where there is none.
        origin: "caption", or "alt" where the captions are the alternative texts of a web page.
        label, split: text, missing where the source has none.
        file: the absolute path of an image whose bytes came inside the source, missing otherwise.
        problem, detail: "malformed row" and what was expected and found, where the entry could not be read. Such a
            row has the image and the caption that could be saved, else the raw text as caption.
        table: the file that the row was read from, relative to root with forward slashes; missing where there is none.
        address: where the image lies on the web, for where the file of the name `image` is not at hand; missing where
            the source has none.
        then the user's own columns: text, Int64, float64 or boolean.
    image_folders: the folders where the images of this format usually lie, relative to root, the preferred first.
    tables: the files that were read, as in the column table.
    unread: the files below root that look like data and were passed over: why, and what to do.
    notes: what was guessed, in sentences.
    """

    kind: str
    root: Path
    rows: pd.DataFrame
    image_folders: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    unread: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()


def read_source(
    dataset: str | Path,
    kind: str = "auto",
    columns: Mapping[str, str] | Iterable[str] = (),
    blobs: Blobs | None = None,
) -> Source:
    """Read a folder, a file, or a dataset of Hugging Face by its id ("hf://owner/name").

    kind: one of KINDS, or "auto" to recognise it. columns: names that a table has for image, caption, label and
    split, as a dict or as texts like "image=url"; those that it does not mention are recognised by usual names.
    blobs: keeps the images whose bytes come inside the source, by default in data/cache/images.

    Raise FileNotFoundError or ValueError where the source as a whole cannot be read, saying what was expected, what
    was found and what to do; a single entry that cannot be read is a row with a `problem`.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"source: expected auto, {', '.join(KINDS)}; found {kind!r}")
    mapped = parse_columns(columns)
    found = recognise(dataset, kind)
    if found.kind in FIXED_FORMATS:
        if mapped:
            raise ValueError(
                f"dataset {dataset}: a source of the kind {found.kind} has fixed fields; leave columns out, "
                f"found {mapped}"
            )
        rows = FIXED_FORMATS[found.kind](Path(found.path))
        folders = IMAGE_FOLDERS.get(found.kind, lambda _: ())(Path(found.path))
        return _with_table(Source(found.kind, found.root, rows, folders), found)
    path = cast(Path, found.path)  # a text is the id of a dataset on the Hub, which its reader expects
    rows = TABLES[found.kind](path, mapped, blobs or Blobs(data() / "cache" / "images"))
    return _with_table(Source(found.kind, found.root, rows), found)


def _with_table(source: Source, found: Location) -> Source:
    """Name the file that was read, where it is one."""
    if isinstance(found.path, str) or not found.path.is_file():
        return source
    table = found.path.relative_to(found.root).as_posix()
    return source._replace(
        rows=source.rows.assign(table=pd.array([table] * len(source.rows), "str")), tables=(table,)
    )
