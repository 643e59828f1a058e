"""Files of dense vectors: Arrow IPC, written in blocks, mapped to memory when they are read.

A file holds one record batch with the columns item_id (string) and vector (fixed_size_list<float32>[D]); the schema's
metadata holds the fields of the space as JSON. It is not compressed, so that the rows (N, D) are read where they lie:
they need memory only while they are used. One contiguous map was preferred to several files, since all scoring is on
one array.

Shapes: N rows, D dimensions.
"""

import ctypes
import json
import mmap
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

import numpy as np
import pyarrow as pa

from mmlab.items.files import replacing

if TYPE_CHECKING:
    import pandas as pd

UNIT_TOLERANCE = 1e-3  # a float16 round trip moves a norm by less
ROWS_PER_BLOCK = 4096  # that are looked at at a time: 8 MB for 512 dimensions
ID_COLUMN, ROW_COLUMN, SPACE_KEY = "item_id", "vector", b"space"


class HasFields(Protocol):
    """What a file keeps of a space; `mmlab.items.Space` has it."""

    @property
    def dimension(self) -> int:
        """The length of a row."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, which are written as JSON."""
        ...


class VectorWriter:
    """Write dense vectors block by block, for more than fit in memory; the file appears whole or not at all.

    The rows go to a temporary file beside `path`; when the block ends the whole file is written and put in place. On an
    exception nothing appears.

    Args:
        path: the file to write; by convention it ends in `.arrow`.
        space: the space of all rows.

    Raises:
        ValueError: when the block ends, for an id that came twice.

    Example:
        >>> import tempfile
        >>> from mmlab.items import Space, Vectors
        >>> path = Path(tempfile.mkdtemp()) / "toy.arrow"
        >>> with VectorWriter(path, Space("toy", "1", "", "", "", 2)) as writer:
        ...     writer.append(["a"], np.array([[1.0, 0.0]], dtype=np.float32))
        ...     writer.append(["b"], np.array([[0.6, 0.8]], dtype=np.float32))
        >>> Vectors.load(path).ids.tolist()
        ['a', 'b']
    """

    def __init__(self, path: str | Path, space: HasFields) -> None:
        self.path, self.space = Path(path), space
        self._ends: list[np.ndarray] = [np.zeros(1, np.int32)]  # of each id in the file of their letters
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._target = self._open.enter_context(replacing(self.path))
        self._letters, self._rows = (self._open_beside(name) for name in ("ids", "rows"))
        return self

    def _open_beside(self, name: str) -> BinaryIO:
        path = self._target.with_name(f"{self._target.name}.{name}")
        self._open.callback(path.unlink, missing_ok=True)
        return self._open.enter_context(open(path, "wb"))

    def append(self, ids: Sequence[str] | np.ndarray, rows: np.ndarray) -> None:
        """Write the next vectors.

        Args:
            ids: n item ids.
            rows: unit rows, float32 (n, D); other dtypes are converted.

        Raises:
            ValueError: for another shape, and for a row whose norm is not 1 within 1e-3.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        if rows.shape != (len(ids), self.space.dimension):
            expected = (len(ids), self.space.dimension)
            raise ValueError(f"vectors: expected rows of shape {expected}, found {rows.shape}")
        check_unit_rows(rows, np.asarray(ids))
        texts = pa.array(list(ids), pa.string())
        ends = np.frombuffer(texts.buffers()[1], np.int32)[1 : len(texts) + 1]
        self._ends.append(ends + self._ends[-1][-1])
        self._letters.write(memoryview(texts.buffers()[2] or b"")[: ends[-1] if len(ends) else 0])
        self._rows.write(rows.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._letters.close()
                self._rows.close()
                self._write_whole()
            except BaseException as failed:
                self._open.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self._open.__exit__(kind, error, trace)

    def _write_whole(self) -> None:
        ends = np.concatenate(self._ends)
        letters, numbers = (_mapped(file.name) for file in (self._letters, self._rows))
        ids = pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(letters))
        rows = numbers.view(np.float32).reshape(len(ids), self.space.dimension)
        write_arrow(self._target, ids, rows, self.space)


def _mapped(path: str) -> np.ndarray:
    """Return the bytes of a file, which may be empty, which no map can be."""
    return np.memmap(path, np.uint8, "r") if Path(path).stat().st_size else np.empty(0, np.uint8)


def write_arrow(path: str | Path, ids: pa.Array, rows: np.ndarray, space: HasFields) -> None:
    """Write ids (N,), contiguous rows float32 (N, D) and their space; raise ValueError for an id that comes twice."""
    check_ids(ids)
    values = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), space.dimension)
    metadata = {SPACE_KEY: json.dumps(space.to_dict())}
    batch = pa.record_batch([ids.cast(pa.string()), values], names=[ID_COLUMN, ROW_COLUMN], metadata=metadata)
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)  # more than 2**31 numbers
    with open(path, "wb") as file, pa.ipc.new_file(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def read_arrow(path: str | Path) -> tuple[pa.Array, np.ndarray, dict[str, Any]]:
    """Return ids (N,), rows float32 (N, D) as a read-only view of the file, and the fields of their space.

    Raises FileNotFoundError where there is nothing, ValueError for what is no such file. Norms are not looked at.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no vectors at {path}: run 02_embed for this run first")
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        batch = _only_batch(pa.ipc.open_file(pa.py_buffer(mapped)))
        rows = _rows_in(mapped, batch.column(ROW_COLUMN))
        fields = json.loads(batch.schema.metadata[SPACE_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no vectors file: expected an Arrow file with {ID_COLUMN}, {ROW_COLUMN} and a space, found "
            f"{error}; run 02_embed again"
        ) from error
    return batch.column(ID_COLUMN), rows, fields


def _rows_in(mapped: mmap.mmap, values: pa.FixedSizeListArray) -> np.ndarray:
    """Return the rows (N, D) as a view of the mapped file in which they lie."""
    start = np.frombuffer(mapped, np.uint8).ctypes.data
    offset = values.values.buffers()[1].address - start if len(values) else 0
    return np.ndarray((len(values), values.type.list_size), np.float32, mapped, offset)


def release_memory(rows: np.ndarray) -> None:
    """Give the memory of rows that were read from a file back to the system; they are read again when they are used.

    Rows that lie in no mapped file stay as they are, as all do on Windows.
    """
    owner: Any = rows
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(owner, "madvise"):
        owner.madvise(mmap.MADV_DONTNEED)


def release_spare_memory() -> None:
    """Give back to the system what Arrow, and on Linux the C library, keep for the next arrays."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)


def _only_batch(reader: Any) -> pa.RecordBatch:
    """Return the record batch of a file of vectors; raise ValueError where it holds anything else."""
    schema = reader.schema
    row = schema.field(ROW_COLUMN).type
    right = pa.types.is_fixed_size_list(row) and row.value_type == pa.float32() and row.list_size > 0
    if not right or schema.field(ID_COLUMN).type != pa.string() or reader.num_record_batches != 1:
        raise ValueError(f"{reader.num_record_batches} batches of {', '.join(map(str, schema))}")
    batch = reader.get_batch(0)
    batch.validate(full=True)
    missing = sum(part.null_count for part in (*batch.columns, batch.column(ROW_COLUMN).flatten()))
    if missing:
        raise ValueError(f"{missing} missing values")
    return batch


def blocks_of(count: int) -> Iterator[slice]:
    """Yield slices of at most 4,096 rows that cover `count` rows, for passes over rows that are not in memory.

    >>> list(blocks_of(5_000))
    [slice(0, 4096, None), slice(4096, 5000, None)]
    """
    for start in range(0, count, ROWS_PER_BLOCK):
        yield slice(start, min(start + ROWS_PER_BLOCK, count))


def text_keys(texts: "pd.Series | np.ndarray | pa.Array | pa.ChunkedArray") -> np.ndarray:
    """Return 64 bits for each text, int64 (N,): the same for the same texts, in this process.

    An eighth of the memory that texts of 50 letters need to be compared. The bits are a keyed hash (SipHash), so that
    nobody can make two texts share them; by chance one pair among a million texts does in 40 million runs.

    >>> keys = text_keys(np.array(["a mug", "a cup", "a mug"]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    found = np.empty(len(texts), np.int64)
    column = getattr(texts, "array", texts)
    for part in blocks_of(len(texts)):
        block = column[part]
        found[part] = list(map(hash, block.to_pylist() if hasattr(block, "to_pylist") else block.tolist()))
    return found


def count_different(texts: "pd.Series | np.ndarray | pa.Array | pa.ChunkedArray") -> int:
    """Return how many different texts there are, see `text_keys`.

    >>> count_different(np.array(["a mug", "a cup", "a mug"]))
    2
    """
    keys = text_keys(texts)
    keys.sort()
    return min(len(keys), 1 + int(np.count_nonzero(keys[1:] != keys[:-1])))


def check_ids(ids: np.ndarray | pa.Array) -> None:
    """Raise ValueError where an id comes twice."""
    different = count_different(ids)
    if different != len(ids):
        raise ValueError(f"vectors: {len(ids)} ids, only {different} different ones")


def check_unit_rows(array: np.ndarray, ids: np.ndarray | pa.Array) -> None:
    """Raise ValueError unless the rows (N, D) have norm 1, naming the id (N,) of the first that has not."""
    norms = np.empty(len(array), dtype=np.float32)
    for part in blocks_of(len(array)):
        norms[part] = np.linalg.norm(array[part], axis=1)
    wrong = ~(np.abs(norms - 1) <= UNIT_TOLERANCE)  # also true for NaN
    if wrong.any():
        raise ValueError(
            f"vectors: {wrong.sum()} of {len(norms)} rows are not unit rows, "
            f"first {ids[int(wrong.argmax())]} with norm {norms[wrong][0]:.4g}; use unit_rows first"
        )
