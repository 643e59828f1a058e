"""A store's folder: the files of its collections, and the lock that lets in one process at a time.

`<store>/<collection>/schema.json` lies beside the engine's `shard/`. The schema is written last and removed first: a
collection exists exactly if its schema does, whenever a kill comes. `checksums.json` is written when the collection was
built and closed, and removed before it is changed: what a kill leaves has none.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from mmlab.index.store.engine import NoCollection
from mmlab.index.store.schema import DamagedCollection, OldSchema, Schema, WrongSchema, is_newer
from mmlab.items import replacing
from mmlab.items.files import Checksums

POLL_SECONDS = 0.02
KEEPER_SECONDS = 0.05  # between two looks at whether a kept lock is wanted
MAX_ACTIVITY_CHARS = 300


class StoreTaken(RuntimeError):
    """Another process, or another thread of this one, holds the store."""


class CollectionFolder:
    """The files of one collection, whether it exists or not."""

    def __init__(self, store: Path, name: str) -> None:
        self.name, self.path = name, store / name
        self.shard, self.file = self.path / "shard", self.path / "schema.json"
        self.checksums = Checksums(self.path)

    def read(self) -> Schema:
        """Return the schema.

        Raises NoCollection if there is none, OldSchema or WrongSchema for one of another version, DamagedCollection
        if it is no schema.
        """
        try:
            stored = json.loads(self.file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise NoCollection(self.name, collection_names(self.path.parent)) from None
        except (ValueError, IsADirectoryError) as error:
            raise damaged(self.file, error) from error
        try:
            return Schema.from_dict(stored, self.name)
        except OldSchema:
            raise
        except WrongSchema as error:
            if is_newer(stored):
                raise
            raise damaged(self.file, error) from error

    def check(self, thorough: bool = False) -> None:
        """Raise DamagedCollection if a file is not as it was when the collection was built; see `Checksums`."""
        if changed := self.checksums.changed(thorough):
            raise damaged(self.path / changed[0], "its bytes are not those that were written")

    def seal(self) -> None:
        """Write the checksums of all files but the write-ahead log's, which the engine checks itself."""
        files = (path for path in self.shard.rglob("*") if path.is_file() and "wal" not in path.parts)
        self.checksums.write([self.file, *files])

    def is_built(self, scanned_kb: int) -> bool:
        """Return whether the collection was built with this threshold of scans, and nothing was written since."""
        try:
            hnsw = json.loads((self.shard / "edge_config.json").read_text())["hnsw_config"]
            return self.checksums.file.exists() and hnsw["full_scan_threshold"] == scanned_kb
        except (OSError, ValueError, KeyError, TypeError):
            # of another version of the engine: it is built again
            return False

    def write(self, schema: Schema) -> None:
        """Write the schema: from now on the collection exists."""
        with replacing(self.file) as temporary:
            temporary.write_text(json.dumps(schema.to_dict(), indent=1))

    def clear(self) -> None:
        """Remove the collection, or what a killed create or drop left; raise FileExistsError for other files."""
        if not self.path.exists():
            return
        foreign = [entry.name for entry in self.path.iterdir() if not self._is_ours(entry)]
        if foreign:
            raise FileExistsError(
                f"{self.path} is no collection: it holds {min(foreign)!r}; use another name"
            )
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.path)

    def disk_bytes(self) -> int:
        """Return the bytes on disk, by blocks if the system tells: the write-ahead log is a sparse file of 64 MB."""
        sizes = (file.stat() for file in self.path.rglob("*") if file.is_file())
        return sum(512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size for size in sizes)

    def _is_ours(self, entry: Path) -> bool:
        unfinished = entry.name.startswith(".schema.") and entry.suffix == ".json"
        return unfinished or entry in (self.shard, self.file, self.checksums.file)


def damaged(place: Path, reason: object) -> DamagedCollection:
    """Return the error for a file or folder of a collection that cannot be used."""
    return DamagedCollection(
        f"{place} is damaged ({reason}): run 03_index again, which drops the collection and builds it anew"
    )


def collection_names(store: Path) -> list[str]:
    """Return the names of the collections in a store's folder, sorted."""
    return sorted(file.parent.name for file in store.glob("*/schema.json"))


class FolderLock:
    """The lock of one store in this process: one for all collections, which the thread that holds it may take again.

    A session holds all it may need, so two sessions never wait for each other. The system frees the lock if its
    holder dies. There are two lock files: a process that wants the second waits in line at the first, so that a loop
    which gives the store back and takes it again at once lets the next one in. So does a lock that is kept for the
    next question: it is given back as soon as another process stands in line, when its time is over, and at exit.

    close: what is done before the lock is given back.
    """

    def __init__(self, folder: Path, close: Callable[[], None]) -> None:
        from filelock import FileLock

        self.folder, self._close = folder, close
        self._depth, self._uses, self._kept_seconds = 0, 0, 0.0
        self._held_in = 0  # the process that holds the lock: a fork does not
        self._wanted = False  # the keeper saw that somebody waits, or that the folder was replaced
        self._has_keeper = False
        self._file: tuple[int, ...] = ()
        self._holder = folder / ".holder.json"
        self._threads = threading.RLock()
        # fallback_to_soft: a lock that is only a file would outlive a killed holder. The keeper has its own look at the
        # line, since it looks while a session is open.
        self._line, self._owner, self._keepers_line = (
            FileLock(folder / name, thread_local=False, poll_interval=POLL_SECONDS, fallback_to_soft=False)
            for name in (".line", ".lock", ".line")
        )
        self._lock_file = self._owner.lock_file

    def take(self, wait: float, look: bool = True) -> None:
        """Hold the folder until as many `leave` as `take`; StoreTaken after `wait` seconds.

        look: check that the folder is still what was opened; without it the keeper sees that within `KEEPER_SECONDS`.
        This and `leave` are short: a search leaves the processor's caches full of vectors, and then each Python
        function takes one or two microseconds.
        """
        since = time.monotonic()
        if not self._threads.acquire(timeout=wait):
            raise StoreTaken(
                f"the store {self.folder} is in use by another thread of this process: waited {wait:g} s"
            )
        if not self._depth and (look or self._wanted or self._held_in != os.getpid()):
            try:
                self._hold(since + wait, wait)
            except BaseException:
                self._threads.release()
                raise
        self._depth += 1

    def leave(self, keep: float) -> None:
        """End one `take`; after the last one the folder is kept for `keep` seconds, then given back."""
        try:
            self._depth -= 1
            if self._depth:
                return
            self._uses, self._kept_seconds = self._uses + 1, keep
            if not keep or self._wanted:
                self._release()
            elif not self._has_keeper:
                self._has_keeper = True
                threading.Thread(target=self._watch, name="mmlab store", daemon=True).start()
        finally:
            self._threads.release()

    def release(self) -> None:
        """Give back a lock that is kept; do nothing while a session is open."""
        if self._threads.acquire(blocking=False):
            try:
                if self._owner.is_locked and not self._depth:
                    self._release()
            finally:
                self._threads.release()

    def _hold(self, deadline: float, wait: float) -> None:
        """Take the folder, or have it still."""
        held = self._held_in == os.getpid()
        if held and (self._wanted or self._was_replaced()):
            self._release()
            held = False
        if not held:
            self._acquire(deadline, wait)

    def _watch(self) -> None:
        """Give the lock back when its time is over, or another process wants it: now, or when the session ends."""
        seen, until = -1, 0.0
        while True:
            time.sleep(KEEPER_SECONDS)
            self._wanted = self._is_wanted()
            if not self._threads.acquire(blocking=False):
                continue
            try:
                if seen != self._uses:
                    seen, until = self._uses, time.monotonic() + self._kept_seconds
                late = time.monotonic() >= until
                if self._owner.is_locked and not self._depth and (late or self._wanted):
                    self._release()
                if not self._owner.is_locked:
                    self._has_keeper = False
                    return
            finally:
                self._threads.release()

    def _is_wanted(self) -> bool:
        """Return whether another process stands in line, or the folder is no more what was opened."""
        try:
            if self._was_replaced():  # the lock of the line would make a folder that was removed anew
                return True
            with self._keepers_line.acquire(timeout=0):
                return False
        except OSError:  # another process holds the line, or the folder is being removed
            return True

    def _was_replaced(self) -> bool:
        return self._file != _identity(self._lock_file)

    def _release(self) -> None:
        try:
            self._close()
        finally:
            self._held_in, self._wanted = 0, False
            self._holder.unlink(missing_ok=True)
            self._owner.release()

    def _acquire(self, deadline: float, wait: float) -> None:
        from filelock import Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._line.acquire(timeout=max(0.0, deadline - time.monotonic())):
                self._owner.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except Timeout:
            raise StoreTaken(
                f"the store {self.folder} is in use by {_describe_holder(self._holder)}; waited {wait:g} s. Let it "
                "finish, or shut that kernel down, which frees the store; open_store(..., wait=60) waits longer"
            ) from None
        self._file, self._held_in = _identity(self._lock_file), os.getpid()
        with replacing(self._holder) as temporary:
            temporary.write_text(json.dumps(_this_process()))


def _identity(file: str) -> tuple[int, ...]:
    """Return what tells a file from another one that is put in its place; () where there is none."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino


def _this_process() -> dict[str, Any]:
    import psutil

    me, environment = psutil.Process(), os.environ
    what = environment.get("MMLAB_NOTEBOOK") or environment.get("JPY_SESSION_NAME") or " ".join(me.cmdline())
    return {
        "pid": me.pid,
        "started": me.create_time(),
        "what": what[:MAX_ACTIVITY_CHARS],
        "since": time.time(),
    }


def _describe_holder(file: Path) -> str:
    """Describe the holder, if the process that wrote the file still lives: killed ones leave theirs."""
    import psutil

    try:
        holder = json.loads(file.read_text())
        pid, what, since = int(holder["pid"]), str(holder["what"]), float(holder["since"])
        if abs(psutil.Process(pid).create_time() - float(holder["started"])) > 1:
            return "another process"  # the pid now belongs to another process
        clock = datetime.fromtimestamp(since).astimezone().isoformat(" ", "seconds")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, psutil.Error):
        return "another process"
    return f"pid {pid}, {what[:MAX_ACTIVITY_CHARS]!r}, since {clock}"
