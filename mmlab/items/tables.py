"""Items, skipped rows, rankings and qrels: plain pandas tables with agreed columns, Parquet on disk."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from mmap import ACCESS_COPY, ACCESS_READ, ALLOCATIONGRANULARITY, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.compute import fill_null, index_in

from mmlab.items.files import NoProject, data, replacing
from mmlab.items.vector_files import (
    ROWS_PER_BLOCK,
    blocks_of,
    count_different,
    release_spare_memory,
    text_keys,
)

ITEM_COLUMNS = (
    "item_id",  # uuid5 of modality, pair and content: ingesting again changes nothing
    "modality",  # "image" or "text"
    "pair_id",  # the image's path inside the dataset, or its URL; ties an image to its texts
    "text",  # the cleaned text of a text item
    "image",  # absolute path of an image item's file
    "label",
    "split",
    "origin",  # "image", or where a text came from: "caption", "alt", "ocr", "generated", "negative"
    "content",  # sha256 of the file's bytes or of the text
    "width",
    "height",
    "flags",  # what ingest found odd about the item and kept all the same, comma-separated
    "duplicate_of",  # pair_id of the image that this one repeats, exactly or nearly
)
NEGATIVE = "negative"  # origin of a text that is made to be wrong for the image of its record
SKIPPED_COLUMNS = ("row", "source", "text", "reason", "detail")
RANKING_COLUMNS = ("query_id", "item_id", "rank", "score")
QREL_COLUMNS = ("query_id", "item_id", "relevance")

# A spreadsheet takes a text that begins so for a formula.
UNSEEN = " \u00a0\u200b\u200c\u200d\u2060\u3000\ufeff"  # characters that it passes over
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

MANY_IDS = 1 << 15  # beyond, ids are compared by their keys: Arrow keeps a copy of all texts

Lines = TypeVar("Lines", pd.DataFrame, pd.Series)
Ids = Iterable[str]  # a column, an array of numpy or Arrow, a set or a list
Span = tuple[int, int]  # where an array begins in a file, and its bytes


class TooFew(ValueError):
    """There are fewer items, queries or pairs than an answer needs; the message says how many, and how many needed."""


_NAMESPACE = uuid5(NAMESPACE_URL, "mmlab/items")


def item_id(modality: str, pair_id: str, content: str) -> str:
    """Return the stable id of an item: uuid5 of what it is, not of when or where it was read.

    >>> item_id("text", "photos/1.jpg", "a red mug") == item_id("text", "photos/1.jpg", "a red mug")
    True
    """
    return str(uuid5(_NAMESPACE, f"{modality}\x1f{pair_id}\x1f{content}"))


def item_ids(modality: pd.Series, pair_id: pd.Series, content: pd.Series) -> pd.Series:
    """Return the `item_id` of each line, without an object for each: a million take some seconds.

    >>> lines = pd.DataFrame({"modality": ["text"], "pair_id": ["photos/1.jpg"], "content": ["a red mug"]}, dtype="str")
    >>> item_ids(**lines).iloc[0] == item_id("text", "photos/1.jpg", "a red mug")
    True
    """
    blocks = []
    for part in blocks_of(len(modality)):
        names = modality.iloc[part] + "\x1f" + pair_id.iloc[part] + "\x1f" + content.iloc[part]
        blocks.append(_hashed(names.tolist()))
    return pd.Series(pd.array(pa.chunked_array(blocks, pa.large_string()), dtype="str"), modality.index)


def _hashed(names: list[str]) -> pa.Array:
    """Return the UUIDs of names, version 5, as texts."""
    start = hashlib.sha1(_NAMESPACE.bytes, usedforsecurity=False)
    digests = bytearray()
    for name in names:
        digest = start.copy()
        digest.update(name.encode())
        digests += digest.digest()[:16]
    found = np.frombuffer(digests, np.uint8).reshape(-1, 16).copy()
    found[:, 6] = found[:, 6] & 0x0F | 0x50  # version 5
    found[:, 8] = found[:, 8] & 0x3F | 0x80
    letters = np.frombuffer(found.tobytes().hex().encode(), "S1").reshape(-1, 32)
    dashed = np.insert(letters, [8, 12, 16, 20], b"-", axis=1)
    texts = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(36), len(names), [None, pa.py_buffer(dashed.tobytes())]
    )
    return texts.cast(pa.binary()).cast(pa.large_string())


def check_columns(table: pd.DataFrame, expected: Iterable[str], what: str) -> pd.DataFrame:
    """Return `table` if it has the expected columns, else raise a ValueError with those missing and those found.

    `what` names the table in the message.

    >>> list(check_columns(pd.DataFrame({"item_id": ["a"]}), ["item_id"], "items"))
    ['item_id']
    """
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise ValueError(
            f"{what}: columns {missing} are missing; found {list(table.columns)}: add or rename them"
        )
    return table


def check_items(items: pd.DataFrame) -> pd.DataFrame:
    """Return `items` if they are a valid items table; raise ValueError naming the first thing that is wrong."""
    check_columns(items, ITEM_COLUMNS, "items")
    unknown = sorted(set(items["modality"].unique()) - {"image", "text"})
    if unknown:
        raise ValueError(f"items: modality is 'image' or 'text', found {unknown}")
    ids = items["item_id"]
    repeated = ids[ids.duplicated()] if count_different(ids) < len(ids) else ids[:0]
    if len(repeated):
        raise ValueError(f"items: {len(repeated)} item_id values occur twice, first {repeated.iloc[0]}")
    for modality, column in (("image", "image"), ("text", "text")):
        empty = int((items[column].isna() & (items["modality"] == modality)).sum())
        if empty:
            raise ValueError(f"items: {empty} {modality} rows have no {column}")
    return items


def is_among(ids: Ids, known: Ids) -> np.ndarray:
    """Return which of the ids (N,) are among the known ones, bool (N,).

    Does what pandas' `isin` does, which reads strings one by one: for 5,000 among 5,000 it takes a millisecond, `isin`
    20 to 50.

    >>> is_among(["a", "b"], ["b", "c"]).tolist()
    [False, True]
    """
    return places_among(ids, known) >= 0


def places_among(ids: Ids, known: Ids) -> np.ndarray:
    """Return the first place of each of the ids (N,) among the known ones, int64 (N,) from 0; -1 for others.

    >>> places_among(["a", "b"], ["b", "c"]).tolist()
    [-1, 0]
    """
    searched, among = map(_text_chunks, (ids, known))
    if min(len(searched), len(among)) > MANY_IDS:
        return _places_by_keys(searched, among)
    found = index_in(searched, value_set=_as_array(among))
    return np.asarray(fill_null(found, -1), dtype=np.int64)


def _places_by_keys(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    """Return what `places_among` does in a third of the memory, in one and a half times the time."""
    keys = text_keys(known)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    places = np.empty(len(ids), np.int64)
    for part in blocks_of(len(ids)):
        searched = text_keys(ids[part])
        found = np.searchsorted(keys, searched).clip(max=len(keys) - 1)
        places[part] = np.where(keys[found] == searched, order[found], -1)
    return places


def rows_where(table: pd.DataFrame, mask: pd.Series) -> pd.DataFrame:
    """Return the rows of a table where the mask beside it is true, in a file where they are many; see `on_disk`.

    >>> rows_where(pd.DataFrame({"width": [3, 5]}), pd.Series([False, True]))["width"].tolist()
    [5]
    """
    return on_disk(block[chosen] for block, chosen in zip(in_blocks(table), in_blocks(mask), strict=True))


def first_places(keys: np.ndarray) -> np.ndarray:
    """Return the first place of each key (N,) among them, int64 (N,) from 0.

    >>> first_places(np.array([7, 8, 7])).tolist()
    [0, 1, 0]
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.append(True, ordered[1:] != ordered[:-1])[: len(keys)]
    found = np.empty(len(keys), np.int64)
    found[order] = order[begins][np.cumsum(begins) - 1]
    return found


def is_first(texts: pd.Series) -> np.ndarray:
    """Return which of the texts (N,) have not come before, bool (N,), without a table of them in memory.

    >>> is_first(pd.Series(["a mug", "a cup", "a mug"], dtype="str")).tolist()
    [True, True, False]
    """
    found: np.ndarray = first_places(text_keys(texts)) == np.arange(len(texts))
    return found


def text_array(ids: Ids) -> pa.Array:
    """Return ids (N,) as Arrow's large_string, without a copy where pandas holds them so; missing ones stay missing.

    >>> text_array(["a", "b"]).type
    DataType(large_string)
    """
    return _as_array(_text_chunks(ids))


def _text_chunks(ids: Ids) -> pa.ChunkedArray:
    """Return ids (N,) in the pieces in which pandas holds them."""
    kind = pa.large_string()
    column = ids if isinstance(ids, pa.Array | np.ndarray | pd.Series | pd.Index) else list(ids)
    found = column if isinstance(column, pa.Array) else pa.array(column, kind, from_pandas=True)
    chunks = found.chunks if isinstance(found, pa.ChunkedArray) else [found]
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks if len(chunk)], kind)


def _as_array(texts: pa.ChunkedArray) -> pa.Array:
    chunks = texts.chunks or [pa.array([], texts.type)]
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def on_disk(blocks: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return blocks of rows as one table whose columns lie in a file, so that they take memory only while being read.

    The file lies in the data folder and has no name: it is gone as soon as nothing refers to the table. A single block
    is returned as it is.

    >>> blocks = [pd.DataFrame({"text": ["a mug"]}, [1]), pd.DataFrame({"text": ["a cup"]}, [2])]
    >>> on_disk(blocks)["text"].to_dict()
    {1: 'a mug', 2: 'a cup'}
    """
    table = TableOnDisk()
    for block in blocks:
        table.add(block)
    return table.read()


def array_on_disk(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Return arrays (n, ...) one behind the other as one (N, ...) that lies in a file and is read from there.

    >>> array_on_disk([np.array([1, 2]), np.array([3])]).tolist()
    [1, 2, 3]
    """
    rest = iter(blocks)
    first = next(rest)
    with TemporaryFile(dir=_folder_to_write()) as file:
        _, size = _write_arrays(chain([first], rest), file)
        file.flush()
        if not size:
            return first
        return np.frombuffer(mmap(file.fileno(), 0, access=ACCESS_READ), first.dtype).reshape(
            -1, *first.shape[1:]
        )


class TableOnDisk:
    """A table that grows by blocks of rows of the same columns, in a file as soon as it is long; see `on_disk`.

    One thread reads and writes it: each further one would keep memory of its own.
    """

    def __init__(self) -> None:
        self._blocks: list[pd.DataFrame] = []  # those that are not written yet
        self._schema: pa.Schema | None = None
        self._like = pd.DataFrame()  # no rows, but the names and types of all
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, block: pd.DataFrame) -> None:
        """Add rows at the end."""
        if self._blocks and sum(map(len, self._blocks)) + len(block) > ROWS_PER_BLOCK:
            self._write()
        self._blocks.append(block)

    def read(self) -> pd.DataFrame:
        """Return all rows; none can be added after it."""
        if self._writer is None or self._file is None:
            return _as_one(self._blocks)
        self._write()
        self._writer.close()
        self._file.flush()
        with self._file:
            mapped = mmap(self._file.fileno(), 0, access=ACCESS_READ)
        return _in_one_piece(pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), self._like)

    def _write(self) -> None:
        block = _as_one(self._blocks)
        if self._writer is None:
            self._schema = pa.Schema.from_pandas(block, preserve_index=True)
            self._like = block.iloc[:0].copy()
            self._file = TemporaryFile(dir=_folder_to_write())  # noqa: SIM115 - read() closes it
            self._writer = pa.ipc.new_file(self._file, self._schema)
        self._writer.write_table(pa.Table.from_pandas(block, self._schema, preserve_index=True, nthreads=1))
        self._blocks = []
        release_spare_memory()


def _in_one_piece(table: pa.Table, like: pd.DataFrame) -> pd.DataFrame:
    """Return a table with each column whole in a file: Arrow joins the blocks of texts whenever rows are taken.

    Numbers can be changed, as those of any table: what is changed lies in memory.
    """
    with TemporaryFile(dir=_folder_to_write()) as file:
        file.write(bytes(ALLOCATIONGRANULARITY))  # since an empty file cannot be mapped
        texts = {name: _write_texts(table[name], file) for name in _named(table, pa.types.is_large_string)}
        numbers = {name: _write_numbers(table[name], file) for name in _named(table, _is_number)}
        file.flush()
        whole = pa.py_buffer(mmap(file.fileno(), 0, access=ACCESS_READ))
        found = {
            name: _read_numbers(table[name], span, file, like.dtypes.get(name))
            for name, span in numbers.items()
        }
    for name, spans in texts.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.field(name), _read_texts(table[name], spans, whole))
    others = table.drop_columns(list(numbers)).to_pandas(split_blocks=True, use_threads=False)
    [index] = table.schema.pandas_metadata["index_columns"]
    rows = _range_or_index(found[index], like.index.name) if index in found else others.index
    names = [name for name in table.column_names if name != index]
    columns = {name: found[name] if name in found else others[name].array for name in names}
    return pd.DataFrame(columns, rows, copy=False)


def _named(table: pa.Table, is_kind: Callable[[pa.DataType], bool]) -> list[str]:
    return [field.name for field in table.schema if is_kind(field.type)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _write_texts(column: pa.ChunkedArray, file: IO[bytes]) -> list[Span]:
    """Write where each text ends, and the letters of all; return where both lie."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    ends = [np.frombuffer(chunk.buffers()[1], np.int64)[: len(chunk) + 1] for chunk in chunks]
    sizes = np.cumsum([0, *(end[-1] for end in ends)])
    offsets = (end[1:] + size for end, size in zip(ends, sizes, strict=False))
    letters = (
        np.frombuffer(chunk.buffers()[2] or b"", np.uint8)[: end[-1]]
        for chunk, end in zip(chunks, ends, strict=True)
    )
    return [_write_arrays(chain([np.zeros(1, np.int64)], offsets), file), _write_arrays(letters, file)]


def _write_numbers(column: pa.ChunkedArray, file: IO[bytes]) -> Span:
    """Write numbers, NaN for a missing one that has a fraction; return where they lie."""
    missing = np.nan if pa.types.is_floating(column.type) else 0
    blocks = (chunk.fill_null(missing).to_numpy() for chunk in column.chunks)
    return _write_arrays(blocks, file)


def _write_arrays(arrays: Iterable[np.ndarray], file: IO[bytes]) -> Span:
    """Write arrays one behind the other; return where they begin, and their bytes."""
    start = file.seek(-(-file.tell() // ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY)
    return start, sum(file.write(array.data.cast("B")) for array in arrays if len(array))


def _read_texts(column: pa.ChunkedArray, spans: list[Span], whole: pa.Buffer) -> pa.Array:
    """Return texts that lie in a file as one array."""
    bits = None
    if column.null_count:
        present = column.is_valid().combine_chunks().to_numpy(zero_copy_only=False)
        bits = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(column.type, len(column), [bits, *(whole.slice(*span) for span in spans)])


def _read_numbers(column: pa.ChunkedArray, span: Span, file: IO[bytes], dtype: Any) -> Any:
    """Return numbers that lie in a file, with what is missing where pandas' type tells it."""
    start, size = span
    mapped = mmap(file.fileno(), size, access=ACCESS_COPY, offset=start)
    values = np.frombuffer(mapped, column.type.to_pandas_dtype())
    if not isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return values
    missing = np.zeros(len(values), bool)  # which takes no memory as long as nothing is missing
    if column.null_count:
        missing = column.is_null().combine_chunks().to_numpy(zero_copy_only=False)
    return dtype.construct_array_type()(values, missing)


def _range_or_index(numbers: np.ndarray, name: Any) -> pd.Index:
    """Return an index of row numbers, without an array where they follow each other."""
    follow = (np.diff(numbers[part.start : part.stop + 1]) == 1 for part in blocks_of(len(numbers)))
    if numbers.dtype == np.int64 and all(map(np.all, follow)):
        return pd.RangeIndex(numbers[0], numbers[-1] + 1, name=name)
    return pd.Index(numbers, copy=False, name=name)


def _folder_to_write() -> Path | None:
    """Return the data folder if it can be written to; else None, the system's folder for temporary files."""
    try:
        return data() if os.access(data(), os.W_OK) else None
    except NoProject:
        return None


def _as_one(blocks: list[pd.DataFrame]) -> pd.DataFrame:
    return blocks[0] if len(blocks) == 1 else pd.concat(blocks)


def in_blocks(table: Lines) -> Iterator[Lines]:
    """Yield a table or a column in blocks of some thousand rows, one at least."""
    yield from (table.iloc[part] for part in blocks_of(max(len(table), 1)))


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write any of mmlab's tables as Parquet, whole or not at all; return the path."""
    with replacing(path) as temporary:
        schema = pa.Schema.from_pandas(table, preserve_index=False)
        with pq.ParquetWriter(temporary, schema) as writer:
            for block in in_blocks(table):
                writer.write_table(pa.Table.from_pandas(block, schema, preserve_index=False, nthreads=1))
    return Path(path)


def read_table(path: str | Path, expected: Iterable[str] = ()) -> pd.DataFrame:
    """Read a Parquet table and check that the expected columns are there.

    Raises FileNotFoundError where there is none, ValueError for missing columns.

    >>> import tempfile
    >>> path = write_table(pd.DataFrame({"rank": [1, 2]}), Path(tempfile.mkdtemp()) / "hits.parquet")
    >>> read_table(path, ["rank"])["rank"].tolist()
    [1, 2]
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no table at {path}: run the notebook that writes {Path(path).name} first")
    return check_columns(pd.read_parquet(path), expected, Path(path).name)


class SavedTables(Mapping[str, pd.DataFrame]):
    """Tables on the disk by name: each is read whenever it is asked for, see `read_table`, and none is kept.

    known: those that are at hand already, which are not read.
    """

    def __init__(self, paths: Mapping[str, Path], expected: Iterable[str] = ()) -> None:
        self.known: dict[str, pd.DataFrame] = {}
        self._paths, self._expected = dict(paths), tuple(expected)

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.known[name] if name in self.known else read_table(self._paths[name], self._expected)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def write_items(items: pd.DataFrame, path: str | Path) -> Path:
    """Check the items (`check_items`) and write them as Parquet; return the path."""
    return write_table(check_items(items), path)


def read_items(path: str | Path) -> pd.DataFrame:
    """Read items from Parquet and check them (`check_items`); FileNotFoundError where there are none.

    Those of a large run are mapped from a file, see `on_disk`.
    """
    if not Path(path).is_file():
        return read_table(path)  # raises, and says what to run
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(ROWS_PER_BLOCK, use_threads=False)
        first = file.schema_arrow.empty_table().to_pandas()
        items = on_disk(chain([first], (batch.to_pandas(use_threads=False) for batch in batches)))
    return check_items(items.reset_index(drop=True))


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV that a spreadsheet opens safely.

    A text that begins like a formula gets a quotation mark before it; numbers stay numbers. Source: OWASP, CSV
    Injection.

    >>> to_csv(pd.DataFrame({"words": ["=1+1", "a mug"], "score": [-0.5, 1.0]})).splitlines()
    ['words,score', "'=1+1,-0.5", 'a mug,1.0']
    """
    safe = table.rename(columns=_quoted)
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_quoted)
    return safe.to_csv(index=False)


def _quoted(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.lstrip(UNSEEN).startswith(FORMULA_STARTS)
    return f"'{value}" if is_formula else value
