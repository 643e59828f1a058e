"""Items become vectors: each content once, from the cache where it is known, in the order of the items.

The cache is one SQLite file: content x space -> float32 bytes and their checksum. A text that asks is another content
than the same text where it is found, if the model puts another prompt before it.
"""

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd

from mmlab.embed.encode import encode_items
from mmlab.embed.models import Model
from mmlab.embed.models.interface import unsupported_modality
from mmlab.items import Space, Vectors, is_among
from mmlab.items.files import SqliteFile
from mmlab.items.parameter_table import check_values
from mmlab.items.tables import SKIPPED_COLUMNS, check_items

CONTENTS_PER_QUERY = 1000
DOCUMENT, QUERY, EITHER = "document", "query", "both"
QUERY_CONTENT = "query "  # before the content of a text, in the cache, where its vector is that of a query

TABLE = """CREATE TABLE IF NOT EXISTS vectors
(space TEXT NOT NULL, content TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (space, content))"""
SELECT = """SELECT content, vector FROM vectors
WHERE space = ? AND content IN (SELECT value FROM json_each(?))"""
INSERT = "INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
DELETE = "DELETE FROM vectors WHERE space = ? AND content = ? AND vector = ?"


class VectorCache(SqliteFile):
    """A vector per content and space, in a file that several processes may use at a time.

    What `put` has returned from survives a kill. `with VectorCache(path) as cache` closes the file at the end.

    >>> from tempfile import TemporaryDirectory
    >>> space = Space("demo", "1", "mean", "", "float32", 2)
    >>> with TemporaryDirectory() as folder, VectorCache(Path(folder) / "vectors.sqlite") as cache:
    ...     cache.put(["a"], np.array([[0.6, 0.8]]), space)
    ...     found, vectors = cache.get(["a", "b"], space)
    >>> found.tolist(), vectors[found].round(1).tolist()
    ([True, False], [[0.6000000238418579, 0.800000011920929]])
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, or create it; raise ValueError if it is not a vector cache."""
        super().__init__(path, TABLE, "a vector cache", "its vectors are computed again")

    def get(self, contents: Sequence[str] | np.ndarray, space: Space) -> tuple[np.ndarray, np.ndarray]:
        """Return which contents are known, bool (N,), and their vectors, float32 (N, D), zero for unknown ones."""
        found = np.zeros(len(contents), dtype=bool)
        vectors = np.zeros((len(contents), space.dimension), dtype=np.float32)
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            part = contents[start : start + CONTENTS_PER_QUERY]
            known = self._select(part, space)
            for position, content in enumerate(part, start):
                row = _read_row(known.get(content, b""), space.dimension)
                if row is not None:
                    found[position], vectors[position] = True, row
        return found, vectors

    def put(self, contents: Sequence[str] | np.ndarray, vectors: np.ndarray, space: Space) -> None:
        """Keep the vectors (N, D) of the contents, all or none of them; a known content keeps its first vector.

        So processes that embed the same contents at once end with the same vectors, if they `get` them afterwards. A
        row that is damaged is replaced.
        """
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        self._remove_damaged(contents, space)
        self.write(
            INSERT,
            [(space.key, content, _to_bytes(row)) for content, row in zip(contents, rows, strict=True)],
        )

    def _remove_damaged(self, contents: Sequence[str] | np.ndarray, space: Space) -> None:
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            known = self._select(contents[start : start + CONTENTS_PER_QUERY], space)
            damaged = [one for one, row in known.items() if _read_row(row, space.dimension) is None]
            if damaged:
                self.write(DELETE, [(space.key, content, known[content]) for content in damaged])

    def _select(self, contents: Sequence[str] | np.ndarray, space: Space) -> dict[str, bytes]:
        return dict(self.read(SELECT, (space.key, json.dumps(list(contents)))))


def _to_bytes(row: np.ndarray) -> bytes:
    """Return a vector as float32 bytes with their checksum."""
    content = row.tobytes()
    return content + crc32(content).to_bytes(4, "little")


def _read_row(stored: bytes, dimension: int) -> np.ndarray | None:
    """Return the vector in the bytes of `_to_bytes`; None if they are damaged, or of another dimension."""
    content, checksum = stored[:-4], stored[-4:]
    if len(content) != 4 * dimension or crc32(content).to_bytes(4, "little") != checksum:
        return None
    return np.frombuffer(content, dtype="<f4")


@dataclass(frozen=True, repr=False)
class Embedded:
    """The vectors in the order of the items, the skipped items, and what was done.

    counts has one row per modality, and one more for texts as queries where these have vectors of their own: side
    ("document", "query", or "both" where they are the same), items, embedded (contents that the model embedded), cached
    (items whose vector was known), failed, truncated (texts longer than the model's window), halved (batches that did
    not fit into memory and were split in two), seconds, per_second (embedded).
    """

    vectors: Vectors
    skipped: pd.DataFrame
    counts: pd.DataFrame

    def __repr__(self) -> str:
        done = ", ".join(f"{self.counts[name].sum():,} {name}" for name in ("embedded", "cached", "failed"))
        return f"Embedded({self.vectors!r}; {done})"


class _Rows(NamedTuple):
    """The rows of one modality: vectors (N, D), the reason why there is none (N,), and counts."""

    vectors: np.ndarray
    reasons: np.ndarray
    embedded: int
    halved: int


def embed_items(
    items: pd.DataFrame,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
    as_queries: bool = False,
) -> Embedded:
    """Embed all items in the model's space; an image that cannot be opened becomes a skipped row.

    cache: a file. Contents that it knows are not embedded again, and each batch is kept when it is done, so that an
    interrupted run continues where it stopped.
    batch_size: the most items that go through the model at a time. A batch that does not fit into memory is split in
    two; an item that does not fit even alone becomes a skipped row.
    as_queries: embed texts as they ask, behind the model's query prompt, instead of as they are found.

    Raises ModelError if the model cannot embed a modality of the items, ValueError for other wrong arguments.
    """
    _check_arguments(items, model, batch_size)
    array = np.zeros((len(items), model.space.dimension), dtype=np.float32)
    reasons = np.full(len(items), None, dtype=object)
    counts = []
    with VectorCache(cache) if cache else nullcontext() as opened:
        for modality in items["modality"].unique():
            chosen = (items["modality"] == modality).to_numpy()
            started = time.perf_counter()
            side = _side(model, modality, as_queries)
            rows = _embed_rows(items[chosen], model, opened, batch_size, progress, side)
            array[chosen], reasons[chosen] = rows.vectors, rows.reasons
            counts.append(_count(items[chosen], model, rows, time.perf_counter() - started, side))
    kept = pd.isna(reasons)
    return Embedded(
        vectors=Vectors(items["item_id"].to_numpy()[kept], array[kept], model.space),
        skipped=_skipped_table(items[~kept], reasons[~kept]),
        counts=pd.DataFrame(counts),
    )


def _check_arguments(items: pd.DataFrame, model: Model, batch_size: int) -> None:
    check_values(batch_size=batch_size)
    if check_items(items).empty:
        raise ValueError("items: expected at least one, found none: see what ingest skipped, and why")
    for modality in items["modality"].unique():
        if modality not in model.modalities:
            raise unsupported_modality(model.space.model, model.modalities, modality)


def embed_with_queries(
    items: pd.DataFrame,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> Embedded:
    """Return what `embed_items` does, with the texts as they ask in `vectors.queries` where the model tells them apart.

    A text that has no vector on one of its sides has none.
    """
    found = embed_items(items, model, cache, batch_size, progress)
    texts = items[(items["modality"] == "text") & is_among(items["item_id"], found.vectors.ids)]
    if not model.tells_queries_apart or texts.empty:
        return found
    asking = embed_items(texts, model, cache, batch_size, progress, as_queries=True)
    lost = set(texts["item_id"]) - set(asking.vectors.ids)
    kept = found.vectors.take([item for item in found.vectors.ids if item not in lost])
    return Embedded(
        vectors=replace(kept, queries=asking.vectors),
        skipped=pd.concat([found.skipped, asking.skipped], ignore_index=True),
        counts=pd.concat([found.counts, asking.counts], ignore_index=True),
    )


def _side(model: Model, modality: str, as_queries: bool) -> str:
    if modality != "text" or not model.tells_queries_apart:
        return EITHER
    return QUERY if as_queries else DOCUMENT


def _embed_rows(
    rows: pd.DataFrame, model: Model, cache: VectorCache | None, batch_size: int, progress: bool, side: str
) -> _Rows:
    from tqdm.auto import tqdm

    unique = rows.drop_duplicates("content")
    contents = unique["content"].to_numpy(dtype=object)
    if side == QUERY:
        contents = QUERY_CONTENT + contents
    found, vectors = np.zeros(len(unique), bool), np.zeros((len(unique), model.space.dimension), np.float32)
    if cache:
        found, vectors = cache.get(contents, model.space)
    missing = np.flatnonzero(~found)
    reasons, halved = np.full(len(unique), None, dtype=object), 0
    name = "queries" if side == QUERY else rows["modality"].iloc[0] + "s"
    silent = not progress or not len(missing)
    with tqdm(total=len(missing), desc=name, unit=f" {name}", disable=silent) as bar:
        for batch in encode_items(unique.iloc[missing], model, batch_size, as_queries=side == QUERY):
            positions = missing[batch.positions]
            vectors[positions] = _keep(cache, contents[positions], batch.vectors, model)
            reasons[missing[list(batch.failures)]] = list(batch.failures.values())
            halved += batch.halved
            bar.update(len(positions) + len(batch.failures))
    source = pd.Index(unique["content"]).get_indexer(rows["content"])
    return _Rows(vectors[source], reasons[source], len(missing) - pd.notna(reasons).sum(), halved)


def _keep(cache: VectorCache | None, contents: np.ndarray, vectors: np.ndarray, model: Model) -> np.ndarray:
    """Put the vectors (N, D) into the cache and return what it holds: another process may have been first."""
    if not cache or not len(contents):
        return vectors
    cache.put(contents, vectors, model.space)
    return cache.get(contents, model.space)[1]


def _count(
    items: pd.DataFrame, model: Model, rows: _Rows, seconds: float, side: str
) -> dict[str, str | int | float]:
    modality, failed = items["modality"].iloc[0], pd.notna(rows.reasons).sum()
    longer = model.count_truncated(items["text"].tolist(), side == QUERY) if modality == "text" else 0
    return {
        "modality": modality,
        "side": side,
        "items": len(items),
        "embedded": rows.embedded,
        "cached": len(items) - rows.embedded - failed,
        "failed": failed,
        "truncated": longer,
        "halved": rows.halved,
        "seconds": seconds,
        "per_second": rows.embedded / seconds,
    }


def _skipped_table(rows: pd.DataFrame, reasons: np.ndarray) -> pd.DataFrame:
    fields = {
        "row": None,
        "source": rows["pair_id"],
        "text": None,
        "reason": reasons,
        "detail": rows["image"],
    }
    types = dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}
    return pd.DataFrame(fields, index=rows.index).astype(types).reset_index(drop=True)
