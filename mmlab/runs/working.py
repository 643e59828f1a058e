"""Who is at work in a folder, so that nothing is removed under a run that has not ended.

A process leaves `.working-PID` there, which says when the process began. What a kill leaves behind counts for nothing:
no process of that number and that beginning lives.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = ".working-"


@contextmanager
def at_work(*folders: Path) -> Iterator[None]:
    """Be at work in the folders for the block; they are made, and go again if they stay empty."""
    for folder in folders:
        mark(folder)
    try:
        yield
    finally:
        for folder in folders:
            unmark(folder)
            with suppress(OSError):  # it holds something
                folder.rmdir()


def mark(folder: Path) -> None:
    """Note that this process is at work in the folder until `unmark`, or until it ends; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _own_mark(folder).write_text(f"{socket.gethostname()} {_began(os.getpid())}", encoding="utf-8")


def unmark(folder: Path) -> None:
    """Note that this process has done its work in the folder."""
    _own_mark(folder).unlink(missing_ok=True)


def is_at_work(folder: Path) -> bool:
    """Whether a process is at work in the folder; one of another machine is taken to be."""
    return any(_lives(path) for path in folder.glob(f"{MARK}*"))


def _own_mark(folder: Path) -> Path:
    return folder / f"{MARK}{os.getpid()}"


def _lives(path: Path) -> bool:
    try:
        host, began = path.read_text(encoding="utf-8").split()
        process = int(path.name.removeprefix(MARK))
        return host != socket.gethostname() or abs(_began(process) - float(began)) < 2  # the clock may be set
    except (OSError, ValueError):  # it has just ended, or is no mark of ours
        return False


def _began(process: int) -> float:
    """When the process began, in seconds, as its system tells it; infinite where there is none."""
    import psutil

    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return float("inf")
