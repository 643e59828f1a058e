"""A run's vectors in files that other tools read: the folders of clip-retrieval, Parquet shards, FAISS indexes.

Vectors are read from the run's file and written in blocks; only what FAISS writes is in memory as a whole.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, Vectors
from mmlab.items.tables import places_among

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("clip-retrieval", "parquet", "faiss")
SHARD_ROWS = 1_000_000  # of a file; so many clip-retrieval writes too (its write_batch_size)
BLOCK_ROWS = 8_192
EF_CONSTRUCT = 200  # candidates for a node of FAISS's graph
DESCRIPTION = "export.json"  # says what the folder holds; without it no folder is replaced
ITEM_FIELDS = ["item_id", "modality", "pair_id", "text", "image", "label"]


@dataclass(frozen=True)
class ExportedVectors:
    """The items of a run that have a vector in one space, in the order of the run's items.

    vectors: all vectors of the space. items: a table of N rows with ITEM_FIELDS and, where there is one, url.
    rows: the row of each item in the vectors, int64 (N,).
    """

    vectors: Vectors
    items: "pa.Table"
    rows: np.ndarray

    @classmethod
    def of_file(cls, items: str | Path, vectors: Vectors) -> "ExportedVectors":
        """Return the items of a Parquet file that are among the vectors; only the columns needed are read."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        file = ParquetFile(items, memory_map=True)
        known = set(file.schema_arrow.names)
        names = [name for name in (*ITEM_FIELDS, "url") if name in known]
        table = file.read(names).cast(pa.schema([(name, pa.large_string()) for name in names]))
        rows = places_among(table["item_id"].to_numpy(), vectors.ids)
        held = rows >= 0
        return cls(vectors, table.filter(held), rows[held])

    def places(self, modality: str) -> np.ndarray:
        """Return the places of the items of a modality, int64 (M,) from 0."""
        from pyarrow.compute import equal

        return np.flatnonzero(equal(self.items["modality"], modality).to_numpy())

    def block(self, places: np.ndarray) -> np.ndarray:
        """Return the vectors at these places (M,) as float32 (M, D), zeros where a place is -1."""
        found = self.vectors.array[self.rows[np.maximum(places, 0)]]
        found[places < 0] = 0
        return found


def export_vectors(
    exported: ExportedVectors, to: str, folder: Path, dtype: str = "float32", hnsw_m: int | None = None
) -> pd.DataFrame:
    """Write the vectors into a folder in the format `to`, whole or not at all; return file, rows, content of each.

    to: "clip-retrieval", "parquet" or "faiss". dtype: of clip-retrieval's vectors, "float32" or "float16". hnsw_m: the
    edges of a node, for a graph of FAISS in place of the exact index.

    Raises ValueError for a format, dtype or hnsw_m that is not known, and for a folder that holds something other than
    an earlier export; ImportError where FAISS is not installed.
    """
    writers: dict[str, Any] = {
        "clip-retrieval": lambda target: _write_clip_retrieval(exported, target, dtype),
        "parquet": lambda target: _write_parquet(exported, target),
        "faiss": lambda target: _write_faiss(exported, target, hnsw_m),
    }
    _check_request(to, dtype, hnsw_m)
    with _whole_folder(folder) as target:
        files = [*writers[to](target)]
        table = pd.DataFrame(files, columns=["file", "rows", "content"])
        space = exported.vectors.space.to_dict()
        description = {"format": to, "space": space, "files": table.to_dict("records")}
        (target / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
    return table


def _check_request(to: str, dtype: str, hnsw_m: int | None) -> None:
    if to not in FORMATS:
        raise ValueError(f"to: expected one of {', '.join(FORMATS)}, found {to!r}")
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype: expected float32 or float16, found {dtype!r}")
    if dtype != "float32" and to != "clip-retrieval":
        raise ValueError(f"dtype: {to} holds float32; only clip-retrieval takes {dtype}")
    if hnsw_m is not None and (to != "faiss" or hnsw_m < 2):
        raise ValueError(f"hnsw_m: expected a whole number from 2, and to='faiss'; found {hnsw_m} and {to!r}")
    if to == "faiss" and find_spec("faiss") is None:
        raise ImportError("FAISS is not installed: pip install 'mmlab[tune]' adds it")


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder inside `folder`, whose files take the place of an earlier export in the end.

    Raises ValueError where `folder` holds what no export has written.
    """
    earlier = _earlier_export(folder)
    target = folder / f".export-{os.getpid()}"
    target.mkdir(parents=True)
    try:
        yield target
        for name in earlier:
            (folder / name).unlink(missing_ok=True)
        for place in {(folder / name).parent for name in earlier} - {folder}:
            place.rmdir()
        written = sorted(path for path in target.rglob("*") if path.is_file() and path.name != DESCRIPTION)
        for path in (*written, target / DESCRIPTION):  # the description last: it says that all is there
            place = folder / path.relative_to(target)
            place.parent.mkdir(exist_ok=True)
            os.replace(path, place)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _earlier_export(folder: Path) -> list[str]:
    """Return the files of an earlier export in the folder, the description first; remove what a kill has left."""
    if not folder.exists():
        return []
    for left in folder.glob(".export-*"):
        shutil.rmtree(left, ignore_errors=True)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    try:
        listed = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["files"]
        known = {DESCRIPTION, *(str(one["file"]) for one in listed)}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    if others := sorted(found - known):
        raise ValueError(
            f"{folder} holds what no export has written, first {others[0]}; give a folder that is empty or new"
        )
    return sorted(found, key=lambda name: name != DESCRIPTION)


def _parts(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each part of `size` of a count; one empty part of none."""
    for start in range(0, max(count, 1), size):
        yield start, min(start + size, count)


Written = tuple[str, int, str]  # a file, its rows and its content


def _write_parquet(exported: ExportedVectors, folder: Path) -> Iterator[Written]:
    """Write shards with the columns of items and `vector`, float32[D]; the space is in the schema's metadata."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    space, items = exported.vectors.space, exported.items.select(ITEM_FIELDS)
    vector = pa.field("vector", pa.list_(pa.float32(), space.dimension))
    schema = items.schema.append(vector).with_metadata({"space": json.dumps(space.to_dict())})
    for number, (first, last) in enumerate(_parts(len(items), SHARD_ROWS)):
        name = f"vectors_{number:05}.parquet"
        with ParquetWriter(folder / name, schema) as writer:
            for start, end in _parts(last - first, BLOCK_ROWS):
                places = np.arange(first + start, first + end)
                rows = pa.FixedSizeListArray.from_arrays(exported.block(places).ravel(), type=vector.type)
                part = items.slice(first + start, end - start).append_column(vector, rows)
                writer.write_table(part.cast(schema))
        yield name, last - first, "items with their vectors"


def _write_clip_retrieval(exported: ExportedVectors, folder: Path, dtype: str) -> Iterator[Written]:
    """Write img_emb, text_emb and metadata: row i of the three files of a shard is one image with one text.

    A pair of one image and several texts has a row for each text. Each vector is there once: the image's stands in the
    first row of its pair, and zeros, which score 0 with every query, where a row has no vector of its own.
    """
    paired = _pair_rows(exported)
    arrays = {"img_emb": paired["image"], "text_emb": paired["text"]}
    width = len(str(max(len(paired) - 1, 0) // SHARD_ROWS))
    for number, (start, end) in enumerate(_parts(len(paired), SHARD_ROWS)):
        shard = f"{number:0{width}}"
        for kind, places in arrays.items():
            if (places < 0).all():
                continue  # the space holds none of this modality
            name = f"{kind}/{kind}_{shard}.npy"
            _write_array(exported, places.to_numpy()[start:end], folder / name, np.dtype(dtype))
            yield name, end - start, f"vectors, {dtype}; zeros for none"
        name = f"metadata/metadata_{shard}.parquet"
        _write_metadata(exported, paired.iloc[start:end], folder / name)
        yield name, end - start, "image_path, caption and ids of the same rows"


def _pair_rows(exported: ExportedVectors) -> pd.DataFrame:
    """Return the rows of clip-retrieval: the places of image and text (-1 for none), and of the image shown.

    >>> import pyarrow as pa
    >>> kinds, pairs = ["image", "text", "text", "text"], ["a", "a", "a", "b"]
    >>> items = pa.table({"item_id": list("wxyz"), "modality": kinds, "pair_id": pairs})
    >>> _pair_rows(ExportedVectors(None, items, None)).values.tolist()
    [[0, 1, 0], [-1, 2, 0], [-1, 3, -1]]
    """
    pair = exported.items["pair_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    tables = []
    for modality in ("image", "text"):
        place = exported.places(modality)
        own = pd.DataFrame({"pair": pair[place], modality: place})
        tables.append(own.assign(number=own.groupby("pair").cumcount()))
    paired = tables[0].merge(tables[1], on=["pair", "number"], how="outer").sort_values(["pair", "number"])
    first = tables[0].drop_duplicates("pair").set_index("pair")["image"]
    paired["shown"] = paired["image"].fillna(paired["pair"].map(first))
    return paired[["image", "text", "shown"]].fillna(-1).astype(np.int64).reset_index(drop=True)


def _write_array(exported: ExportedVectors, places: np.ndarray, path: Path, dtype: np.dtype) -> None:
    """Write the vectors at these places as a .npy file (M, D), block by block."""
    path.parent.mkdir(exist_ok=True)
    shape = (len(places), exported.vectors.space.dimension)
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start, end in _parts(len(places), BLOCK_ROWS):
            file.write(exported.block(places[start:end]).astype(dtype, copy=False).data)


def _write_metadata(exported: ExportedVectors, paired: pd.DataFrame, path: Path) -> None:
    """Write what belongs to the rows, in clip-retrieval's names, with mmlab's ids beside."""
    import pyarrow as pa
    from pyarrow.compute import coalesce
    from pyarrow.parquet import write_table

    def column(name: str, of: str) -> Any:
        places = paired[of].to_numpy()
        return exported.items[name].take(pa.array(places, mask=places < 0))

    columns = {"image_path": column("image", "shown"), "caption": column("text", "text")}
    for name in [name for name in ("url", "label", "pair_id") if name in exported.items.column_names]:
        columns[name] = coalesce(column(name, "shown"), column(name, "text"))
    columns |= {"image_id": column("item_id", "image"), "text_id": column("item_id", "text")}
    path.parent.mkdir(exist_ok=True)
    write_table(pa.table(columns), path)


def _write_faiss(exported: ExportedVectors, folder: Path, hnsw_m: int | None) -> Iterator[Written]:
    """Write an index of inner products for each modality, and ids.parquet: modality, row, and the items' columns."""
    import faiss
    import pyarrow as pa
    from pyarrow.parquet import write_table

    tables = []
    for modality in MODALITIES:
        places = exported.places(modality)
        if not len(places):
            continue
        index = _empty_index(faiss, exported.vectors.space.dimension, hnsw_m)
        for start, end in _parts(len(places), BLOCK_ROWS):
            index.add(exported.block(places[start:end]))
        faiss.write_index(index, str(folder / f"{modality}.faiss"))
        yield f"{modality}.faiss", len(places), f"HNSW, m = {hnsw_m}" if hnsw_m else "exact, by inner product"
        items = exported.items.select(ITEM_FIELDS).take(places)
        tables.append(items.append_column("row", pa.array(np.arange(len(places)))))
    write_table(pa.concat_tables(tables), folder / "ids.parquet")
    yield "ids.parquet", sum(map(len, tables)), "the item of each row of an index"


def _empty_index(faiss: Any, dimension: int, hnsw_m: int | None) -> Any:
    if hnsw_m is None:
        return faiss.IndexFlatIP(dimension)
    index = faiss.IndexHNSWFlat(dimension, hnsw_m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCT
    return index


def describe_files(table: pd.DataFrame, folder: Path, to: str) -> str:
    """Return the sentence of an export: how much was written, where, and how it is read."""
    readers: dict[str, Sequence[str]] = {
        "clip-retrieval": ("np.load(..., mmap_mode='r')", "clip-retrieval index --embeddings_folder"),
        "parquet": ("pyarrow.dataset", "datasets.load_dataset('parquet', ...)"),
        "faiss": ("faiss.read_index; row n of an index is row n of its modality in ids.parquet",),
    }
    shown = " or ".join(f"`{reader}`" for reader in readers[to])
    return f"{len(table)} files are in `{folder}`, to be read by {shown}."
