"""Files: where they lie, written whole or not at all, their fingerprints, and SQLite files that processes share.

One rule for paths: a relative path in a parameter starts at the project folder.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import mmlab

MAX_WAIT = 60  # seconds, for another writer of a SQLite file


def project() -> Path:
    """Return the folder that holds `notebooks/` and the `mmlab` package."""
    return Path(mmlab.__file__).resolve().parents[1]


def data() -> Path:
    """Return the folder for everything made: `$MMLAB_DATA`, or `data/` in the project folder.

    >>> data().is_absolute()
    True
    """
    return Path(os.environ.get("MMLAB_DATA") or project() / "data").expanduser().resolve()


def resolve(path: str | Path) -> Path:
    """Return an absolute path: `~` expanded, relative paths taken from the project folder, not from the kernel's."""
    return (project() / Path(path).expanduser()).resolve()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends without an error.

    A kill inside the block leaves the old file as it was. Folders above `path` are made.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_native_id()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path: str | Path) -> str:
    """Return the sha256 of the file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
