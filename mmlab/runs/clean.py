"""What of the data folder can go: runs, caches, the demo catalogue. All of it is made again when it is needed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mmlab.items import data
from mmlab.runs.manifest import run_folder
from mmlab.runs.report.summary import run_names, summarise_run


@dataclass(frozen=True)
class Removable:
    """A folder that can go: its kind (run, verify, cache, demo), its name, and its bytes on the disk."""

    kind: str
    name: str
    path: Path
    bytes: int


def find_removable(
    runs: list[str] | None = None, unfinished: bool = False, cache: bool = False, demo: bool = False
) -> list[Removable]:
    """The runs of these names (None: all), those that did not reach their end, the caches, the demo catalogue.

    With the unfinished ones go the second runs that `mmlab verify` kept. ValueError for a run that is not there.
    """
    chosen = run_names() if runs is None else list(runs)
    missing = [name for name in chosen if not run_folder(name).is_dir()]
    if missing:
        raise ValueError(f"there is no run {missing[0]!r}; mmlab list shows those that are there")
    chosen += [name for name in run_names() if unfinished and _is_unfinished(name) and name not in chosen]
    found = [Removable("run", name, run_folder(name), disk_bytes(run_folder(name))) for name in chosen]
    kept = sorted(data().glob("verify-*")) if unfinished or runs is None else []
    wanted = [("verify", path) for path in kept]
    wanted += [(kind, data() / kind) for kind, chosen in (("cache", cache), ("demo", demo)) if chosen]
    return found + [
        Removable(kind, path.name, path, disk_bytes(path)) for kind, path in wanted if path.is_dir()
    ]


def remove(entries: list[Removable]) -> None:
    """Remove them; of a link, the link only."""
    for entry in entries:
        if entry.path.is_symlink():
            entry.path.unlink()
        else:
            shutil.rmtree(entry.path)


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder's files take on the disk; a file with several names counts once in each of its folders."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            size = os.lstat(os.path.join(place, name))
            total += 512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size
    return total


def _is_unfinished(name: str) -> bool:
    try:
        return summarise_run(name).state not in ("finished", "comparison")
    except (ValueError, KeyError, TypeError, AttributeError):  # a damaged manifest
        return True
