"""Items become vectors: each content once, from the cache where it is known, in the order of the items.

The cache is one SQLite file: content x space -> float32 bytes and their checksum. The bytes are those of a row, of the
rows of all tokens, or of terms and their weights, as the kind of the space is. A text that asks is another content
than the same text where it is found, if the model puts another prompt before it.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
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
from mmlab.items.tables import SKIPPED_COLUMNS, check_items, in_blocks, is_first, on_disk, rows_where
from mmlab.items.vector_files import VectorWriter, release_spare_memory
from mmlab.items.vectors import DENSE, LATE, SPARSE

CONTENTS_PER_QUERY = 1000
# Items whose vectors, or texts, are in memory at a time.
ITEMS_PER_BLOCK = 4096
IN_MEMORY = ":memory:"
# A folder beside the cache for the vectors that are being written, and how long one that was left is kept.
TEMPORARY, SECONDS_KEPT = ".vectors-", 86_400
EMBEDDED_COLUMNS = ["modality", "content", "text", "image"]
DOCUMENT, QUERY, EITHER = "document", "query", "both"
QUERY_CONTENT = "query "  # before the content of a text, in the cache, where its vector is that of a query

# Of the contents that are embedded, how long the others take is measured on so many, in two halves.
TIMED_TWICE, MIN_TIMED, MIN_SECONDS = 8, 16, 60
SLOW = "model %r takes %s for one %s on %s: %s more take about %s"

log = logging.getLogger(__name__)

# Embeds the rows of a table, of one modality, in batches of a size; the last argument: as they ask.
Encoder = Callable[[pd.DataFrame, Model, int, bool], Iterator[EncodedBatch]]

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
        for position, row in self._known_rows(contents, space):
            found[position], vectors[position] = True, row
        return found, vectors

    def knows(self, contents: Sequence[str] | np.ndarray, space: Space) -> np.ndarray:
        """Return which contents are known and not damaged, bool (N,)."""
        found = np.zeros(len(contents), dtype=bool)
        for position, _ in self._known_rows(contents, space):
            found[position] = True
        return found

    def _known_rows(
        self, contents: Sequence[str] | np.ndarray, space: Space
    ) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            part = contents[start : start + CONTENTS_PER_QUERY]
            known = self._select(part, space)
            for position, content in enumerate(part, start):
                row = unpack_row(known.get(content, b""), space)
                if row is not None:
                    yield position, row

    def put(self, contents: Sequence[str] | np.ndarray, vectors: np.ndarray, space: Space) -> None:
        """Keep the vectors (N,) of the contents, all or none of them; a known content keeps its first vector.

        So processes that embed the same contents at once end with the same vectors, if they `get` them afterwards. A
        row that is damaged is replaced.
        """
        self._remove_damaged(contents, space)
        self.write(
            INSERT,
            [(space.key, content, pack_row(row)) for content, row in zip(contents, vectors, strict=True)],
        )

    def _remove_damaged(self, contents: Sequence[str] | np.ndarray, space: Space) -> None:
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            known = self._select(contents[start : start + CONTENTS_PER_QUERY], space)
            damaged = [one for one, row in known.items() if unpack_row(row, space) is None]
            if damaged:
                self.write(DELETE, [(space.key, content, known[content]) for content in damaged])

    def _select(self, contents: Sequence[str] | np.ndarray, space: Space) -> dict[str, bytes]:
        return dict(self.read(SELECT, (space.key, json.dumps(list(contents)))))


def pack_row(row: np.ndarray) -> bytes:
    """Return a vector as float32 bytes with their checksum."""
    content = np.ascontiguousarray(row, dtype="<f4").tobytes()
    return content + crc32(content).to_bytes(4, "little")


def unpack_row(stored: bytes, space: Space) -> np.ndarray | None:
    """Return the vector in the bytes of `pack_row`; None if they are damaged, or of another dimension."""
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
    not fit into memory and were split in two), seconds, per_second (embedded). own_queries: the vectors of the
    user's own queries, by query_id, where there are any that the model can be asked.
    """

    vectors: AnyVectors
    skipped: pd.DataFrame
    counts: pd.DataFrame
    own_queries: AnyVectors | None = None

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


@dataclass
class _Work:
    """What was done for the items of one modality: why contents have no vector, by content in the cache, and counts."""

    reasons: dict[str, str] = field(default_factory=dict)
    embedded: int = 0
    halved: int = 0


def encode_timed(
    rows: pd.DataFrame, model: Model, batch_size: int, as_queries: bool = False
) -> Iterator[EncodedBatch]:
    """Yield what `encode_items` does; say first how long it takes where that is over a minute.

    It is measured on the first few, twice, since the first time a network is slower.
    """
    done, left = 0, 0.0
    while done < TIMED_TWICE and len(rows) >= MIN_TIMED and not 0 < left < MIN_SECONDS:
        started = time.perf_counter()
        yield from _encode_from(done, rows.iloc[: done + TIMED_TWICE // 2], model, batch_size, as_queries)
        done += TIMED_TWICE // 2
        each = (time.perf_counter() - started) / (TIMED_TWICE // 2)
        left = each * (len(rows) - done)
    if left >= MIN_SECONDS:
        what = "query" if as_queries else rows["modality"].iloc[0]
        taken = milliseconds(1000 * each), what, model.device, count(len(rows) - done, what)
        log.warning(SLOW, model.space.model, *taken, long_time(left))
    yield from _encode_from(done, rows, model, batch_size, as_queries)


def _encode_from(
    start: int, rows: pd.DataFrame, model: Model, batch_size: int, as_queries: bool
) -> Iterator[EncodedBatch]:
    """Yield what `encode_items` does for the rows from the place `start` on."""
    for batch in encode_items(rows.iloc[start:], model, batch_size, as_queries):
        failures = {start + position: reason for position, reason in batch.failures.items()}
        yield batch._replace(positions=[start + one for one in batch.positions], failures=failures)


def embed_items(
    items: pd.DataFrame,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
    as_queries: bool = False,
    encode: Encoder = encode_timed,
) -> Embedded:
    """Embed all items in the model's space; an image that cannot be opened becomes a skipped row.

    cache: a file. Contents that it knows are not embedded again, and each batch is kept when it is done, so that an
    interrupted run continues where it stopped.
    batch_size: the most items that go through the model at a time. A batch that does not fit into memory is split in
    two; an item that does not fit even alone becomes a skipped row.
    as_queries: embed texts as they ask, behind the model's query prompt, instead of as they are found.
    encode: what embeds; `RayEngine.encode` does so on a cluster.

    Dense vectors lie in a file that is mapped into memory and is gone with them: memory does not grow with the items.
    Raises ModelError if the model cannot embed a modality of the items, ValueError for other wrong arguments.
    """
    _check_arguments(items, model, batch_size)
    reasons: dict[str, str] = {}
    counts = []
    with VectorCache(cache or IN_MEMORY) as opened:
        for modality in items["modality"].unique():
            chosen = rows_where(items[EMBEDDED_COLUMNS], items["modality"] == modality)
            started = time.perf_counter()
            side = _side(model, modality, as_queries)
            work = _fill_cache(chosen, model, opened, batch_size, progress, side, encode)
            reasons |= work.reasons
            counts.append(_count(chosen, model, work, time.perf_counter() - started, side))
        asks = _side(model, "text", as_queries) == QUERY
        blocks = _read_blocks(items, opened, model.space, reasons, asks)
        vectors = _collect(blocks, model.space, Path(cache).parent if cache else None)
    release_spare_memory()
    return Embedded(vectors, _skipped_table(items, reasons, asks), pd.DataFrame(counts))


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
    encode: Encoder = encode_timed,
) -> Embedded:
    """Return what `embed_items` does, with the texts as they ask in `vectors.queries` where the model tells them apart.

    A text that has no vector on one of its sides has none. In late interaction texts alone ask.
    """
    found = embed_items(items, model, cache, batch_size, progress, encode=encode)
    late = model.space.kind == LATE
    if not (late or model.tells_queries_apart):
        return found
    texts = items[(items["modality"] == "text") & is_among(items["item_id"], found.vectors.ids)]
    if texts.empty:
        return found
    vectors: Any = found.vectors
    if not model.tells_queries_apart:
        asking = vectors.take(texts["item_id"].to_numpy())
        return replace(found, vectors=replace(vectors, queries=asking))
    asking = embed_items(texts, model, cache, batch_size, progress, as_queries=True, encode=encode)
    if len(asking.vectors) < len(texts):
        lost = set(texts["item_id"]) - set(asking.vectors.ids)
        vectors = vectors.take([item for item in vectors.ids if item not in lost])
    return Embedded(
        vectors=replace(vectors, queries=asking.vectors),
        skipped=pd.concat([found.skipped, asking.skipped], ignore_index=True),
        counts=pd.concat([found.counts, asking.counts], ignore_index=True),
    )


def _side(model: Model, modality: str, as_queries: bool) -> str:
    if modality != "text" or not model.tells_queries_apart:
        return EITHER
    return QUERY if as_queries else DOCUMENT


def _cache_contents(rows: pd.DataFrame, asks: bool) -> np.ndarray:
    """Return the contents (N,) of the rows as the cache calls them; `asks`: texts have vectors of their own there."""
    contents = rows["content"].to_numpy(dtype=object)
    if not asks:
        return contents
    return np.where(rows["modality"] == "text", QUERY_CONTENT + contents, contents)


def _fill_cache(
    rows: pd.DataFrame,
    model: Model,
    cache: VectorCache,
    batch_size: int,
    progress: bool,
    side: str,
    encode: Encoder,
) -> _Work:
    """Embed what the cache does not know of the rows of one modality, and put it there batch by batch."""
    from tqdm.auto import tqdm

    asks = side == QUERY
    missing = _missing(rows, model.space, cache, asks)
    work = _Work()
    name = "queries" if asks else rows["modality"].iloc[0] + "s"
    silent = not progress or missing.empty
    with tqdm(total=len(missing), desc=name, unit=f" {name}", disable=silent) as bar:
        for batch in encode(missing, model, batch_size, asks):
            done, failed = (missing.iloc[list(places)] for places in (batch.positions, batch.failures))
            if len(done):
                cache.put(_cache_contents(done, asks), batch.vectors, model.space)
            work.reasons |= zip(_cache_contents(failed, asks), batch.failures.values(), strict=True)
            work.embedded += len(batch.positions)
            work.halved += batch.halved
            bar.update(len(batch.positions) + len(batch.failures))
    return work


def _missing(rows: pd.DataFrame, space: Space, cache: VectorCache, asks: bool) -> pd.DataFrame:
    """Return the first row of each content that the cache does not know."""
    first = pd.Series(is_first(rows["content"]), rows.index)
    blocks = in_blocks(rows_where(rows, first))
    return on_disk(block[~cache.knows(_cache_contents(block, asks), space)] for block in blocks)


def _read_blocks(
    items: pd.DataFrame, cache: VectorCache, space: Space, reasons: dict[str, str], asks: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ids (n,) and vectors (n,) of the items that the cache knows, block by block in the order of the items.

    Raises ValueError where an item has neither a vector nor a reason.
    """
    for start in range(0, len(items), ITEMS_PER_BLOCK):
        block = items.iloc[start : start + ITEMS_PER_BLOCK]
        contents = _cache_contents(block, asks)
        found, vectors = cache.get(contents, space)
        gone = [content for content in contents[~found] if content not in reasons]
        if gone:
            raise ValueError(
                f"{cache.path}: {len(gone)} vectors that were put there are gone; was it deleted meanwhile? Run again"
            )
        yield block["item_id"].to_numpy(dtype=object)[found], vectors[found]


def _collect(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], space: Space, folder: Path | None
) -> AnyVectors:
    """Return the vectors of all blocks; dense ones in a file of this folder, else of the system's for such files."""
    if space.kind != DENSE:
        ids, rows = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return to_vectors(ids, rows, space)
    if folder:
        _remove_left(folder)
    # Removed at once: what is mapped stays readable. Windows keeps a mapped file.
    with TemporaryDirectory(prefix=TEMPORARY, dir=folder, ignore_cleanup_errors=True) as temporary:
        path = Path(temporary) / "vectors.arrow"
        with VectorWriter(path, space) as writer:
            for ids, rows in blocks:
                writer.append(ids, rows)
        return Vectors.load(path)


def _remove_left(folder: Path) -> None:
    """Remove what processes left in a folder that were killed while they wrote vectors, a day ago or longer."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_KEPT:
                shutil.rmtree(left)


def _count(
    items: pd.DataFrame, model: Model, work: _Work, seconds: float, side: str
) -> dict[str, str | int | float]:
    modality = items["modality"].iloc[0]
    failed = int(_reasons_of(items, work.reasons, side == QUERY).notna().sum())
    return {
        "modality": modality,
        "side": side,
        "items": len(items),
        "embedded": work.embedded,
        "cached": len(items) - work.embedded - failed,
        "failed": failed,
        "truncated": _count_truncated(items["text"], model, side) if modality == "text" else 0,
        "halved": work.halved,
        "seconds": seconds,
        "per_second": work.embedded / seconds,
    }


def _count_truncated(texts: pd.Series, model: Model, side: str) -> int:
    starts = range(0, len(texts), ITEMS_PER_BLOCK)
    parts = (texts.iloc[start : start + ITEMS_PER_BLOCK].tolist() for start in starts)
    return sum(model.count_truncated(part, side == QUERY) for part in parts)


def _reasons_of(items: pd.DataFrame, reasons: dict[str, str], asks: bool) -> pd.Series:
    """Return why each item has no vector (N,), None for those that have one."""
    if not reasons:
        return pd.Series(None, items.index, dtype=object)
    contents = _cache_contents(items, asks)
    return pd.Series([reasons.get(content) for content in contents], items.index, dtype=object)


def _skipped_table(items: pd.DataFrame, reasons: dict[str, str], asks: bool) -> pd.DataFrame:
    found = _reasons_of(items, reasons, asks)
    rows, found = items[found.notna()], found.dropna()
    fields = {
        "row": None,
        "source": rows["pair_id"],
        "text": None,
        "reason": found,
        "detail": rows["image"],
    }
    types = dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}
    return pd.DataFrame(fields, index=rows.index).astype(types).reset_index(drop=True)
