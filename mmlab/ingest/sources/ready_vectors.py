"""Ready vectors beside a table: recognise them, check the heads of their files, and read them block by block.

Three forms are known: the folder that clip-retrieval writes (img_emb/, text_emb/, metadata/), arrays of NumPy beside a
table of as many rows in the same order, and columns of lists of floats in tables of Parquet or Arrow. Only the heads of
files are read when they are recognised; nothing is unpickled.
"""

import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from mmlab.ingest.dataset_files import list_given, open_given, walk_files
from mmlab.ingest.sources.packed_tables import records_per_batch
from mmlab.items import Space

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

KIND = "vectors"
IMAGE, TEXT, ROW = "image", "text", "row"  # whose vectors they are; of a row, what its field `modality` says
GIVEN = {IMAGE: "image_vector", TEXT: "text_vector"}  # the names of columns that say so
CLIP_RETRIEVAL, ARRAYS, COLUMNS = (
    "a folder of clip-retrieval",
    "arrays beside a table",
    "columns of a table",
)
CLIP_FOLDERS = {IMAGE: "img_emb", TEXT: "text_emb"}
METADATA = "metadata"
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
WORDS = {
    IMAGE: {"image", "images", "img", "imgs", "photo", "photos", "visual", "vision", "pixel"},
    TEXT: {"text", "texts", "txt", "caption", "captions", "sentence", "title", "description"},
}
VECTOR_NAME = re.compile(r"emb|vec|feat|clip", re.IGNORECASE)
LEAST_LENGTH = 8  # of a list of floats: a box has four, a colour three
ROWS_PER_BLOCK = 8192
ROWS_LOOKED_AT = 64
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    pa.ArrowException,
    NotImplementedError,  # of zipfile, for a compression that it does not know
)

Block = tuple[str, int, np.ndarray]  # the table, the record of the first row from 1, rows (n, D) as they are


class Shard(NamedTuple):
    """Vectors of one file: a row for each record of a table, in the same order.

    file: the absolute path. part: the array of a .npz or the column of a table, "" of a .npy. table: the name of the
    table. dtype: such as "float16". space: as JSON where the file says it. size, changed: of the file, in bytes and
    in nanoseconds, when it was looked at.
    """

    file: str
    part: str
    table: str
    rows: int
    dimension: int
    dtype: str
    space: str = ""
    size: int = 0
    changed: int = 0

    @property
    def name(self) -> str:
        """The file, and the part of it, as messages name it."""
        return f"{self.file} ({self.part})" if self.part else self.file


class ReadyVectors(NamedTuple):
    """The ready vectors of a source: its form, and the shards of each modality in the order of the tables."""

    form: str
    shards: Mapping[str, tuple[Shard, ...]]

    @property
    def first(self) -> Shard:
        """The first shard; all others have its dimension, dtype and space."""
        return next(iter(self.shards.values()))[0]

    @property
    def space(self) -> Space | None:
        """The space that the files say, None where they say none."""
        return Space.from_dict(json.loads(self.first.space)) if self.first.space else None

    @property
    def sentence(self) -> str:
        """What was recognised: form, vectors, dimensions, dtype and space."""
        counts = ", ".join(
            f"{sum(shard.rows for shard in shards):,} of {'images and texts' if of == ROW else f'{of}s'}"
            for of, shards in self.shards.items()
        )
        files = sum(map(len, self.shards.values()))
        named = (
            f"their files name the space {self.space.model}" if self.space else "their files name no space"
        )
        return (
            f"Ready vectors, {self.form}: {counts}, {self.first.dimension} dimensions, {self.first.dtype}, in "
            f"{files:,} shard{'s' * (files > 1)}; {named}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        shards = {of: [shard._asdict() for shard in some] for of, some in self.shards.items()}
        return {"form": self.form, "shards": shards}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote."""
        return cls(
            found["form"], {of: tuple(Shard(**one) for one in some) for of, some in found["shards"].items()}
        )

    def blocks(self, of: str) -> Iterator[Block]:
        """Yield the vectors of one modality, at most 8,192 rows at a time, float32 and not normalised.

        A record without a vector has a row of NaN. Raise ValueError that names the shard where one is damaged, has a
        list of another length, or is not as it was when it was recognised.
        """
        for shard in self.shards[of]:
            with _named(shard.name):
                found = os.stat(shard.file)
                if (found.st_size, found.st_mtime_ns) != (shard.size, shard.changed):
                    raise ValueError("it has changed since 01_ingest: run 01_ingest again")
                first = 1
                for rows in _read_shard(shard):
                    yield shard.table, first, rows
                    first += len(rows)
                if first - 1 != shard.rows:
                    raise ValueError(f"it ends after {first - 1:,} of {shard.rows:,} vectors")


class Recognised(NamedTuple):
    """Ready vectors, and the tables whose rows they belong to: the name and the path of each."""

    vectors: ReadyVectors
    tables: dict[str, Path]


def find_vectors(path: Path, kind: str, columns: Mapping[str, Sequence[str]]) -> Recognised | None:
    """Return the ready vectors of a folder or a file, None where it has none or its images are to be embedded.

    kind: "auto", or "vectors", the only other for which something is found. Raise ValueError where shards are damaged
    or differ from each other, and where it is not clear whose vectors they are.
    """
    given = {of: columns[name][0] for of, name in GIVEN.items() if columns.get(name)}
    if kind not in ("auto", KIND):
        if given:
            raise ValueError(
                f"columns: {', '.join(GIVEN[of] for of in given)} need source=vectors, found source={kind}"
            )
        return None
    folder = path if path.is_dir() else path.parent
    found = _clip_folder(folder) if path.is_dir() else None
    found = found or _arrays(path, given) or _columns(path, given, bool(given) or kind == KIND)
    if found is None and (given or kind == KIND):
        raise ValueError(
            f"dataset {path}: expected ready vectors, found none: img_emb/, text_emb/ and metadata/ as clip-retrieval "
            "writes them, a .npy or .npz beside a table of as many rows, or a Parquet column of lists of floats"
        )
    if found:
        _check_alike(found.vectors)
    return found


def _check_alike(vectors: ReadyVectors) -> None:
    """Raise ValueError where shards differ in what one space needs."""
    first = vectors.first
    for shard in (shard for shards in vectors.shards.values() for shard in shards):
        for what in ("dimension", "dtype", "space"):
            mine, others = getattr(shard, what), getattr(first, what)
            if mine != others:
                raise ValueError(
                    f"{shard.name}: expected the {what} of {first.name}, {others or 'none'}; found {mine or 'none'}: "
                    "vectors of one run are of one space"
                )


@contextmanager
def _named(name: object) -> Iterator[None]:
    """Name the file in what is raised while it is read."""
    try:
        yield
    except DAMAGED as error:
        if str(error).startswith(str(name)):
            raise
        raise ValueError(f"{name}: it cannot be read as vectors: {str(error)[:300]}") from error


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _numbered(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder by the last number in their names, in its order."""
    if not folder.is_dir():
        return {}
    files = sorted(list_given(folder, (suffix,)), key=lambda path: _natural(path.name))
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    return {(found or [""])[-1].lstrip("0") or "0": path for found, path in zip(numbers, files, strict=True)}


# Folders of clip-retrieval


def _clip_folder(folder: Path) -> Recognised | None:
    arrays = {of: _numbered(folder / name, ".npy") for of, name in CLIP_FOLDERS.items()}
    arrays = {of: files for of, files in arrays.items() if files}
    tables = _numbered(folder / METADATA, ".parquet")
    if not arrays:
        return None
    for of, files in arrays.items():
        if tables.keys() != files.keys():
            lone = sorted(tables.keys() ^ files.keys(), key=_natural)
            raise ValueError(
                f"dataset {folder}: expected a shard of {CLIP_FOLDERS[of]}/ for each of {METADATA}/, found "
                f"{len(files):,} and {len(tables):,}; the first without the other has the number {lone[0]}"
            )
    names = {number: path.relative_to(folder).as_posix() for number, path in tables.items()}
    lengths = {number: _count_rows(path) for number, path in tables.items()}
    shards = {
        of: tuple(_array_shard(files[one], "", names[one], lengths[one]) for one in tables)
        for of, files in arrays.items()
    }
    return Recognised(ReadyVectors(CLIP_RETRIEVAL, shards), {names[one]: tables[one] for one in tables})


def _count_rows(path: Path) -> int:
    with open_columns(path) as table:
        return table.rows


# Arrays of NumPy


def _arrays(path: Path, given: Mapping[str, str]) -> Recognised | None:
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.suffix.lower() not in (".npy", ".npz"):
        return None
    files = [path] if path.is_file() else list_given(folder, (".npy", ".npz"))
    found = [(file, part, head) for file in files for part, head in _heads(file) if len(head[0]) == 2]
    tables = [one for one in list_given(folder, TABLE_SUFFIXES) if one.is_file()]
    if not found or not tables:
        return None
    named = {part or file.stem: (file, part) for file, part, _ in found}
    table = _only_table(tables, {head[0][0] for _, _, head in found}, folder)
    chosen = choose_columns(list(named), given, lambda: table_columns(table), f"dataset {folder}")
    rows = len(read_columns(table))
    shards = {of: (_array_shard(*named[name], table.name, rows),) for of, name in chosen.items()}
    return Recognised(ReadyVectors(ARRAYS, shards), {table.name: table})


def _only_table(tables: list[Path], counts: set[int], folder: Path) -> Path:
    if len(tables) == 1:
        return tables[0]
    fitting = [path for path in tables if len(read_columns(path)) in counts]
    if len(fitting) != 1:
        raise ValueError(
            f"dataset {folder}: expected one table with as many rows as there are vectors, "
            f"{', '.join(f'{count:,}' for count in sorted(counts))}; found {[path.name for path in tables]}"
        )
    return fitting[0]


def _heads(file: Path) -> list[tuple[str, tuple[tuple[int, ...], bool, np.dtype]]]:
    """Return the name ("" in a .npy), shape, order and dtype of each array of floats in a file."""
    with _named(file), open_given(file) as opened:
        if file.suffix == ".npy":
            found = [("", _read_head(opened))]
        else:
            with zipfile.ZipFile(opened) as archive:
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                found = [(name[:-4], _member_head(archive, name)) for name in names]
    return [(name, head) for name, head in found if head[2].kind == "f"]


def _member_head(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    with archive.open(name) as member:
        return _read_head(member)


def _read_head(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"expected an array of NumPy in version 1.0 or 2.0, found {version}")
    return readers[version](file)


def _array_shard(file: Path, part: str, table: str, rows: int) -> Shard:
    """Return the shard of an array; raise ValueError where it is damaged or does not fit its table."""
    with _named(file):
        heads = dict(_heads(file))
        if part not in heads:
            raise ValueError("expected an array of floats; an array of objects is never read")
        shape, by_columns, dtype = heads[part]
        if len(shape) != 2 or by_columns:
            raise ValueError(
                f"expected rows (N, D) in C order, found shape {shape}: save np.ascontiguousarray"
            )
        if shape[0] != rows:
            raise ValueError(
                f"{file}: expected as many vectors as {table} has rows, {rows:,}; found {shape[0]:,} vectors"
            )
        found, needed = os.stat(file), _head_bytes(file) + shape[0] * shape[1] * dtype.itemsize
        if file.suffix == ".npy" and found.st_size < needed:
            raise ValueError(f"{found.st_size:,} bytes, expected {needed:,}: it ends early")
    return Shard(str(file), part, table, rows, shape[1], dtype.name, "", found.st_size, found.st_mtime_ns)


def _head_bytes(file: Path) -> int:
    """Return how many bytes of a .npy stand before its first number; 0 of other files."""
    if file.suffix != ".npy":
        return 0
    with open_given(file) as opened:
        _read_head(opened)
        return opened.tell()


def _read_array(file: IO[bytes], shard: Shard) -> Iterator[np.ndarray]:
    _, _, dtype = _read_head(file)
    for start in range(0, shard.rows, ROWS_PER_BLOCK):
        count = min(ROWS_PER_BLOCK, shard.rows - start)
        content = file.read(count * shard.dimension * dtype.itemsize)
        if len(content) < count * shard.dimension * dtype.itemsize:
            raise ValueError(
                f"it ends in row {start + len(content) // (shard.dimension * dtype.itemsize) + 1:,}"
            )
        yield np.frombuffer(content, dtype).reshape(count, shard.dimension).astype(np.float32)


def _read_shard(shard: Shard) -> Iterator[np.ndarray]:
    path = Path(shard.file)
    if path.suffix not in (".npy", ".npz"):
        yield from _read_lists(path, shard)
        return
    with open_given(path) as opened:
        if not shard.part:
            yield from _read_array(opened, shard)
            return
        with zipfile.ZipFile(opened) as archive, archive.open(f"{shard.part}.npy") as member:
            yield from _read_array(member, shard)


# Columns of Parquet and Arrow


class Columns(NamedTuple):
    """An open table of columns: its schema, how many rows, and what yields batches of some of the columns."""

    schema: pa.Schema
    rows: int
    source: Any

    def batches(self, names: Sequence[str], most: int = ROWS_PER_BLOCK) -> "Iterator[pa.RecordBatch]":
        """Yield the rows of these columns, at most so many at a time."""
        if hasattr(self.source, "iter_batches"):
            yield from self.source.iter_batches(most, columns=list(names))
            return
        for batch in self.source:
            for start in range(0, batch.num_rows, most):
                yield batch.select(list(names)).slice(start, most)


@contextmanager
def open_columns(path: Path) -> Iterator[Columns]:
    """Open a table of Parquet, or of Arrow as a file or a stream; raise ValueError with the path where it is none."""
    with _named(path), open_given(path) as opened:
        if path.suffix == ".arrow":
            yield _open_arrow(opened)
            return
        file = _parquet()(opened, pre_buffer=False)
        records_per_batch(file, os.fstat(opened.fileno()).st_size)  # raises where it unpacks to too much
        yield Columns(file.schema_arrow, file.metadata.num_rows, file)


def _open_arrow(opened: IO[bytes]) -> Columns:
    try:
        reader = pa.ipc.open_file(opened)
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    except pa.ArrowInvalid:
        opened.seek(0)
        reader = pa.ipc.open_stream(opened)
        batches = list(reader)
    return Columns(reader.schema, sum(batch.num_rows for batch in batches), batches)


def _parquet() -> "type[ParquetFile]":
    from pyarrow.parquet import ParquetFile

    return ParquetFile


def _columns(path: Path, given: Mapping[str, str], wanted: bool) -> Recognised | None:
    """Return what columns of lists hold; None for a table of images to be embedded, unless vectors are wanted."""
    files = _column_files(path)
    if not files:
        return None
    try:
        with open_columns(next(iter(files.values()))) as table:
            names = _vector_columns(table)
            others = [name for name in table.schema.names if name not in names]
            has_bytes = any(_holds_bytes(table.schema.field(name).type) for name in others)
    except ValueError:
        if wanted:
            raise
        return None
    if not names:
        return None
    if not wanted and (has_bytes or not any(map(VECTOR_NAME.search, names))):
        return None
    chosen = choose_columns(list(names), given, lambda: others, f"dataset {path}")
    shards: dict[str, tuple[Shard, ...]] = {}
    for of, name in chosen.items():
        shards[of] = tuple(_list_shard(file, name, table) for table, file in files.items())
    return Recognised(ReadyVectors(COLUMNS, shards), files)


def _column_files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.name: path} if path.suffix in (".parquet", ".arrow") else {}
    names = [name for name in walk_files(path).names if name.endswith((".parquet", ".arrow"))]
    suffix = ".parquet" if any(name.endswith(".parquet") for name in names) else ".arrow"
    saved = [
        name for name in names if name.endswith(suffix) and not name.rpartition("/")[2].startswith("cache-")
    ]
    return {name: path / name for name in sorted(saved, key=_natural)}


def _vector_columns(table: Columns) -> dict[str, int]:
    """Return the columns of lists of floats of one length, and that length."""
    found = {}
    for field in table.schema:
        kind = field.type
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if any(is_kind(kind) for is_kind in lists) and pa.types.is_floating(kind.value_type):
            length = _length(table, field.name)
            if length >= LEAST_LENGTH:
                found[field.name] = length
    return found


def _length(table: Columns, name: str) -> int:
    """Return the length that the first lists of a column have, 0 where they differ."""
    if pa.types.is_fixed_size_list(table.schema.field(name).type):
        return int(table.schema.field(name).type.list_size)
    batch = next(iter(table.batches([name], ROWS_LOOKED_AT)), None)
    lengths = set() if batch is None else set(batch.column(0).drop_null().value_lengths().to_pylist())
    return lengths.pop() if len(lengths) == 1 else 0


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a column holds images, as bytes or as Hugging Face datasets writes them."""
    if pa.types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _list_shard(file: Path, name: str, table: str) -> Shard:
    with open_columns(file) as opened:
        if name not in opened.schema.names:
            raise ValueError(
                f"expected a column {name!r} as in the first of these tables, found {opened.schema.names}"
            )
        dimension, kind = _length(opened, name), opened.schema.field(name).type.value_type
        if not dimension:
            raise ValueError(f"{file} ({name}): expected lists of one length, found several or none")
        space = (opened.schema.metadata or {}).get(b"space", b"").decode("utf-8", "replace")
    found, dtype = os.stat(file), {"halffloat": "float16", "float": "float32", "double": "float64"}[str(kind)]
    return Shard(
        str(file), name, table, opened.rows, dimension, dtype, _checked_space(space, file), found.st_size,
        found.st_mtime_ns,
    )  # fmt: skip


def _checked_space(text: str, file: Path) -> str:
    """Return the space as JSON in one spelling; raise ValueError where a file says what is none."""
    if not text:
        return ""
    try:
        return json.dumps(Space.from_dict(json.loads(text)).to_dict(), sort_keys=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: its metadata say a space that is none: {text[:200]}") from error


def _read_lists(path: Path, shard: Shard) -> Iterator[np.ndarray]:
    with open_columns(path) as table:
        for batch in table.batches([shard.part]):
            yield _to_rows(batch.column(0), shard.dimension)


def _to_rows(lists: pa.Array, dimension: int) -> np.ndarray:
    """Return lists of floats as float32 (n, D); NaN where there is none. Raise ValueError for another length."""
    lengths = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    there = lengths >= 0
    if wrong := set(lengths[there].tolist()) - {dimension}:
        raise ValueError(f"expected lists of {dimension} floats, found one of {wrong.pop()}")
    rows = np.full((len(lists), dimension), np.nan, np.float32)
    kept = lists.filter(pa.array(there)) if not there.all() else lists
    rows[there] = kept.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
    return rows


# Which of several is whose


def choose_columns(names: Sequence[str], given: Mapping[str, str], others: Any, where: str) -> dict[str, str]:
    """Return which columns or arrays hold the vectors of images, of texts, or of what each row is.

    given: what the user says. others: a function that returns the names of the other columns. Raise ValueError where
    it is in doubt.
    """
    if given:
        found = {
            of: name if name in names else f"{name}_vector" for of, name in given.items()
        }  # of a collection
        if missing := [given[of] for of, name in found.items() if name not in names]:
            raise ValueError(f"{where}: expected vectors called {missing}, found {list(names)}")
        return found
    said = {of: [name for name in names if modality_in(name) == of] for of in WORDS}
    if not any(said.values()) and len(names) == 1:
        return {_modality_of_rows(list(others()), names[0], where): names[0]}
    if max(map(len, said.values())) > 1 or not any(said.values()):
        raise _in_doubt(names, where)
    return {of: found[0] for of, found in said.items() if found}


def modality_in(name: str) -> str | None:
    """Return whose vectors a name says, None where it says nothing.

    >>> modality_in("img_emb"), modality_in("textEmbedding"), modality_in("vector")
    ('image', 'text', None)
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    found = [of for of, known in WORDS.items() if words & known]
    return found[0] if len(found) == 1 else None


def _modality_of_rows(others: Iterable[str], name: str, where: str) -> str:
    """Return what the rows of a table are whose only vectors say nothing by their name."""
    others = [other.lower() for other in others]
    if "modality" in others:
        return ROW
    has_image = any(modality_in(other) == IMAGE for other in others) or {"url", "key"} & {*others}
    has_text = any(modality_in(other) == TEXT for other in others)
    if has_image and has_text:
        raise _in_doubt([name], where)
    return TEXT if has_text else IMAGE


def _in_doubt(names: Sequence[str], where: str) -> ValueError:
    shown = list(names)[:10]
    return ValueError(
        f"{where}: whose vectors are {shown}? Say it by -p columns=image_vector={shown[0]} for images, "
        f"-p columns=text_vector={shown[0]} for texts, or both; -p source=KIND of the table embeds anew"
    )


# The tables themselves


def table_columns(path: Path) -> list[str]:
    """Return the names of a table's columns."""
    return read_columns(path).schema.names


def read_columns(path: Path) -> pa.Table:
    """Read a table of Parquet, Arrow, csv, tsv or JSON Lines as columns, without its vectors and its bytes.

    The cells of csv are text. Raise ValueError with the path where it cannot be read.
    """
    with _named(path):
        if path.suffix in (".parquet", ".arrow"):
            with open_columns(path) as table:
                vectors = _vector_columns(table)
                kept = [name for name in table.schema.names if name not in vectors]
                kept = [name for name in kept if not _holds_bytes(table.schema.field(name).type)]
                parts = [table.schema.field(name) for name in kept]
                found = (
                    pa.Table.from_batches(table.batches(kept), pa.schema(parts))
                    if kept
                    else _empty(table.rows)
                )
        else:
            with open_given(path) as opened:
                found = _read_text(opened, path)
        found.validate(full=True)
    return found


def _empty(rows: int) -> pa.Table:
    return pa.table({"row": pa.array(range(1, rows + 1))})


def _read_text(opened: IO[bytes], path: Path) -> pa.Table:
    from pyarrow import csv
    from pyarrow import json as lines

    if path.suffix.lower() == ".jsonl":
        return lines.read_json(opened, lines.ReadOptions(block_size=1 << 24, use_threads=True))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = csv.open_csv(opened, parse_options=parsing).schema.names
    opened.seek(0)
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return csv.read_csv(opened, parse_options=parsing, convert_options=texts)
