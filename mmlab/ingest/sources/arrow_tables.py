"""Parquet tables and Hugging Face datasets, read in batches so that the images inside are never in memory together.

Of a dataset nothing is decoded and no code runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.records import TableImages, map_columns, read_records
from mmlab.ingest.sources.rows import make_table

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

RECORDS_PER_BATCH = 128  # photos of some megabytes each stay below half a gigabyte
BYTES_PER_READ = 1 << 20  # instead of whole row groups
SAVED_FILES = ("dataset_dict.json", "state.json")  # one of them lies in a folder that save_to_disk wrote
LIBRARY_ERRORS = (
    ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError, RuntimeError,
)  # fmt: skip


def read_parquet(path: Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """Return the rows of a Parquet file; the user's columns keep their types."""
    batches = _parquet_batches(path)
    names = next(batches)
    mapped = map_columns(names, columns, path)
    records = (record for batch in batches for record in batch)
    rows = make_table(read_records(records, mapped, TableImages(blobs, path.name)), mapped.user_names)
    if rows.empty:
        raise ValueError(f"{path} has columns but no rows: add one row per caption")
    return rows


def _parquet_batches(path: Path) -> Iterator[list[Any]]:
    """Yield the names of the columns, then the records of each batch; ValueError with the path if it is broken."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, buffer_size=BYTES_PER_READ, pre_buffer=False) as file:
            yield file.schema_arrow.names
            for batch in file.iter_batches(RECORDS_PER_BATCH):
                yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a valid Parquet file ({str(error)[:200]})") from error


def read_huggingface(dataset: str | Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """Return the rows of a Hugging Face dataset: an id, or a folder that save_to_disk wrote or that the Hub could hold.

    The names of its parts become the split, unless it has a column for that; class numbers become class names.
    Raise ModuleNotFoundError with the line that installs `datasets`, and ConnectionError where the Hub cannot be
    reached.
    """
    parts = _load_parts(dataset)
    names = list(dict.fromkeys(name for part in parts.values() for name in part.column_names))
    if parts.keys() != {""} and "split" not in map(str.casefold, names) and "split" not in columns:
        names.append("split")
    mapped = map_columns(names, columns, dataset)
    records = _dataset_records(parts, names, dataset)
    images = TableImages(blobs, Path(dataset).name)
    rows = make_table(read_records(records, mapped, images), mapped.user_names)
    if rows.empty:
        raise ValueError(f"dataset {dataset} has columns but no rows")
    return rows


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


def _class_name(number: int | None, classes: list[str]) -> str | None:
    return classes[number] if number is not None and 0 <= number < len(classes) else None
