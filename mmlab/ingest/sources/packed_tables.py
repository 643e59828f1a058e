"""Tables whose images come inside: Parquet, Hugging Face datasets, and archives of the webdataset form.

They are read in batches or one entry after the other, so that the images are never in memory together. Nothing is
decoded, nothing is unpacked by its name, and no code runs.
"""

import glob
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.ingest.dataset_files import IMAGE_SUFFIXES, LEADS_OUT, is_given, open_given, walk_files
from mmlab.ingest.sources.cells import Row, malformed_row, split_in
from mmlab.ingest.sources.column_names import MAX_COLUMNS
from mmlab.ingest.sources.folders import texts_in
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.text_files import open_bytes, read_json
from mmlab.items.files import (
    ALWAYS_READ_ROWS,
    BATCH_BYTES,
    MAX_IMAGE_BYTES,
    MAX_SIDECAR_BYTES,
    ROWS_PER_BYTE,
    most_unpacked,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from pyarrow.parquet import ParquetFile

RECORDS_PER_BATCH = 128  # photos of some megabytes each stay below half a gigabyte
BYTES_PER_READ = 1 << 20  # instead of whole row groups
SAVED_FILES = ("dataset_dict.json", "state.json")  # one of them lies in a folder that save_to_disk wrote
HUB_READERS = {  # the reader of the package datasets for files of each suffix
    ".parquet": "parquet", ".arrow": "arrow", ".csv": "csv", ".jsonl": "json", ".json": "json", ".tar": "webdataset",
}  # fmt: skip
LIBRARY_ERRORS = (
    ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError, RuntimeError,
)  # fmt: skip
MAX_FILES_OF_ENTRY = 100
TEXT_SUFFIXES = (".txt", ".text", ".caption", ".cap")
OUR_NAMES = ("image", "caption", "label")
READ_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)

Member = tuple[str, str, bytes]  # the stem of an entry, the suffix, the content


def open_parquet(path: Path) -> Table:
    """Open a Parquet file; class numbers become class names, where the file says which."""
    batches = _parquet_batches(path)
    names, classes = next(batches)
    records = (
        [
            _class_name(cell, classes[name]) if name in classes else cell
            for name, cell in zip(names, cells, strict=True)
        ]
        if classes
        else cells
        for batch in batches
        for cells in batch
    )
    return Table(names, records)


def _parquet_batches(path: Path) -> Iterator[Any]:
    """Yield names and classes of the columns, then the records of each batch; ValueError with the path if broken."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with (
            open_given(path) as opened,
            ParquetFile(opened, buffer_size=BYTES_PER_READ, pre_buffer=False) as file,
        ):
            size = os.fstat(opened.fileno()).st_size
            left, most = most_unpacked(size), records_per_batch(file, size)
            yield file.schema_arrow.names, _classes_of(file.schema_arrow.metadata or {})
            for batch in file.iter_batches(most):
                columns = [
                    column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
                    for column in batch.columns
                ]
                left -= sum(column.nbytes for column in columns)
                if left < 0:
                    raise ValueError("far more comes out of it than it holds: a value is repeated too often")
                yield list(zip(*(column.to_pylist() for column in columns), strict=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a valid Parquet file ({str(error)[:200]})") from error


def _open_columns(file: "ParquetFile") -> None:
    """Open all columns of a Parquet file without reading a value; raise ArrowException or OSError if one is damaged.

    pyarrow 26 ends the process when the metadata of such a column is asked for.
    """
    for number in range(file.metadata.num_row_groups):
        for _ in file.reader.iter_batches(0, row_groups=[number], use_threads=False):
            pass


def records_per_batch(file: "ParquetFile", size: int) -> int:
    """Return how many records of a Parquet file of `size` bytes fit into memory; ValueError where one does not."""
    _open_columns(file)
    found = file.metadata
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    values = max([found.num_rows, *(column.num_values for column in columns)])
    if values > max(ALWAYS_READ_ROWS, ROWS_PER_BYTE * size):
        raise ValueError(f"{size:,} bytes claim to hold {values:,} values: save what is in it as csv")
    unpacked = sum(column.total_uncompressed_size for column in columns)
    if unpacked > most_unpacked(size):
        raise ValueError(f"{size:,} bytes unpack to {unpacked:,}: save what is in it as csv")
    # each record may repeat the longest value of a dictionary
    repeated = [column.total_uncompressed_size for column in columns if column.has_dictionary_page]
    return min(RECORDS_PER_BATCH, max(1, BATCH_BYTES // max([1, *repeated])))


def _classes_of(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of the classes of columns, as Hugging Face datasets writes them down."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def open_huggingface(dataset: str | Path) -> Table:
    """Open a Hugging Face dataset: an id, or a folder that save_to_disk wrote or that the Hub could hold.

    Of a folder the files that lie in it are read, whatever its README and its records name.

    The names of its parts become the split, unless it has a column for that; class numbers become class names.
    Raise ModuleNotFoundError with the line that installs `datasets`, and ConnectionError where the Hub cannot be
    reached.
    """
    parts = _load_parts(dataset)
    names = list(dict.fromkeys(name for part in parts.values() for name in part.column_names))
    if parts.keys() != {""} and "split" not in map(str.casefold, names):
        names.append("split")
    return Table(names, _dataset_records(parts, names, dataset))


def _load_parts(dataset: str | Path) -> "dict[str, Dataset]":
    """Return the parts of the dataset by their names; "" where it is not divided."""
    try:
        import datasets
    except ImportError as error:
        raise ModuleNotFoundError(
            f'dataset {dataset}: reading it needs datasets: pip install "mmlab[datasets]"'
        ) from error
    try:
        loaded = _load(datasets, Path(dataset))
    except (FileNotFoundError, ConnectionError):
        raise
    except (*LIBRARY_ERRORS, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"dataset {dataset} cannot be read ({str(error)[:500]})") from error
    return loaded if isinstance(loaded, dict) else {"": loaded}


def _load(datasets: Any, dataset: Path) -> Any:
    if not dataset.is_dir():
        name = dataset.as_posix()
        check_hub_files(datasets.load_dataset_builder(name).config.data_files)
        return datasets.load_dataset(name)
    if any((dataset / name).is_file() for name in SAVED_FILES):
        for file in _saved_files(dataset):
            if not is_given(file):
                raise ValueError(f"{file} lies outside, or is {LEADS_OUT}")
        return datasets.load_from_disk(dataset)
    reader, files = _hub_files(dataset)
    for path in chain.from_iterable(files.values()) if reader == "parquet" else ():
        next(_parquet_batches(Path(path)))
    patterns = {split: list(map(glob.escape, some)) for split, some in files.items()}
    return datasets.load_dataset(reader, data_files=patterns)


def check_hub_files(files: Mapping[str, Sequence[str]] | None) -> None:
    """Raise ValueError where the README of a dataset of the Hub names files that do not lie on the Hub.

    files: the addresses of the files of each part.
    """
    outside = [file for part in (files or {}).values() for file in part if not file.startswith("hf://")]
    if outside:
        raise ValueError(
            f"its README names a file that is not in it, {outside[0]}: read that one as dataset="
        )


def _saved_files(folder: Path) -> Iterator[Path]:
    """Yield the files that reading a saved dataset opens."""
    parts = [folder] if (folder / SAVED_FILES[1]).is_file() else []
    if (folder / SAVED_FILES[0]).is_file():
        yield folder / SAVED_FILES[0]
        names = list(map(str, _fields_in(folder / SAVED_FILES[0]).get("splits") or []))
        if broken := [name for name in names if not re.fullmatch(r"\w[\w.-]*", name)]:
            raise ValueError(f"{SAVED_FILES[0]}: expected names of folders, found {broken[0]!r}")
        parts += [folder / name for name in names]
    for part in parts:
        yield from (part / SAVED_FILES[1], part / "dataset_info.json")
        for records in _fields_in(part / SAVED_FILES[1]).get("_data_files") or []:
            yield part / records["filename"]


def _fields_in(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return found if isinstance(found, dict) else {}


def _hub_files(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """Return the reader for the files in a folder that the Hub could hold, and the files of each split."""
    tree = walk_files(folder)
    readers: dict[str, dict[str, list[str]]] = {}
    for name in tree.names:
        path = tree.path(name)
        reader = HUB_READERS.get(os.path.splitext(name)[1].lower())
        if reader and is_given(path):
            split = next(filter(None, map(split_in, reversed(re.split(r"[/.]", name)))), None) or "train"
            readers.setdefault(reader, {}).setdefault(split, []).append(path)
    for reader in HUB_READERS.values():
        if reader in readers:
            return reader, readers[reader]
    raise ValueError(f"expected files of {', '.join(HUB_READERS)}, found none: leave source out")


def _dataset_records(
    parts: "Mapping[str, Dataset]", names: list[str], dataset: str | Path
) -> Iterator[tuple[Any, ...]]:
    for split, part in parts.items():
        for table in _arrow_batches(part, dataset):
            yield from zip(*(_column_cells(table, name, part, split) for name in names), strict=True)


def _arrow_batches(part: "Dataset", dataset: str | Path) -> "Iterator[pa.Table]":
    try:
        yield from part.with_format("arrow").iter(RECORDS_PER_BATCH)  # as stored: nothing is decoded
    except LIBRARY_ERRORS as error:
        raise ValueError(f"dataset {dataset} cannot be read ({str(error)[:500]})") from error


def _column_cells(table: "pa.Table", name: str, part: "Dataset", split: str) -> list[Any]:
    if name not in part.column_names:
        return [split if name == "split" else None] * table.num_rows
    cells = table.column(name).to_pylist()
    classes = getattr(part.features[name], "names", None)  # of a ClassLabel
    return cells if classes is None else [_class_name(cell, classes) for cell in cells]


def _class_name(number: Any, classes: list[str]) -> str | None:
    return classes[number] if isinstance(number, int) and 0 <= number < len(classes) else None


def open_webdataset(path: Path) -> Table:
    """Open a tar of entries: images, .txt or .caption for texts, .cls for a label, .json for further columns."""
    names = list(dict.fromkeys([*OUR_NAMES, *_names_of_fields(path)]))
    return Table(names, _records(path, names))


def _names_of_fields(path: Path) -> list[str]:
    """Return the names in all .json files of an archive, or of those before it breaks; ValueError if it is none."""
    names: dict[str, None] = {}
    try:
        for _, _, content in _members(path, only=(".json",)):
            names.update(dict.fromkeys(islice(_fields_of(content), MAX_COLUMNS + 1)))
            if len(names) > MAX_COLUMNS:
                break
    except ValueError:
        next(_members(path), None)
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{path}: expected at most {MAX_COLUMNS} columns, found more")
    return list(names)


def _records(path: Path, names: list[str]) -> Iterator[list[Any] | Row]:
    """Yield one record per entry; a row that tells what is wrong where the archive ends early."""
    entry: dict[str, Any] = {}
    known = broken = None
    try:
        for stem, suffix, content in _members(path):
            if stem != known and entry:
                yield [entry.get(name) for name in names]
            if stem != known:
                known, entry = stem, {"image": []}
            _add(entry, stem, suffix, content)
    except ValueError as error:
        broken = malformed_row(str(known or ""), str(error))
    if entry:
        yield [entry.get(name) for name in names]
    if broken:
        yield broken


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
