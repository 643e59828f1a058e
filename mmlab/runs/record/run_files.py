"""Where the files of a run lie, what they are called, which notebook writes each, and which processes work there.

A process that works in the folder of a run leaves a file `.working-PID` in it, which says when the process began, so
that nothing is removed meanwhile. The file that a killed process leaves behind counts for nothing: no process with that
number began at that time.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmlab.items import data, replacing

NOTEBOOKS = ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize")
COMPARISON = "08_compare"

# in the folder of a run
MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SKIPPED = "skipped.parquet"
CHANGES = "changes.parquet"
PLACES = "places.parquet"  # of items and refused rows in the dataset
VECTORS = "vectors"
QUERY_VECTORS = "vectors/queries/{}.npz"  # of the space's key, where texts ask behind another prompt
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

# a name that ends like a page would clash with `data/runs/index.html`
RUN_NAME = re.compile(r"(?!.*\.html?\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.IGNORECASE)


def run_folder(name: str) -> Path:
    """Return the folder of the run called `name`, whether it exists or not.

    Raises ValueError if `name` cannot be the name of a run.

    >>> run_folder("photos").parts[-2:]
    ('runs', 'photos')
    """
    if not isinstance(name, str) or not RUN_NAME.fullmatch(name):
        raise ValueError(
            "a run's name is 1 to 100 letters, digits, '.', '_' or '-', not starting with '.' or '-' "
            f"and not ending in .html; found {name!r}"
        )
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
# the clock of a machine may be set while a process runs
MAX_CLOCK_CHANGE_S = 2


@contextmanager
def run_lock(*folders: Path) -> Iterator[None]:
    """Mark the folders as in use while the block runs; make them, and remove those that stay empty."""
    for folder in folders:
        mark(folder)
    try:
        yield
    finally:
        for folder in folders:
            unmark(folder)
            # a folder that holds something stays
            with suppress(OSError):
                folder.rmdir()


def mark(folder: Path) -> None:
    """Mark the folder as in use by this process until `unmark`, or until the process ends; make the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _own_mark(folder).write_text(f"{socket.gethostname()} {_began(os.getpid())}", encoding="utf-8")


def unmark(folder: Path) -> None:
    """Remove the mark of this process from the folder."""
    _own_mark(folder).unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Return whether a process works in the folder; a process of another machine is taken to work."""
    return any(_is_alive(path) for path in folder.glob(f"{MARK}*"))


def _own_mark(folder: Path) -> Path:
    return folder / f"{MARK}{os.getpid()}"


def _is_alive(path: Path) -> bool:
    try:
        host, began = path.read_text(encoding="utf-8").split()
        process = int(path.name.removeprefix(MARK))
        return host != socket.gethostname() or abs(_began(process) - float(began)) < MAX_CLOCK_CHANGE_S
    # the process has just ended, or the file is no mark of ours
    except (OSError, ValueError):
        return False


def _began(process: int) -> float:
    """Return when a process began, in seconds since 1970, as its system says; infinity if there is no such process."""
    import psutil

    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return float("inf")
