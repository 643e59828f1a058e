"""One SQLite file that several processes may use at a time, opened the same way everywhere."""

import sqlite3
from pathlib import Path
from typing import Self

MAX_WAIT = 60  # seconds, for another writer


class SqliteFile:
    """A file with one table; `with` closes it. What was committed survives a kill."""

    def __init__(self, path: str | Path, table: str, what: str) -> None:
        """Open the file, or make it with the CREATE TABLE statement `table`.

        Raises ValueError where it is no such file; `what` names it in the message, with `{error}` in it.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, timeout=MAX_WAIT, isolation_level=None)
        try:
            # WAL: readers and the writer do not wait for each other. NORMAL: no commit waits for the disk; a kill
            # loses nothing, a power cut may lose the last commits.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(table)
        except sqlite3.DatabaseError as error:
            self.close()
            raise ValueError(f"{self.path} is not {what.format(error=error)}") from error

    def close(self) -> None:
        """Close the file; it cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
