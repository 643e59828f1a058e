"""Where the files of a run lie, what they are called, which notebook writes each, and which processes work there.

A process that works in the folder of a run leaves a file `.working-PID` in it, so that nothing is removed meanwhile. It
holds a lock on that file, which the system frees when the process ends, however it ends, also that of a container. The
file says on what machine it is, since when it is up, and when the process began: by these it counts or counts not where
a disk keeps no locks. What a killed process leaves behind is removed by whoever comes upon it.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO

from mmlab.items import data, replacing
from mmlab.items.options import check_value
from mmlab.items.parameter_table import PARAMETERS, RUN_NAME

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NOTEBOOKS = ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize")
COMPARISON = "08_compare"

# in the folder of a run
MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SKIPPED = "skipped.parquet"
CHANGES = "changes.parquet"
PLACES = "places.parquet"  # of items and refused rows in the dataset
READY_VECTORS = "ready_vectors.json"  # the shards of vectors that came with the dataset, where some did
VECTORS = "vectors"
QUERY_VECTORS = "vectors/queries/{}.arrow"  # of the space's key, where texts ask behind another prompt
RAGGED_VECTORS = "vectors/{}/{}.npz"  # of the space's kind, sparse or late, and its key
RAGGED_QUERIES = "vectors/{}/queries/{}.npz"  # of the same, where texts ask in another way
EMBED_SKIPPED = "embed_skipped.parquet"
STORE = "store"
INDEX = "index.parquet"
RANKINGS = "rankings"
OTHER_SPLITS = "rankings/other_splits"
PER_QUERY = "per_query"
LOSSES = "losses"
SUSPECTS = "suspects"
METRICS = "metrics.json"
FIXES = "fixes.csv"
MAPS = "maps.parquet"
MAPS_TRUST = "maps_trust.parquet"
MAP = "map.html"
# of the studies
TUNED_INDEX = "tune/index.parquet"
TUNED_MODEL = "tune/model.parquet"
COMPARED = "comparison.parquet"
COSTS = "costs.parquet"
CALIBRATIONS = "scores/calibrations.json"
# written by a person, one line for each relevance judgement
LABELS = "labels.jsonl"
# questions that a person saved in a panel, with their hits
QUESTIONS = "questions.jsonl"
EXECUTED = "notebooks"
COPIES = "[!.]*.ipynb"  # not what a kill left of one that was being written
# in the data folder: the stores that the user named, which are asked without being named again
STORES = "stores.txt"
INDEX_PAGE = "index.html"

WRITERS = {
    ITEMS: "01_ingest",
    SKIPPED: "01_ingest",
    VECTORS: "02_embed",
    INDEX: "03_index",
    RANKINGS: "04_retrieve",
    PER_QUERY: "05_evaluate",
    METRICS: "05_evaluate",
}


def run_folder(name: str) -> Path:
    """Return the folder of the run called `name`, whether it exists or not.

    Raises ValueError if `name` cannot be the name of a run.

    >>> run_folder("photos").parts[-2:]
    ('runs', 'photos')
    """
    check_value("name", name, PARAMETERS["name"].kind)
    return data() / "runs" / name


def run_names() -> list[str]:
    """Return the names of all runs in `data/runs`, also of those in which no notebook has finished yet."""
    found = {path.parent for sign in (MANIFEST, EXECUTED) for path in (data() / "runs").glob(f"*/{sign}")}
    return sorted(path.name for path in found if RUN_NAME.fullmatch(path.name))


def executed_copy(name: str, notebook: str) -> Path:
    """Return the path of the executed copy of the notebook called `notebook` in a run."""
    return run_folder(name) / EXECUTED / f"{notebook}.ipynb"


def is_own(path: Path, folder: Path) -> bool:
    """Return whether a file lies in the folder of a run, all links resolved: a run may come from somebody else."""
    return path.resolve().is_relative_to(folder.resolve())


def remember_store(store: str) -> None:
    """Write down that the user named this store, in the data folder; the run's own, "", needs no name."""
    if store and store.rstrip("/") not in _named_stores():
        path = data() / STORES
        with replacing(path) as temporary:
            temporary.write_text(
                "".join(f"{one}\n" for one in [*_named_stores(), store.rstrip("/")]), "utf-8"
            )


def check_store(name: str, store: str) -> str:
    """Return the store that the manifest of a run names; raise ValueError where the user never named it.

    The manifest may come from somebody else, and a server is sent questions and the key.
    """
    if store and store.rstrip("/") not in _named_stores():
        raise ValueError(
            f"run {name!r}: its manifest alone names the store {store}, which would be sent your questions and the key "
            f"QDRANT_API_KEY; if it is yours, name it once: mmlab run --name {name} --from 04 -p store={store}"
        )
    return store


def _named_stores() -> list[str]:
    path = data() / STORES
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def disk_bytes(folder: Path) -> int:
    """Return the bytes that the files of a folder take on the disk.

    A file with several names counts once in each folder that holds one of them.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            size = os.lstat(os.path.join(parent, name))
            total += 512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size
    return total


MARK = ".working-"
LOCK = ".manifest.lock"
ALONE = "alone"  # in the mark of a process that nobody may work beside
MAX_COMMAND_CHARS = 200  # of a process in a message
UNFINISHED = re.compile(
    r"\..+\.(?P<process>\d+)\.\d+(\.[^.]+)?"
)  # as `replacing` names a file until it is whole
# the clock of a machine may be set while a process runs
MAX_CLOCK_CHANGE_S = 2
# a mark of another machine counts for so long; a longer work there renews it at each of its steps
MAX_FOREIGN_S = 24 * 60 * 60


class RunInUse(ValueError):
    """Another process works in the folder of a run; the message says which, and since when."""


@contextmanager
def run_lock(*folders: Path) -> Iterator[None]:
    """Hold the folders for this process while the block runs; make them, and remove those that stay empty.

    Raises RunInUse where another process works in one of them.
    """
    held: list[Path] = []
    try:
        for folder in folders:
            mark(folder, alone=True)
            held.append(folder)
        yield
    finally:
        for folder in held:
            unmark(folder)
            if os.listdir(folder) == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock the folder of a run for the moment in which its record or a mark is written; make the folder."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK, timeout=60):
        yield


def mark(folder: Path, alone: bool = False) -> None:
    """Mark the folder as in use by this process until `unmark`, or until the process ends; make the folder.

    `alone`: nobody else may work there, but the kernels that this process starts; else nobody else may be alone there.
    Raises RunInUse where another process is.
    """
    with folder_lock(folder):
        check_free(folder, alone)
        _remove_stale(folder)
        words = socket.gethostname(), str(_began(os.getpid())), _boot(), ALONE if alone else ""
        _write_mark(_own_mark(folder), " ".join(words).strip())


def check_free(folder: Path, alone: bool = True) -> None:
    """Raise RunInUse where another process works in the folder of a run, see `mark`."""
    import psutil

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for path in sorted(folder.glob(f"{MARK}*")):
        with suppress(FileNotFoundError):  # it has just ended
            if (
                _is_alive(path)
                and _process_of(path) not in own
                and (alone or ALONE in path.read_text("utf-8"))
            ):
                raise RunInUse(
                    f"run {folder.name} is in use by {_describe(path)}: wait until it has ended, stop it, "
                    "or give this run another name"
                )


def _describe(path: Path) -> str:
    """Return the process of a mark, what it does, and since when."""
    import psutil

    host, since = path.read_text(encoding="utf-8").split()[0], datetime.fromtimestamp(path.stat().st_mtime)
    clock = since.astimezone().isoformat(" ", "seconds")
    if host != socket.gethostname():
        return f"pid {_process_of(path)} of the machine {host}, since {clock}"
    try:
        command = " ".join(psutil.Process(_process_of(path)).cmdline())
    except psutil.Error:  # it is ending
        command = "a process that is ending"
    return f"pid {_process_of(path)}, {command[:MAX_COMMAND_CHARS]!r}, since {clock}"


def _process_of(path: Path) -> int:
    return int(path.name.removeprefix(MARK))


def unmark(folder: Path) -> None:
    """Remove the mark of this process from the folder."""
    if held := _HELD.pop(_own_mark(folder), None):
        held.close()
    _own_mark(folder).unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Return whether a process works in the folder; see `_is_alive` for one of another machine."""
    _remove_stale(folder)
    return any(folder.glob(f"{MARK}*"))


def _own_mark(folder: Path) -> Path:
    return folder / f"{MARK}{os.getpid()}"


# the marks of this process, open, for their locks
_HELD: dict[Path, IO[str]] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HELD.clear)


def _write_mark(path: Path, words: str) -> None:
    """Write a mark and lock it; it is never seen without its lock."""
    if fcntl is None:
        path.write_text(words, encoding="utf-8")
        return
    with replacing(path) as temporary:
        file = open(temporary, "w", encoding="utf-8")  # noqa: SIM115 - open until `unmark`
        _try_lock(file, exclusive=True)
        file.write(words)
        file.flush()
    if before := _HELD.pop(path, None):
        before.close()
    _HELD[path] = file


def _try_lock(file: IO[str], exclusive: bool) -> bool | None:
    """Lock an open file and return whether that could be done; None where the system or the disk keeps no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left: their marks, and the files that they were writing where nobody works now."""
    marks = {path: _is_alive(path) for path in folder.glob(f"{MARK}*")}
    left = [path for path, alive in marks.items() if not alive]
    if not any(marks.values()):
        written = ((path, UNFINISHED.fullmatch(path.name)) for path in folder.rglob(".*"))
        # a report is written without a mark
        left += [path for path, one in written if one and (marks or not _is_there(int(one["process"])))]
    for path in left:
        # somebody who may only read
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_there(process: int) -> bool:
    import psutil

    return psutil.pid_exists(process)


def _is_alive(path: Path) -> bool:
    """Return whether the process of a mark works.

    A lock that is held means yes. One that is free means no on this machine, also for a container whose name is gone;
    a disk may not tell one machine of the locks of another, so a mark from elsewhere counts for a day.
    """
    try:
        with open(path, encoding="utf-8") as file:
            free, words = _try_lock(file, exclusive=False), file.read().split()
        host, began, boot = words[0], float(words[1]), words[2] if len(words) > 2 else ""
        if free is False:
            return True
        if host != socket.gethostname() and (boot != _boot() or free is None):
            return time.time() - path.stat().st_mtime < MAX_FOREIGN_S
        here = abs(_began(_process_of(path)) - began) < MAX_CLOCK_CHANGE_S
        return here and not free
    # the process has just ended, or the file is no mark of ours
    except (OSError, ValueError, IndexError):
        return False


@lru_cache(maxsize=1)
def _boot() -> str:
    """Return what tells this start of the machine from others, the same in its containers."""
    try:
        return f"boot={Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()}"
    except OSError:
        import psutil

        return f"boot={psutil.boot_time():.0f}"


def _began(process: int) -> float:
    """Return when a process began, in seconds since 1970, as its system says; infinity if there is no such process."""
    import psutil

    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return float("inf")
