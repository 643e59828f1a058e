"""Find and remove what can go from the data folder: runs, caches, the demo catalogue.

All of it is made again when it is needed, except what a person did: the relevance judgements in the labels.jsonl of a
run.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlab.items import data
from mmlab.runs.record.manifest import read_manifest
from mmlab.runs.record.run_files import LABELS, disk_bytes, is_locked, run_folder, run_names
from mmlab.runs.report.summary import DAMAGE, summarize_run


@dataclass(frozen=True)
class Removable:
    """A folder that can go.

    `kind` is run, verify, cache or demo; `bytes` its size on the disk; `labels` the judgements by hand in it.
    """

    kind: str
    name: str
    path: Path
    bytes: int
    labels: int

    def row(self) -> dict[str, Any]:
        """Return what `mmlab clean` lists: what, name, MB, labels."""
        megabytes = f"{self.bytes / 1e6:.1f}"
        return {"what": self.kind, "name": self.name, "MB": megabytes, "labels": self.labels or ""}


def find_removable(
    runs: Sequence[str] | None = None, unfinished: bool = False, cache: bool = False, demo: bool = False
) -> list[Removable]:
    """Return the runs of these names (None: all), the unfinished runs, the caches and the demo catalogue.

    The second runs that `mmlab verify` kept go with the unfinished ones. Runs that are still at work stay. Raises
    ValueError for a named run that does not exist or is at work.
    """
    _check_names(runs or ())
    chosen = run_names() if runs is None else list(runs)
    chosen += [name for name in run_names() if unfinished and _is_unfinished(name) and name not in chosen]
    wanted = [("run", run_folder(name)) for name in chosen]
    if unfinished or runs is None:
        wanted += [("verify", path) for path in sorted(data().glob("verify-*")) if not is_locked(path)]
    wanted += [(kind, data() / kind) for kind, asked in (("cache", cache), ("demo", demo)) if asked]
    return [
        Removable(kind, path.name, path, disk_bytes(path), count_labels(path))
        for kind, path in wanted
        if path.is_dir()
    ]


def remove(entries: Sequence[Removable]) -> None:
    """Remove the folders; of a link, only the link."""
    for entry in entries:
        if entry.path.is_symlink():
            entry.path.unlink()
        else:
            shutil.rmtree(entry.path)


def count_labels(folder: Path) -> int:
    """Return how many judgements by hand are in a folder and below it."""
    files = [path for path in folder.rglob(LABELS) if path.is_file()]
    return sum(bool(line.strip()) for path in files for line in path.read_bytes().splitlines())


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not run_folder(name).is_dir():
            raise ValueError(f"there is no run {name!r}; mmlab list shows those that are there")
        if is_locked(run_folder(name)):
            raise ValueError(f"run {name!r} is at work: stop it, or close the notebook that has it open")


def _is_unfinished(name: str) -> bool:
    if is_locked(run_folder(name)):
        return False
    try:
        return summarize_run(read_manifest(name)).state not in ("finished", "comparison")
    except DAMAGE:
        return True
