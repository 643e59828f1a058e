"""Parquet tables, read in batches so that the images inside are never in memory together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.records import Images, read_records
from mmlab.ingest.sources.records_columns import find_columns
from mmlab.ingest.sources.rows import gather

BATCH = 128  # records; photos of some megabytes each stay below half a gigabyte
BUFFER = 1 << 20  # bytes read at a time, in place of whole row groups


def read_parquet(path: Path, columns: Mapping[str, str], blobs: Blobs) -> pd.DataFrame:
    """The rows of a Parquet file; its own types are kept."""
    batches = _batches(path)
    names = next(batches)
    found = find_columns(names, columns, path)
    records = (record for batch in batches for record in batch)
    rows = gather(read_records(records, found, Images(blobs, path.name)), found.own_names)
    if rows.empty:
        raise ValueError(f"{path} has columns but no rows: add one row per caption")
    return rows


def _batches(path: Path) -> Iterator[list[Any]]:
    """The names of the columns, then the records of each batch; ValueError names the file if it is broken."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            names = file.schema_arrow.names
            yield names
            for batch in file.iter_batches(BATCH):
                yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a sound Parquet file ({str(error)[:200]})") from error
