"""What was found out once about a file, an address or an image, so that ingest never does the same work twice."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmlab.items import SqliteFile

TABLE = """CREATE TABLE IF NOT EXISTS findings
(kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
KNOWN = "SELECT key, value FROM findings WHERE kind = ? AND key IN (SELECT value FROM json_each(?))"


class Memo(SqliteFile):
    """JSON values by kind and key in one SQLite file; `with Memo(path) as memo` closes it.

    Several processes may use one file at a time; threads of one process share it through one thread.
    What `put` returned from survives a kill.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it; ValueError if it is something else."""
        super().__init__(path, TABLE, "ingest's memo ({error}): delete it, all in it can be found out again")

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
