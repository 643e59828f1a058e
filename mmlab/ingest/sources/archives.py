"""Archives of the webdataset form: files with one stem are an entry; read in place, in their order, never unpacked."""

import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mmlab.ingest.file_walk import IMAGE_SUFFIXES
from mmlab.ingest.sources.column_names import MAX_COLUMNS
from mmlab.ingest.sources.folders import MAX_SIDECAR_BYTES, texts_in
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.rows import Row, malformed_row
from mmlab.ingest.sources.text_files import open_bytes

MAX_IMAGE_BYTES = 200_000_000
MAX_FILES_OF_ENTRY = 100
TEXT_SUFFIXES = (".txt", ".text", ".caption", ".cap")
OUR_NAMES = ("image", "caption", "label")
READ_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)

Member = tuple[str, str, bytes]  # the stem of an entry, the suffix, the content


def open_webdataset(path: Path) -> Table:
    """Open a tar of entries: images, .txt or .caption for texts, .cls for a label, .json for further columns."""
    names = dict.fromkeys(OUR_NAMES)
    for _, suffix, content in _members(path, only=(".json",)):
        fields = _fields_of(content) if suffix == ".json" else {}
        names.update(dict.fromkeys(islice(fields, MAX_COLUMNS + 1)))
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{path}: expected at most {MAX_COLUMNS} columns, found more")
    return Table(list(names), _records(path, list(names)))


def _records(path: Path, names: list[str]) -> Iterator[list[Any] | Row]:
    """Yield one record per entry; a row that tells what is wrong where the archive ends early."""
    entry: dict[str, Any] = {}
    known = None
    try:
        for stem, suffix, content in _members(path):
            if stem != known and entry:
                yield [entry.get(name) for name in names]
            if stem != known:
                known, entry = stem, {"image": []}
            _add(entry, stem, suffix, content)
    except ValueError as error:
        yield malformed_row(str(known or ""), str(error))
    if entry:
        yield [entry.get(name) for name in names]


def _add(entry: dict[str, Any], stem: str, suffix: str, content: bytes) -> None:
    """Add what one file says to an entry; a text file comes before the caption of a JSON file."""
    if suffix in IMAGE_SUFFIXES:
        if len(entry["image"]) < MAX_FILES_OF_ENTRY:
            entry["image"].append({"path": stem + suffix, "bytes": content})
    elif suffix in TEXT_SUFFIXES:
        entry["caption"] = texts_in(content.decode("utf-8-sig", "replace"))
    elif suffix == ".cls":
        entry["label"] = content.decode("utf-8", "replace").strip()[:1000]
    elif suffix == ".json":
        entry.update({name: value for name, value in _fields_of(content).items() if not entry.get(name)})


def _fields_of(content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return (
        {name: value for name, value in fields.items() if name != "image"} if isinstance(fields, dict) else {}
    )


def _members(path: Path, only: tuple[str, ...] = ()) -> Iterator[Member]:
    """Yield the files of an archive, in its order; ValueError with the path where it is broken."""
    try:
        with open_bytes(path) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # or memory would grow with the archive
                folder, name = os.path.split(member.name)
                stem, suffix = name.partition(".")[0], os.path.splitext(name)[1].lower()
                most = MAX_IMAGE_BYTES if suffix in IMAGE_SUFFIXES else MAX_SIDECAR_BYTES
                wanted = suffix in (only or (*IMAGE_SUFFIXES, *TEXT_SUFFIXES, ".cls", ".json"))
                if member.isfile() and wanted and stem and member.size <= most:
                    yield os.path.join(folder, stem), suffix, _content(archive, member)
    except READ_ERRORS as error:
        raise ValueError(f"{path} cannot be read to its end as tar ({str(error)[:200]})") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    content = file.read() if file else b""
    if len(content) != member.size:
        raise ValueError(f"{member.name} ends early")
    return content
