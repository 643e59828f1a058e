"""What ingest keeps between runs: findings about files and addresses, and the images that it downloaded or unpacked."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmlab.items import replacing
from mmlab.items.files import SqliteFile

TABLE = """CREATE TABLE IF NOT EXISTS findings
(kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
SELECT_KNOWN = "SELECT key, value FROM findings WHERE kind = ? AND key IN (SELECT value FROM json_each(?))"
KEYS_PER_QUERY = 1000


class FindingsCache(SqliteFile):
    """Keep JSON values by kind and key in one SQLite file; use it in a `with` block.

    Several processes may use one file at a time; the threads of one process share it through one thread.
    What `put` has returned from survives a kill.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file or create it; raise ValueError if it is something else."""
        super().__init__(
            path, TABLE, "ingest's cache ({error}): delete it; ingest finds everything out again"
        )

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that are known."""
        keys = list(keys)
        known: dict[str, Any] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            batch = json.dumps(keys[start : start + KEYS_PER_QUERY])
            rows = self._connection.execute(SELECT_KNOWN, (kind, batch))
            known.update((key, json.loads(value)) for key, value in rows)
        return known

    def put(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep all values in one transaction; a known key gets its new value."""
        rows = [(kind, key, json.dumps(value)) for key, value in values.items()]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO findings VALUES (?, ?, ?)", rows)


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

    def __repr__(self) -> str:
        return f"Blobs({str(self.folder)!r})"


class UnkeptBlobs(Blobs):
    """Blobs that are only looked at: nothing is written, and the paths lead nowhere."""

    def put(self, data: bytes) -> Path:
        """Return where the bytes would be kept."""
        name = hashlib.sha256(data).hexdigest()
        return self.folder / name[:2] / name
