"""Who holds a store's folder: one process at a time, by a lock of the system that dies with its holder.

The lock is one per store, not one per collection: a session holds all it may need, so two sessions can never
wait for each other, and making, dropping and listing collections are safe. Runs have stores of their own.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from mmlab.items import replacing

POLL = 0.02  # seconds between two tries


class StoreTaken(RuntimeError):
    """Another process, or another thread of this one, holds the store."""


class FolderLock:
    """The lock of one folder in this process; the thread that holds it may take it again.

    Two lock files: who wants the second waits in line at the first, so that a loop which gives the store back
    and takes it again at once lets the next one in.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self.folder = folder
        self._holder = folder / ".holder.json"
        self._threads = threading.RLock()
        # fallback_to_soft: a lock that is only a file would outlive a killed holder.
        self._line, self._owner = (
            FileLock(folder / name, thread_local=False, poll_interval=POLL, fallback_to_soft=False)
            for name in (".line", ".lock")
        )

    @contextmanager
    def held(self, wait: float) -> Iterator[bool]:
        """Hold the folder for the block; yields if it was free before. StoreTaken after `wait` seconds."""
        deadline = time.monotonic() + wait
        if not self._threads.acquire(timeout=wait):
            raise StoreTaken(
                f"the store {self.folder} is in use by another thread of this process: waited {wait:g} s"
            )
        try:
            if self._owner.is_locked:
                yield False
                return
            self._acquire(deadline, wait)
            try:
                yield True
            finally:
                self._holder.unlink(missing_ok=True)
                self._owner.release()
        finally:
            self._threads.release()

    def _acquire(self, deadline: float, wait: float) -> None:
        from filelock import Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
                self._owner.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except Timeout:
            raise StoreTaken(
                f"the store {self.folder} is in use by {_told(self._holder)}; waited {wait:g} s. Let it "
                "finish, or shut that kernel down, which frees the store; open_store(..., wait=60) waits longer"
            ) from None
        with replacing(self._holder) as temporary:
            temporary.write_text(json.dumps(_me()))


def _me() -> dict[str, Any]:
    import psutil

    me = psutil.Process()
    what = os.environ.get("MMLAB_NOTEBOOK") or os.environ.get("JPY_SESSION_NAME") or " ".join(me.cmdline())
    return {"pid": me.pid, "started": me.create_time(), "what": what[:300], "since": time.time()}


def _told(holder: Path) -> str:
    """The holder in words, if the process that wrote the file still lives: killed ones leave theirs."""
    import psutil

    try:
        told = json.loads(holder.read_text())
        pid, what, since = int(told["pid"]), str(told["what"])[:300], float(told["since"])
        if abs(psutil.Process(pid).create_time() - float(told["started"])) > 1:
            return "another process"  # the pid has gone to somebody else
        clock = datetime.fromtimestamp(since).astimezone().isoformat(" ", "seconds")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, psutil.Error):
        return "another process"
    return f"pid {pid}, {what!r}, since {clock}"
