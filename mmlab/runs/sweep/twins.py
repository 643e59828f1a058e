"""Steps of a sweep that read the same: another run's files serve, since their bytes would be the same.

What several settings share from 01 on is known before anything runs (`plan_steps`). Whether they come to the same
again later, as most settings of an index do with exact search, only the files tell.
"""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

from mmlab.runs.clean import LABELS
from mmlab.runs.lineage import find_writer, is_done
from mmlab.runs.manifest import Manifest, read_manifest, run_folder

FROM_FILES = ("05_evaluate", "06_visualize")  # 04 reads the store as well, which no hash watches


class Twins:
    """Which runs have done which step in this sweep."""

    def __init__(self) -> None:
        self._done: defaultdict[str, list[str]] = defaultdict(list)

    def note(self, step: str, run: str) -> None:
        """The run has done the step."""
        self._done[step].append(run)

    def find(self, step: str, run: str, parameters: dict[str, Any]) -> str | None:
        """A run that has done the step with these parameters from files with the bytes that this run's have."""
        if step not in FROM_FILES or (run_folder(run) / LABELS).exists():
            return None
        manifest = read_manifest(run)
        for other in list(self._done[step]):
            theirs = read_manifest(other)
            if is_done(theirs, run_folder(other), step, parameters) and _read_alike(step, theirs, manifest):
                return other
        return None


def _read_alike(step: str, theirs: Manifest, ours: Manifest) -> bool:
    """Whether all that the step read there was written here with the same bytes, and no file more beside it."""
    reads = theirs["steps"][step]["reads"]
    folders = {PurePosixPath(file).parent for file in reads} - {PurePosixPath(".")}
    written = [_written(manifest, folders) for manifest in (theirs, ours)]
    return written[0] == written[1] and all(_digest(ours, file) == digest for file, digest in reads.items())


def _written(manifest: Manifest, folders: set[PurePosixPath]) -> set[str]:
    files = {file for record in manifest["steps"].values() for file in record["writes"]}
    return {file for file in files if PurePosixPath(file).parent in folders}


def _digest(manifest: Manifest, file: str) -> str | None:
    writer = find_writer(manifest, file)
    return manifest["steps"][writer]["writes"][file] if writer else None
