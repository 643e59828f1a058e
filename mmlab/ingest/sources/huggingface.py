"""Datasets of Hugging Face, saved on disk or by their id; nothing is decoded and no code of theirs runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.arrow_tables import BATCH
from mmlab.ingest.sources.records import Images, read_records
from mmlab.ingest.sources.records_columns import find_columns
from mmlab.ingest.sources.rows import gather

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

SAVED = ("dataset_dict.json", "state.json")  # one of them lies in a folder that save_to_disk wrote
BROKEN = (ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError, RuntimeError)


def read_huggingface(dataset: str | Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """The rows of a dataset: a folder that save_to_disk wrote or that the Hub could hold, or an id.

    The names of its parts are the split, unless it has a column for that; class numbers become their names.
    Raises ModuleNotFoundError with the line that installs `datasets`, and ConnectionError where the Hub
    cannot be reached.
    """
    parts = _load(dataset)
    names = list(dict.fromkeys(name for part in parts.values() for name in part.column_names))
    if parts.keys() != {""} and "split" not in map(str.casefold, names) and "split" not in columns:
        names.append("split")
    found = find_columns(names, columns, dataset)
    records = _records(parts, names, dataset)
    rows = gather(read_records(records, found, Images(blobs, Path(dataset).name)), found.own_names)
    if rows.empty:
        raise ValueError(f"dataset {dataset} has columns but no rows")
    return rows


def _load(dataset: str | Path) -> "dict[str, Dataset]":
    """The parts of the dataset by their names; "" where it is not divided."""
    try:
        import datasets
    except ImportError as error:
        raise ModuleNotFoundError(
            f'dataset {dataset}: reading it needs datasets: pip install "mmlab[datasets]"'
        ) from error
    try:
        saved = any((Path(dataset) / name).is_file() for name in SAVED)
        loaded = datasets.load_from_disk(dataset) if saved else datasets.load_dataset(str(dataset))
    except (FileNotFoundError, ConnectionError):
        raise
    except (*BROKEN, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"dataset {dataset} is not sound ({str(error)[:500]})") from error
    return loaded if isinstance(loaded, dict) else {"": loaded}


def _records(
    parts: "Mapping[str, Dataset]", names: list[str], dataset: str | Path
) -> Iterator[tuple[Any, ...]]:
    for split, part in parts.items():
        for table in _tables(part, dataset):
            yield from zip(*(_cells(table, name, part, split) for name in names), strict=True)


def _tables(part: "Dataset", dataset: str | Path) -> "Iterator[pa.Table]":
    try:
        yield from part.with_format("arrow").iter(BATCH)  # as stored: nothing is decoded
    except BROKEN as error:
        raise ValueError(f"dataset {dataset} is not sound ({str(error)[:500]})") from error


def _cells(table: "pa.Table", name: str, part: "Dataset", split: str) -> list[Any]:
    if name not in part.column_names:
        return [split if name == "split" else None] * table.num_rows
    cells = table.column(name).to_pylist()
    classes = getattr(part.features[name], "names", None)  # of a ClassLabel
    return cells if classes is None else [_class(cell, classes) for cell in cells]


def _class(number: int | None, classes: list[str]) -> str | None:
    return classes[number] if number is not None and 0 <= number < len(classes) else None
