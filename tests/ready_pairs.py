"""Ready vectors in each form that is read, of four pairs whose vectors can be written down."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

IMAGES = np.eye(4, 8, dtype=np.float32)  # image i has a one in place i
TEXTS = np.roll(np.eye(4, 8, dtype=np.float32), 4, axis=1)  # text i in place i + 4
NAMES = [f"photos/{i}.jpg" for i in range(4)]
CAPTIONS = [f"A small mug with the number {i} on it" for i in range(4)]


def clip_folder(
    folder: Path,
    images: np.ndarray = IMAGES,
    texts: np.ndarray | None = TEXTS,
    rows: Sequence[dict[str, Any]] = (),
    shards: int = 2,
    dtype: str = "float16",
) -> Path:
    """A folder as clip-retrieval writes it, divided into shards of as many rows."""
    rows = list(rows) or [
        {"image_path": name, "caption": caption} for name, caption in zip(NAMES, CAPTIONS, strict=True)
    ]
    size = -(-len(rows) // shards)
    parts = {"img_emb": images, "text_emb": texts}
    for name in (*parts, "metadata"):
        (folder / name).mkdir(parents=True)
    for number in range(shards):
        part = slice(number * size, (number + 1) * size)
        for name, array in parts.items():
            if array is not None:
                np.save(folder / name / f"{name}_{number}.npy", array[part].astype(dtype))
        parquet.write_table(
            pa.Table.from_pylist(rows[part]), folder / "metadata" / f"metadata_{number}.parquet"
        )
    return folder


def lists(array: np.ndarray, fixed: bool = True) -> pa.Array:
    """Rows as lists of floats, of one length or of any."""
    if not fixed:
        return pa.array(array.tolist(), pa.list_(pa.from_numpy_dtype(array.dtype)))
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def columns_table(fixed: bool = True, **more: Any) -> pa.Table:
    """A table with names, captions, a column of vectors of each, and a box that is no vector."""
    boxes = lists(np.ones((4, 4), np.float32))
    vectors = {"image_embedding": lists(IMAGES, fixed), "text_embedding": lists(TEXTS, fixed)}
    return pa.table({"file_name": NAMES, "caption": CAPTIONS, "bbox": boxes, **vectors, **more})


def saved_json(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
