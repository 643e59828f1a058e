"""What of the data folder can go: runs, caches, the demo catalogue.

All of it is made again when it is needed, except what a person did: the judgements in a run's `labels.jsonl`.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mmlab.items import data
from mmlab.runs.manifest import run_folder
from mmlab.runs.report.summary import run_names, summarise_run
from mmlab.runs.working import is_at_work

LABELS = "labels.jsonl"  # of a run: a line for each judgement made by hand


@dataclass(frozen=True)
class Removable:
    """A folder that can go: its kind (run, verify, cache, demo), name, bytes on the disk, and judgements by hand."""

    kind: str
    name: str
    path: Path
    bytes: int
    labels: int


def find_removable(
    runs: list[str] | None = None, unfinished: bool = False, cache: bool = False, demo: bool = False
) -> list[Removable]:
    """The runs of these names (None: all), those that did not reach their end, the caches, the demo catalogue.

    With the unfinished ones go the second runs that `mmlab verify` kept; those that are still at work stay.
    ValueError for a named run that is not there, or is at work.
    """
    chosen = run_names() if runs is None else list(runs)
    for name in runs or ():
        if not run_folder(name).is_dir():
            raise ValueError(f"there is no run {name!r}; mmlab list shows those that are there")
        if is_at_work(run_folder(name)):
            raise ValueError(f"run {name!r} is at work: stop it, or close the notebook that has it open")
    chosen += [name for name in run_names() if unfinished and _is_unfinished(name) and name not in chosen]
    wanted = [("run", run_folder(name)) for name in chosen]
    if unfinished or runs is None:
        wanted += [("verify", path) for path in sorted(data().glob("verify-*")) if not is_at_work(path)]
    wanted += [(kind, data() / kind) for kind, chosen in (("cache", cache), ("demo", demo)) if chosen]
    return [
        Removable(kind, path.name, path, disk_bytes(path), count_labels(path))
        for kind, path in wanted
        if path.is_dir()
    ]


def remove(entries: list[Removable]) -> None:
    """Remove them; of a link, the link only."""
    for entry in entries:
        if entry.path.is_symlink():
            entry.path.unlink()
        else:
            shutil.rmtree(entry.path)


def count_labels(folder: Path) -> int:
    """How many judgements by hand are in a folder and below it."""
    lines = [
        line for path in folder.rglob(LABELS) if path.is_file() for line in path.read_bytes().splitlines()
    ]
    return sum(bool(line.strip()) for line in lines)


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder's files take on the disk; a file with several names counts once in each of its folders."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            size = os.lstat(os.path.join(place, name))
            total += 512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size
    return total


def _is_unfinished(name: str) -> bool:
    if is_at_work(run_folder(name)):
        return False
    try:
        return summarise_run(name).state not in ("finished", "comparison")
    except (ValueError, KeyError, TypeError, AttributeError):  # a damaged manifest
        return True
