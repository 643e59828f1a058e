"""Files: where they lie, written whole or not at all, their fingerprints, and SQLite files that processes share.

One rule for paths: a relative path in a parameter starts at the project folder, which holds `notebooks/` and `data/`.
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

FIRST_NOTEBOOK = "notebooks/01_ingest.ipynb"
MAX_WAIT = 60  # seconds, for another writer of a SQLite file


class NoProject(FileNotFoundError):
    """The current folder lies in no project, and the package in no checkout."""


def find_project() -> Path | None:
    """Return the project folder: the nearest one at or above the current folder that holds `notebooks/` and `data/`.

    Where none does it is the checkout that the package lies in; None where the package is installed elsewhere.
    """
    here = Path.cwd()
    # `data/` tells it from the folder of a run, which holds executed notebooks of the same names
    for folder in (here, *here.parents):
        if (folder / FIRST_NOTEBOOK).is_file() and (folder / "data").is_dir():
            return folder
    checkout = Path(mmlab.__file__).resolve().parents[1]
    return checkout if (checkout / FIRST_NOTEBOOK).is_file() else None


def project() -> Path:
    """Return the project folder, as `find_project` does; raise NoProject where there is none."""
    found = find_project()
    if found is None:
        raise NoProject(
            f"no folder with notebooks/ and data/ at {Path.cwd()} or above: write one with `mmlab init FOLDER`, "
            "then work in it"
        )
    return found


def data() -> Path:
    """Return the folder for everything made: `$MMLAB_DATA`, or `data/` in the project folder.

    Raises NoProject where neither is there.

    >>> data().is_absolute()
    True
    """
    return resolve(os.environ.get("MMLAB_DATA") or project() / "data")


def resolve(path: str | Path) -> Path:
    """Return an absolute path: `~` expanded, relative paths taken from the project folder, not from the kernel's.

    Where there is no project they are taken from the current folder.
    """
    return ((find_project() or Path.cwd()) / Path(path).expanduser()).resolve()


def shorten(path: Path) -> Path:
    """Return a path inside the project relative to it, so that the project can be moved; any other as it is."""
    folder = find_project()
    return path.relative_to(folder) if folder and path.is_relative_to(folder) else path


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
