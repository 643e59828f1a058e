"""Which step made a file, from what, and whether another step may still use it.

A file may be used under three conditions: its bytes are those that its step recorded; everything upstream of it was
made from the files that are there now; and every parameter that it shares by name with the steps upstream is equal.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mmlab.items.files import file_hash
from mmlab.runs.record.manifest import Manifest
from mmlab.runs.record.run_files import WRITERS


class StaleInput(ValueError):
    """A step was given a file that was made with other parameters or from other files, or was changed since."""


def find_writer(manifest: Manifest, file: str) -> str | None:
    """Return the name of the step that wrote `file` last, None if no step says so."""
    steps = manifest["steps"]
    writers = [name for name, record in steps.items() if file in record["writes"]]
    return max(writers, key=lambda name: steps[name]["finished"], default=None)


def find_maker(manifest: Manifest, file: str) -> str:
    """Return the name of the run in which the file was made: this one, or the one with which a sweep shares it.

    The collections of an index have the name of the run that built them.
    """
    writer = find_writer(manifest, file)
    return manifest["steps"][writer].get("shared_from", manifest["run"]) if writer else manifest["run"]


def written_files(manifest: Manifest, pattern: str) -> list[str]:
    """Return the files that match `pattern`, in the order in which the steps wrote them.

    `*` stands for a part of one name: `vectors/*.npz` matches no file in a folder below `vectors`.
    """
    wanted = PurePosixPath(pattern)
    files = [file for record in manifest["steps"].values() for file in record["writes"]]
    return [
        file
        for file in dict.fromkeys(files)
        if len(PurePosixPath(file).parts) == len(wanted.parts) and PurePosixPath(file).match(pattern)
    ]


def fingerprint(path: Path, parameters: Mapping[str, Any], reads: Mapping[str, str]) -> str:
    """Return the sha256 of a file; of a folder, that of the parameters and the files it was made from.

    A folder is a store, and the bytes of a store change while it is used.
    """
    if path.is_file():
        return file_hash(path)
    made_from = json.dumps([parameters, reads], sort_keys=True).encode()
    return f"folder:{hashlib.sha256(made_from).hexdigest()}"


def check_input(manifest: Manifest, path: Path, file: str, parameters: Mapping[str, Any]) -> str:
    """Return the fingerprint of `file` if a step with these parameters may read it.

    Raises FileNotFoundError if there is no such file, and StaleInput if it may not be used.
    """
    writer = find_writer(manifest, file)
    maker = writer or WRITERS.get(Path(file).parts[0], "the notebook that writes it")
    if not path.exists():
        raise FileNotFoundError(f"no {file} in {path.parent}: run {maker} for this run first")
    if writer is None:
        raise StaleInput(
            f"{file} is there, but the manifest names no step that wrote it: run {maker} to the end"
        )
    expected = manifest["steps"][writer]["writes"][file]
    if path.is_file() and file_hash(path) != expected:
        raise StaleInput(
            f"{file} is not what {writer} recorded: it was changed, or made by a run of {writer} "
            f"that did not reach its end; run {writer} again"
        )
    for step in _upstream(manifest, writer):
        _check_sources(manifest, step)
        _check_parameters(step, manifest["steps"][step]["parameters"], file, parameters)
    return expected


def is_done(manifest: Manifest, folder: Path, step: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the step finished with exactly these parameters, and all that it wrote may still be used."""
    record = manifest["steps"].get(step)
    if record is None or record["parameters"] != parameters:
        return False
    try:
        for file in record["writes"]:
            check_input(manifest, folder / file, file, {})
        _check_sources(manifest, step)
    except (FileNotFoundError, StaleInput):
        return False
    return True


def _upstream(manifest: Manifest, step: str) -> Iterator[str]:
    """Yield the step and all those whose files it was made from, each once, nearest first."""
    seen: set[str] = set()
    waiting = [step]
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield name
        waiting += filter(None, (find_writer(manifest, file) for file in manifest["steps"][name]["reads"]))


def _check_sources(manifest: Manifest, step: str) -> None:
    for file, digest in manifest["steps"][step]["reads"].items():
        writer = find_writer(manifest, file)
        if writer and manifest["steps"][writer]["writes"][file] != digest:
            raise StaleInput(f"{step} read another {file} than {writer} has written since; run {step} again")


def _check_parameters(step: str, theirs: Mapping[str, Any], file: str, mine: Mapping[str, Any]) -> None:
    for name in mine.keys() & theirs.keys():
        if mine[name] != theirs[name]:
            raise StaleInput(
                f"{file} was made with other parameters: {name} is {mine[name]!r} here "
                f"and was {theirs[name]!r} in {step}; run {step} and what follows it with "
                f"{name}={mine[name]!r}, or use {theirs[name]!r} here"
            )
