"""Note which processes work in the folder of a run, so that nothing is removed while they do.

A process leaves a file `.working-PID` in the folder, which says when the process began. The file that a killed process
leaves behind counts for nothing: no process with that number began at that time.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
