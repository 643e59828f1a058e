"""The kinds of files that a source may consist of: by which suffix and content each is seen, and who opens it."""

import re
from collections.abc import Callable
from pathlib import Path

from mmlab.ingest.sources.archives import open_webdataset
from mmlab.ingest.sources.arrow_tables import open_huggingface, open_parquet
from mmlab.ingest.sources.caption_files import read_coco, read_karpathy
from mmlab.ingest.sources.json_files import open_json
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.rows import Part
from mmlab.ingest.sources.text_files import open_bytes, plain_suffix
from mmlab.ingest.sources.text_tables import open_delimited, open_excel

SUFFIXES = {  # of files that are looked at, without that of a packing
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "text", ".token": "text", ".lst": "text",
    ".json": "json", ".jsonl": "jsonl", ".jsonlines": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xls": "excel", ".xlsm": "excel", ".xlsb": "excel",
    ".ods": "excel", ".tar": "webdataset", ".tgz": "webdataset",
}  # fmt: skip
NOT_READ = {  # suffixes of files that look like data: what to do about them
    ".zip": "unpack it", ".7z": "unpack it", ".rar": "unpack it", ".xml": "save its captions as a table",
    ".arrow": "give the folder that holds dataset_info.json and state.json", ".feather": "save it as Parquet",
    ".pkl": "a pickle may run code: save it as Parquet or csv", ".pickle": "it may run code: save it as Parquet or csv",
    ".npz": "save it as Parquet or csv", ".npy": "save it as Parquet or csv", ".mat": "save it as Parquet or csv",
    ".h5": "save it as Parquet or csv", ".hdf5": "save it as Parquet or csv", ".lmdb": "save it as files or Parquet",
    ".tfrecord": "save it as files or webdataset", ".db": "save its table as csv", ".sqlite": "save its table as csv",
    ".heic": 'pip install "mmlab[heic]", or save it as JPEG', ".heif": 'pip install "mmlab[heic]", or save it as JPEG',
    ".svg": "save it as PNG", ".psd": "save it as PNG", ".raw": "save it as JPEG", ".dng": "save it as JPEG",
    ".jxl": "save it as JPEG or PNG",
}  # fmt: skip
# Tables with any columns, one record for each image or for each caption.
TABLES: dict[str, Callable[[Path], Table]] = {
    "csv": open_delimited,
    "tsv": open_delimited,
    "flickr": open_delimited,
    "excel": open_excel,
    "json": open_json,
    "jsonl": open_json,
    "parquet": open_parquet,
    "webdataset": open_webdataset,
    "huggingface": open_huggingface,
}
# Formats with fixed fields.
FIXED: dict[str, Callable[[Path], Part]] = {"coco": read_coco, "karpathy": read_karpathy}
FOLDERS = ("sidecar", "images")
KINDS = (*TABLES, *FIXED, *FOLDERS)
FLICKR_HEAD = "image_name|"
KAGGLE_HEADS = ("image,caption", "image_name,comment_number")  # of captions.txt
BYTES_PER_SEARCH = 1 << 22
MAX_SEARCHED_BYTES = 2_000_000_000


def kind_of(path: Path) -> str:
    """Return the kind of a file by its name and, for JSON and text, its content; "" for a file that is none.

    text: a .txt that may be a table, or not.
    """
    name = path.name.lower()
    kind = "webdataset" if re.search(r"\.tar(\.\w+)?$", name) else SUFFIXES.get(plain_suffix(path), "")
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
