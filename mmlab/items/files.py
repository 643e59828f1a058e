"""Files: where they lie, how much is read of one, written whole or not at all, fingerprints, shared SQLite files.

One rule for paths: a relative path in a parameter starts at the project folder, which holds `notebooks/` and `data/`.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Self

import mmlab

FIRST_NOTEBOOK = "notebooks/01_ingest.ipynb"
MAX_WAIT = 60  # seconds, for another writer of a SQLite file
HASH_BLOCK = 1 << 14
COPY_BYTES = 1 << 20
CLOCK_STEP_NS = 20_000_000  # by which the time of a file may lag behind the clock


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


def find_path(parameter: str, path: str | Path, *folders: Path) -> Path:
    """Return the absolute path of a file or folder that a parameter names.

    A relative path starts at the first of the folders that has it, else at the project. Raises FileNotFoundError where
    there is none.
    """
    places = [*((folder / Path(path).expanduser()).resolve() for folder in folders), resolve(path)]
    found = next((place for place in places if os.path.exists(place)), None)
    if found is None:
        listed = " or ".join(map(str, dict.fromkeys(places)))
        raise FileNotFoundError(
            f"parameter {parameter}: expected a file or a folder, found nothing at {listed}"
        )
    return found


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
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, find_shortage(str(error)), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


DISK_FULL = re.compile(
    r"no space left on device|\[errno (28|122)\]|disk is full|disk quota exceeded", re.IGNORECASE
)
MEMORY_RAN_OUT = re.compile(
    "out of memory|not enough memory|can.?not allocate memory|can't allocate memory|unable to allocate"
    r"|memoryerror|bad_alloc|could not create a primitive",
    re.IGNORECASE,
)  # of CUDA and MPS, Windows, Linux, torch, numpy, Python, C++, oneDNN
KILLED = re.compile("kernel died", re.IGNORECASE)
DISK_IS_FULL_MB = 10


def find_shortage(error: str) -> str:
    """Return what ran out, where, and what to do, where an error's class and text tell of it; else "".

    The disk, or memory: also where the system has ended a process for it, as a kernel that died.

    >>> find_shortage("RuntimeError: could not create a primitive").partition(":")[0]
    'memory ran out'
    >>> find_shortage("ValueError: k is at least 1")
    ''
    """
    killed, place = KILLED.search(error), _data_place()
    free = shutil.disk_usage(place).free / 1e6
    if DISK_FULL.search(error) or (killed and free < DISK_IS_FULL_MB):
        return (
            f"the disk is full: {free:,.0f} MB are free at {place}. Remove what can go (mmlab clean lists it), "
            "or set MMLAB_DATA to a folder on a larger disk, then run this again"
        )
    if MEMORY_RAN_OUT.search(error) or killed:
        import psutil

        free = psutil.virtual_memory().available / 1e6
        ended = "the kernel died, as it does when memory runs out" if killed else "memory ran out"
        return (
            f"{ended}: {free:,.0f} MB are free now. End other kernels and programs, or give a smaller batch_size or "
            "fewer items, then run this again"
        )
    return ""


def _data_place() -> Path:
    """Return the data folder, or the nearest folder above it that is there."""
    place = resolve(os.environ.get("MMLAB_DATA") or (find_project() or Path.cwd()) / "data")
    return next(folder for folder in (place, *place.parents) if folder.is_dir())


def open_regular(path: str | Path, most: int | None = None, follow_link: bool = True) -> BufferedReader:
    """Open a file to read its bytes.

    Raises OSError for what need not end, a pipe or a device, also behind a link, for more than `most` bytes, and for a
    link where links are not followed.
    """
    # not to wait for somebody who writes into a pipe
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags | (0 if follow_link else getattr(os, "O_NOFOLLOW", 0))), "rb")
    found = os.fstat(file.fileno())
    reason = "" if stat.S_ISREG(found.st_mode) else "expected a file, found a folder, a pipe or a device"
    if most is not None and found.st_size > most:
        reason = f"expected at most {most:,} bytes, found {found.st_size:,}"
    if reason:
        file.close()
        raise OSError(errno.EINVAL, reason, str(path))
    return file


def file_hash(path: str | Path) -> str:
    """Return the sha256 of the file's bytes, as 64 hexadecimal digits; raise OSError as `open_regular` does."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written_parts(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of an open file that is no hole; the whole file where a system cannot tell."""
    if not hasattr(os, "SEEK_DATA"):
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            # only a hole is left
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def copy_folder(source: Path, target: Path) -> None:
    """Replace `target` by a copy of a folder without hidden files, which are locks; holes in files stay holes."""
    shutil.rmtree(target, ignore_errors=True)
    hidden = shutil.ignore_patterns(".*")
    shutil.copytree(source, target, ignore=hidden, copy_function=_copy_with_holes)


def _copy_with_holes(source: str, target: str) -> None:
    """Copy only what was ever written: the store of 300 products is 2.7 MB in files of 195 MB."""
    with open(source, "rb", buffering=0) as reading, open(target, "wb") as writing:
        size = writing.truncate(os.fstat(reading.fileno()).st_size)
        for start, end in written_parts(reading.fileno(), size):
            reading.seek(start)
            writing.seek(start)
            while start < end and (part := reading.read(min(COPY_BYTES, end - start))):
                start += writing.write(part)


class Checksums:
    """A file `checksums.json` with the size and a checksum of each of the other files below its folder.

    A file that was not written to since the last look is taken to be as it was, so that a look at a large folder costs
    little. The time of that look is the time of `checksums.json`; its content never changes.

    >>> import tempfile
    >>> sums = Checksums(Path(tempfile.mkdtemp()))
    >>> _ = (sums.folder / "a").write_text("abc")
    >>> sums.write([sums.folder / "a"])
    >>> sums.changed()
    []
    >>> _ = (sums.folder / "a").write_text("abd")
    >>> sums.changed()
    ['a']
    """

    NAME = "checksums.json"

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / self.NAME

    def write(self, files: Iterable[Path]) -> None:
        """Write the checksums of these files."""
        began = time.time_ns()
        found = {
            path.relative_to(self.folder).as_posix(): [path.stat().st_size, _content_hash(path)]
            for path in sorted(files)
        }
        with replacing(self.file) as temporary:
            temporary.write_text(json.dumps(found, indent=0))
        self._set_time(began)

    def changed(self, thorough: bool = False) -> list[str]:
        """Return the names of the files that are gone or have other bytes; none where there are no checksums.

        `thorough`: read also the files that were not written to since the last look. Damaged checksums are named.
        """
        began = time.time_ns()
        try:
            known, seen = json.loads(self.file.read_text()), self.file.stat().st_mtime_ns
            changed = [
                name
                for name, (size, digest) in known.items()
                if not _is_same(f"{self.folder}/{name}", size, digest, 0 if thorough else seen)
            ]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, AttributeError):
            return [self.NAME]
        if not changed:
            self._set_time(began)
        return changed

    def remove(self) -> None:
        """Remove the checksums, before a file is changed."""
        self.file.unlink(missing_ok=True)

    def _set_time(self, began: int) -> None:
        # nobody may write here, as on a disk that is read only
        with suppress(OSError):
            os.utime(self.file, ns=(began - CLOCK_STEP_NS, began - CLOCK_STEP_NS))


def _is_same(path: str, size: int, digest: str, seen: int) -> bool:
    try:
        found = os.stat(path)
        old = max(found.st_mtime_ns, found.st_ctime_ns) < seen
        return found.st_size == size and (old or _content_hash(path) == digest)
    except FileNotFoundError:
        return False


def _content_hash(path: str | Path) -> str:
    """Return a sha256 of a file's blocks that are not all zero, and their places: holes are not read.

    Of JSON, that of the values: whoever writes it again may put the names in another order.
    """
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        if str(path).endswith(".json"):
            with suppress(ValueError):
                digest.update(json.dumps(json.loads(file.readall()), sort_keys=True).encode())
                return digest.hexdigest()
        end = 0
        for first, last in written_parts(file.fileno(), os.fstat(file.fileno()).st_size):
            # two parts may lie in one block
            start = max(end, first - first % HASH_BLOCK)
            file.seek(start)
            for place in range(start, last, HASH_BLOCK):
                block = file.read(HASH_BLOCK)
                end = place + HASH_BLOCK
                if block.count(0) < len(block):
                    digest.update(place.to_bytes(8, "little"))
                    digest.update(block)
    return digest.hexdigest()


UNUSABLE = re.compile("locked|busy|readonly|unable to open|full|disk I/O")  # in an OperationalError of SQLite


class SqliteFile:
    """A file with one table; `with` closes it. What was committed survives a kill.

    Every error of SQLite becomes a ValueError that names the file and what to do.
    """

    def __init__(self, path: str | Path, table: str, what: str, remedy: str) -> None:
        """Open the file, or make it with the CREATE TABLE statement `table`.

        Raises ValueError where it is no such file: `what` is what it should be, `remedy` what becomes of it when it is
        deleted.
        """
        self.path, self._what, self._remedy = Path(path), what, remedy
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors_named():
            self._connection = sqlite3.connect(self.path, timeout=MAX_WAIT, isolation_level=None)
        try:
            with self._errors_named():
                # WAL: readers and the writer do not wait for each other. NORMAL: no commit waits for the disk; a kill
                # loses nothing, a power cut may lose the last commits.
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(table)
                self._connection.text_factory = (
                    _decoded  # damaged text is read, and found to be wrong by its reader
                )
        except ValueError:
            self.close()
            raise

    def read(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._errors_named():
            return self._connection.execute(query, values).fetchall()

    def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement for each of the rows, for all or for none of them."""
        with self._errors_named():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                self._connection.executemany(statement, rows)

    def close(self) -> None:
        """Close the file; it cannot be used afterwards."""
        self._connection.close()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if not UNUSABLE.search(str(error)):
                raise
            todo = find_shortage(str(error)) or (
                f"another process may be writing it for long, or {self.path.parent} may not be written to"
            )
            raise ValueError(f"{self.path} cannot be used ({error}): {todo}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is not {self._what} or damaged ({error}): delete it and run again; {self._remedy}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


# Images.
MAX_PIXELS = 100_000_000  # 400 MB for the image itself, of which Pillow keeps 4 bytes a pixel
MAX_DECODING_BYTES = 1_250_000_000  # at the height, while a file is decoded and converted
# bytes that this takes for each pixel, as measured, by the name that Pillow gives the format; "" for all others
DECODING_BYTES = {"": 12, "AVIF": 14, "WEBP": 18, "JPEG2000": 20}
MAX_SCANS = 100  # of a JPEG, of which an ordinary one has about 10
MAX_SCANNED_PIXELS = 2_000_000_000  # pixels times scans: some seconds

# Packed files: what comes out of one may be so many times larger than the file; a small one is always read.
MAX_TIMES_LARGER = 300
ALWAYS_READ_BYTES = 100_000_000

# Parquet, where a value that is repeated costs nothing: rows and values for each byte of the file.
ROWS_PER_BYTE = 10
ALWAYS_READ_ROWS = 100_000
BATCH_BYTES = 500_000_000  # in memory at a time

# Workbooks, of which all between the first and the last cell is in memory.
ALWAYS_READ_CELLS = 10_000_000
CELLS_PER_CELL = 20  # for each cell that holds something

# Text and JSON.
MAX_JSON_BYTES = 2_000_000_000
MAX_SIDECAR_BYTES = 1_000_000  # of a text beside an image; more is no caption
MAX_LIST_BYTES = 200_000_000  # of a list of images or texts
MAX_LINE_CHARS = 100_000_000  # of one entry of JSON Lines, or of a row that holds an image in base64
MAX_SWEEP_BYTES = 1_000_000  # of the settings of a sweep, in which no value may stand for another
MAX_IMAGE_BYTES = 200_000_000  # of an image in an archive


def most_unpacked(packed: int) -> int:
    """Return how many bytes may come out of a packed file of so many.

    >>> most_unpacked(1_000), most_unpacked(1_000_000)
    (100000000, 300000000)
    """
    return max(ALWAYS_READ_BYTES, MAX_TIMES_LARGER * packed)


class Unpacked(io.RawIOBase):
    """A file as it is unpacked, which raises ValueError where more comes out of it than `most` bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most, self.left = file, most, most

    def readable(self) -> bool:
        """Return True: it is read, never written."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Read as many bytes as come next, and return their number."""
        found = self.file.read(len(buffer))
        self.left -= len(found)
        if self.left < 0:
            raise ValueError(
                f"more than {self.most:,} bytes come out of it: unpack it, and read what it holds"
            )
        buffer[: len(found)] = found
        return len(found)
