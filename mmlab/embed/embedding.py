"""Items become vectors: each content once, from the cache where it is known, in the order of the items.

The cache is one SQLite file: content x space -> float32 bytes and their checksum. The bytes are those of a row, of the
rows of all tokens, or of terms and their weights, as the kind of the space is. A text that asks is another content
than the same text where it is found, if the model puts another prompt before it.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd

from mmlab.embed.encode import EncodedBatch, encode_items
from mmlab.embed.models import Model, ModelError
from mmlab.embed.models.interface import empty_rows, to_vectors, unsupported_modality
from mmlab.items import Space, Vectors, is_among
from mmlab.items.files import SqliteFile
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.sentences import count, long_time, milliseconds
from mmlab.items.tables import SKIPPED_COLUMNS, check_items
from mmlab.items.vectors import DENSE, LATE, SPARSE

CONTENTS_PER_QUERY = 1000
DOCUMENT, QUERY, EITHER = "document", "query", "both"
QUERY_CONTENT = "query "  # before the content of a text, in the cache, where its vector is that of a query

# Of the contents that are embedded, how long the others take is measured on so many, in two halves.
TIMED_TWICE, MIN_TIMED, MIN_SECONDS = 8, 16, 60
SLOW = "model %r takes %s for one %s on %s: %s more take about %s"

log = logging.getLogger(__name__)

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
        """Return which contents are known, bool (N,), and the vectors of these, in room that `empty_rows` makes."""
        found, vectors = np.zeros(len(contents), dtype=bool), empty_rows(space, len(contents))
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            part = contents[start : start + CONTENTS_PER_QUERY]
            known = self._select(part, space)
            for position, content in enumerate(part, start):
                row = _read_row(known.get(content, b""), space)
                if row is not None:
                    found[position], vectors[position] = True, row
        return found, vectors

    def put(self, contents: Sequence[str] | np.ndarray, vectors: np.ndarray, space: Space) -> None:
        """Keep the vectors (N,) of the contents, all or none of them; a known content keeps its first vector.

        So processes that embed the same contents at once end with the same vectors, if they `get` them afterwards. A
        row that is damaged is replaced.
        """
        rows = [np.ascontiguousarray(row, dtype="<f4") for row in vectors]
        self._remove_damaged(contents, space)
        self.write(
            INSERT,
            [(space.key, content, _to_bytes(row)) for content, row in zip(contents, rows, strict=True)],
        )

    def _remove_damaged(self, contents: Sequence[str] | np.ndarray, space: Space) -> None:
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            known = self._select(contents[start : start + CONTENTS_PER_QUERY], space)
            damaged = [one for one, row in known.items() if _read_row(row, space) is None]
            if damaged:
                self.write(DELETE, [(space.key, content, known[content]) for content in damaged])

    def _select(self, contents: Sequence[str] | np.ndarray, space: Space) -> dict[str, bytes]:
        return dict(self.read(SELECT, (space.key, json.dumps(list(contents)))))


def _to_bytes(row: np.ndarray) -> bytes:
    """Return a vector as float32 bytes with their checksum."""
    content = row.tobytes()
    return content + crc32(content).to_bytes(4, "little")


def _read_row(stored: bytes, space: Space) -> np.ndarray | None:
    """Return the vector in the bytes of `_to_bytes`; None if they are damaged, or of another dimension."""
    content, checksum = stored[:-4], stored[-4:]
    numbers = 2 if space.kind == SPARSE else space.dimension
    if crc32(content).to_bytes(4, "little") != checksum or len(content) % (4 * numbers):
        return None
    row = np.frombuffer(content, dtype="<f4")
    if space.kind == DENSE:
        return row if len(row) == numbers else None
    return row.reshape((2, -1) if space.kind == SPARSE else (-1, numbers))


@dataclass(frozen=True, repr=False)
class Embedded:
    """The vectors in the order of the items, the skipped items, and what was done.

    counts has one row per modality, and one more for texts as queries where these have vectors of their own: side
    ("document", "query", or "both" where they are the same), items, embedded (contents that the model embedded), cached
    (items whose vector was known), failed, truncated (texts longer than the model's window), halved (batches that did
    not fit into memory and were split in two), seconds, per_second (embedded).
    """

    vectors: AnyVectors
    skipped: pd.DataFrame
    counts: pd.DataFrame

    @property
    def dense(self) -> Vectors:
        """The vectors of a model with one row for each item; raise ModelError for a model of another kind."""
        if not isinstance(self.vectors, Vectors):
            space = self.vectors.space
            raise ModelError(
                f"{space.model} is a {space.kind} model: expected one with one row for each item"
            )
        return self.vectors

    @property
    def bytes_per_item(self) -> float:
        """How many bytes the numbers of an item's vector take, on average."""
        parts = [getattr(self.vectors, name) for name in getattr(self.vectors, "parts", ("array",))]
        return sum(part.nbytes for part in parts) / max(1, len(self.vectors))

    def __repr__(self) -> str:
        done = ", ".join(f"{self.counts[name].sum():,} {name}" for name in ("embedded", "cached", "failed"))
        return f"Embedded({self.vectors!r}; {done})"


class _Rows(NamedTuple):
    """The rows of one modality: vectors (N,), the reason why there is none (N,), and counts."""

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
    array = empty_rows(model.space, len(items))
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
        vectors=to_vectors(items["item_id"].to_numpy()[kept], array[kept], model.space),
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

    A text that has no vector on one of its sides has none. In late interaction texts alone ask.
    """
    found = embed_items(items, model, cache, batch_size, progress)
    texts = items[(items["modality"] == "text") & is_among(items["item_id"], found.vectors.ids)]
    if texts.empty:
        return found
    vectors: Any = found.vectors
    if not model.tells_queries_apart:
        late = model.space.kind == LATE
        same = replace(vectors, queries=vectors.take(texts["item_id"].to_numpy())) if late else vectors
        return replace(found, vectors=same)
    asking = embed_items(texts, model, cache, batch_size, progress, as_queries=True)
    lost = set(texts["item_id"]) - set(asking.vectors.ids)
    kept = vectors.take([item for item in vectors.ids if item not in lost])
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
    found, vectors = np.zeros(len(unique), bool), empty_rows(model.space, len(unique))
    if cache:
        found, vectors = cache.get(contents, model.space)
    missing = np.flatnonzero(~found)
    reasons, halved = np.full(len(unique), None, dtype=object), 0
    name = "queries" if side == QUERY else rows["modality"].iloc[0] + "s"
    silent = not progress or not len(missing)
    with tqdm(total=len(missing), desc=name, unit=f" {name}", disable=silent) as bar:
        for batch in _encode_timed(unique.iloc[missing], model, batch_size, side):
            positions = missing[batch.positions]
            vectors[positions] = _keep(cache, contents[positions], batch.vectors, model)
            reasons[missing[list(batch.failures)]] = list(batch.failures.values())
            halved += batch.halved
            bar.update(len(positions) + len(batch.failures))
    source = pd.Index(unique["content"]).get_indexer(rows["content"])
    return _Rows(vectors[source], reasons[source], len(missing) - pd.notna(reasons).sum(), halved)


def _encode_timed(rows: pd.DataFrame, model: Model, batch_size: int, side: str) -> Iterator[EncodedBatch]:
    """Yield what `encode_items` does; say first how long it takes where that is over a minute.

    It is measured on the first few, twice, since the first time a network is slower.
    """
    done, left = 0, 0.0
    while done < TIMED_TWICE and len(rows) >= MIN_TIMED and not 0 < left < MIN_SECONDS:
        started = time.perf_counter()
        yield from _encode_from(done, rows.iloc[: done + TIMED_TWICE // 2], model, batch_size, side)
        done += TIMED_TWICE // 2
        each = (time.perf_counter() - started) / (TIMED_TWICE // 2)
        left = each * (len(rows) - done)
    if left >= MIN_SECONDS:
        what = "query" if side == QUERY else rows["modality"].iloc[0]
        taken = milliseconds(1000 * each), what, model.device, count(len(rows) - done, what)
        log.warning(SLOW, model.space.model, *taken, long_time(left))
    yield from _encode_from(done, rows, model, batch_size, side)


def _encode_from(
    start: int, rows: pd.DataFrame, model: Model, batch_size: int, side: str
) -> Iterator[EncodedBatch]:
    """Yield what `encode_items` does for the rows from the place `start` on."""
    for batch in encode_items(rows.iloc[start:], model, batch_size, as_queries=side == QUERY):
        failures = {start + position: reason for position, reason in batch.failures.items()}
        yield batch._replace(positions=[start + one for one in batch.positions], failures=failures)


def _keep(cache: VectorCache | None, contents: np.ndarray, vectors: np.ndarray, model: Model) -> np.ndarray:
    """Put the vectors (N,) into the cache and return what it holds: another process may have been first."""
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
