"""What was found out once about a file, an address or a picture, so that ingest never does the same work twice."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

WAIT = 60  # seconds to wait for another writer
TABLE = """CREATE TABLE IF NOT EXISTS findings
(kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
KNOWN = "SELECT key, value FROM findings WHERE kind = ? AND key IN (SELECT value FROM json_each(?))"


class Memo:
    """JSON values by kind and key in one SQLite file; `with Memo(path) as memo` closes it.

    Several processes may use one file at a time; threads of one process share it through one thread.
    What `put` returned from survives a kill.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it; ValueError if it is something else."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(TABLE)
        except sqlite3.DatabaseError as error:
            self.close()
            raise ValueError(
                f"{self.path} is not ingest's memo ({error}): delete it, all in it can be found out again"
            ) from error

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are known; ask for some thousand at a time."""
        asked = self._connection.execute(KNOWN, (kind, json.dumps(list(keys))))
        return {key: json.loads(value) for key, value in asked}

    def put(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep the values, all or none of them; a key that is known gets its new value."""
        rows = [(kind, key, json.dumps(value)) for key, value in values.items()]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO findings VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file; the memo cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
