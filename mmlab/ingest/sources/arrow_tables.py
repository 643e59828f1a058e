"""Parquet tables and Hugging Face datasets, read in batches so that the images inside are never in memory together.

Of a dataset nothing is decoded and no code runs.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.ingest.sources.records import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

RECORDS_PER_BATCH = 128  # photos of some megabytes each stay below half a gigabyte
BYTES_PER_READ = 1 << 20  # instead of whole row groups
SAVED_FILES = ("dataset_dict.json", "state.json")  # one of them lies in a folder that save_to_disk wrote
LIBRARY_ERRORS = (
    ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError, RuntimeError,
)  # fmt: skip


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
        with ParquetFile(path, buffer_size=BYTES_PER_READ, pre_buffer=False) as file:
            yield file.schema_arrow.names, _classes_of(file.schema_arrow.metadata or {})
            for batch in file.iter_batches(RECORDS_PER_BATCH):
                yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a valid Parquet file ({str(error)[:200]})") from error


def _classes_of(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of the classes of columns, as Hugging Face datasets writes them down."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def open_huggingface(dataset: str | Path) -> Table:
    """Open a Hugging Face dataset: an id, or a folder that save_to_disk wrote or that the Hub could hold.

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
        saved = any((Path(dataset) / name).is_file() for name in SAVED_FILES)
        loaded = datasets.load_from_disk(dataset) if saved else datasets.load_dataset(str(dataset))
    except (FileNotFoundError, ConnectionError):
        raise
    except (*LIBRARY_ERRORS, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"dataset {dataset} cannot be read ({str(error)[:500]})") from error
    return loaded if isinstance(loaded, dict) else {"": loaded}


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
