"""Let one step serve several runs of a sweep: find a run that did the same step, and share its files and its record.

The bytes, the parameters and what was read are the same, so the hashes of each run hold as if it had done the step
itself. The record says in `shared_from` which run did.
"""

import os
import shutil
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from mmlab.items import replacing
from mmlab.items.files import copy_folder
from mmlab.runs.record.lineage import find_writer, is_done
from mmlab.runs.record.manifest import Manifest, read_manifest, record_step
from mmlab.runs.record.run_files import LABELS, STORE, executed_copy, run_folder

# 04 reads the store as well, which no hash watches
STEPS_FROM_FILES = ("05_evaluate", "06_visualize")


class StepCache:
    """The runs that have done each step in a sweep.

    What settings have in common from 01 on is known before anything runs (`plan_steps`). Whether they come to the
    same files again later, as most settings of an index do with exact search, only the files tell. Of the bench's sweep
    from 04 on over 300 products this saves 18 of 126 processor seconds, of that from 03 on 11 of 163.
    """

    def __init__(self) -> None:
        self._done: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, step: str, run: str) -> None:
        """Note that a run has done a step."""
        self._done[step].append(run)

    def find(self, step: str, run: str, parameters: dict[str, Any]) -> str | None:
        """Return a run that did the step with these parameters from files with the same bytes as this run's files."""
        if step not in STEPS_FROM_FILES or (run_folder(run) / LABELS).exists():
            return None
        manifest = read_manifest(run)
        for other in list(self._done[step]):
            theirs = read_manifest(other)
            done = is_done(theirs, run_folder(other), step, parameters)
            if done and _has_same_inputs(step, theirs, manifest):
                return other
        return None


def share_step(step: str, maker: str, run: str) -> None:
    """Give a run what the step did in the run `maker`: files, executed notebook, page and record.

    Files are linked. The store of 03_index is copied, because it is written to whenever it is used.
    """
    source, target = run_folder(maker), run_folder(run)
    record = read_manifest(maker)["steps"][step]
    for file in [*record["writes"], f"{step}.html"]:
        if (source / file).is_file():
            link_file(source / file, target / file)
    for folder in (STORE, *record["writes"]) if step == "03_index" else ():
        if (source / folder).is_dir():
            copy_folder(source / folder, target / folder)
    # not linked: papermill writes it in place
    if executed_copy(maker, step).is_file():
        with replacing(executed_copy(run, step)) as temporary:
            shutil.copy2(executed_copy(maker, step), temporary)  # its page is not older
    record_step(run, step, {**record, "shared_from": record.get("shared_from", maker)})


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where a disk cannot link."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _has_same_inputs(step: str, theirs: Manifest, ours: Manifest) -> bool:
    """Return whether all that the step read there was written here with the same bytes, and no other file beside it."""
    reads = theirs["steps"][step]["reads"]
    folders = {PurePosixPath(file).parent for file in reads} - {PurePosixPath(".")}
    if _written_into(theirs, folders) != _written_into(ours, folders):
        return False
    return all(_digest(ours, file) == digest for file, digest in reads.items())


def _written_into(manifest: Manifest, folders: set[PurePosixPath]) -> set[str]:
    files = {file for record in manifest["steps"].values() for file in record["writes"]}
    return {file for file in files if PurePosixPath(file).parent in folders}


def _digest(manifest: Manifest, file: str) -> str | None:
    writer = find_writer(manifest, file)
    return manifest["steps"][writer]["writes"][file] if writer else None
