"""What ingest keeps between runs: findings about files and addresses, and the images that it downloaded or unpacked."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from mmlab.items import replacing
from mmlab.items.files import SqliteFile

TABLE = """CREATE TABLE IF NOT EXISTS findings
(kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
SELECT_KNOWN = "SELECT key, value FROM findings WHERE kind = ? AND key IN (SELECT value FROM json_each(?))"
KEYS_PER_QUERY = 1000
CHECKSUM_CHARS = 8  # before each value, in hexadecimal
RECORDS_LOOKED_AT = 100_000  # of a table, where images are not unpacked: about a second
BYTES_LOOKED_AT, ALL_BYTES_LOOKED_AT = 64 << 20, 256 << 20  # of the images inside a table, and inside all
RECORDS_AT_LEAST = 10
MADE = "made"  # the folder of notes on what was made, by their keys
BYTES_OF_MADE = 200_000  # of an image that is not made, for the limits of a look

T = TypeVar("T")


class FindingsCache(SqliteFile):
    """Keep JSON values by kind and key in one SQLite file; use it in a `with` block.

    Several processes may use one file at a time; the threads of one process share it through one thread.
    What `put` has returned from survives a kill.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file or create it; raise ValueError if it is something else."""
        super().__init__(path, TABLE, "ingest's cache", "everything is found out again")

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that are known."""
        keys = list(keys)
        known: dict[str, Any] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            batch = json.dumps(keys[start : start + KEYS_PER_QUERY])
            known.update(_readable(self.read(SELECT_KNOWN, (kind, batch))))
        return known

    def put(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep all values in one transaction; a known key gets its new value."""
        rows = [(kind, key, _with_checksum(key, json.dumps(value))) for key, value in values.items()]
        self.write("INSERT OR REPLACE INTO findings VALUES (?, ?, ?)", rows)


def _with_checksum(key: str, value: str) -> str:
    return f"{crc32(f'{key} {value}'.encode(errors='replace')):08x}{value}"


def _readable(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Yield keys with their values; those that are damaged count as unknown."""
    for key, written in rows:
        value = written[CHECKSUM_CHARS:] if isinstance(written, str) else ""
        if value and written == _with_checksum(key, value):
            yield key, json.loads(value)


@dataclass(frozen=True)
class Making:
    """An image that is made, as bytes, when it is to be kept; once for each key, which says of what and how."""

    key: Callable[[], str]
    make: Callable[[], bytes]


class Blobs:
    """A folder of files named by the sha256 of their bytes: the same bytes are kept once, for all runs."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def put(self, data: bytes) -> Path:
        """Keep the bytes and return the absolute path of their file; the file survives a kill from then on."""
        name = hashlib.sha256(data).hexdigest()
        path = self.folder.resolve() / name[:2] / name
        if not path.is_file() or path.stat().st_size != len(data):
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        return path

    def made(self, making: Making) -> Path:
        """Return the file of an image that is made now, or was made before and is whole."""
        note = self.folder.resolve() / MADE / hashlib.sha256(making.key().encode()).hexdigest()
        noted = re.fullmatch(
            r"([0-9a-f]{64}) (\d+)", note.read_text("ascii", "replace") if note.is_file() else ""
        )
        if noted:
            path = self.folder.resolve() / noted[1][:2] / noted[1]
            if path.is_file() and path.stat().st_size == int(noted[2]):
                return path
        data = making.make()
        path = self.put(data)
        with replacing(note) as temporary:
            temporary.write_text(f"{path.name} {len(data)}", "ascii")
        return path

    def bounded(self, records: Iterable[T]) -> Iterator[T]:
        """Yield those of a table's records that are to be read: all."""
        yield from records

    def __repr__(self) -> str:
        return f"Blobs({str(self.folder)!r})"


class UnkeptBlobs(Blobs):
    """Blobs that are only looked at: nothing is written, and the paths lead nowhere.

    cut_off: whether a table had more records than `bounded` looks at.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.cut_off = False
        self._bytes = 0

    def put(self, data: bytes) -> Path:
        """Return where the bytes would be kept."""
        self._bytes += len(data)
        name = hashlib.sha256(data).hexdigest()
        return self.folder / name[:2] / name

    def made(self, making: Making) -> Path:
        """Return a path that leads nowhere; nothing is made, nor is its key asked for."""
        self._bytes += BYTES_OF_MADE
        return self.folder / MADE / str(self._bytes)

    def bounded(self, records: Iterable[T]) -> Iterator[T]:
        """Yield the first records of a table: as many as a look of a second or two allows, and some of every table."""
        start = self._bytes
        for number, record in enumerate(records):
            many = self._bytes - start > BYTES_LOOKED_AT or self._bytes > ALL_BYTES_LOOKED_AT
            if number >= (RECORDS_AT_LEAST if many else RECORDS_LOOKED_AT):
                self.cut_off = True
                return
            yield record
