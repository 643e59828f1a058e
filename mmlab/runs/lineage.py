"""Which step made a file, from what, and whether another step may still use it.

A file is fit for use if its bytes are those that its step recorded, if everything upstream of it was made
from the files that are there now, and if every parameter shared by name with the steps upstream is equal.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mmlab.items import file_hash
from mmlab.runs.manifest import Manifest

WRITERS = {  # of a file or a folder: what to run where no manifest tells
    "items.parquet": "01_ingest",
    "skipped.parquet": "01_ingest",
    "vectors": "02_embed",
    "index.parquet": "03_index",
    "rankings": "04_retrieve",
    "per_query": "05_evaluate",
    "metrics.json": "05_evaluate",
}


class StaleInput(ValueError):
    """A step was handed a file that was made with other parameters, from other files, or changed since."""


def find_writer(manifest: Manifest, file: str) -> str | None:
    """The name of the step that wrote `file` last, None if no step says so."""
    steps = manifest["steps"]
    writers = [name for name, record in steps.items() if file in record["writes"]]
    return max(writers, key=lambda name: steps[name]["finished"], default=None)


def written_files(manifest: Manifest, pattern: str) -> list[str]:
    """The files that match, in which `*` stands for a part of one name, in the order the steps wrote them."""
    wanted = PurePosixPath(pattern)
    files = [file for record in manifest["steps"].values() for file in record["writes"]]
    return [
        file
        for file in dict.fromkeys(files)
        if len(PurePosixPath(file).parts) == len(wanted.parts) and PurePosixPath(file).match(pattern)
    ]


def fingerprint(path: Path, parameters: dict[str, Any], reads: dict[str, str]) -> str:
    """The sha256 of a file; that of a folder is taken of what it was made from.

    A folder is a store, whose bytes change as it is used.
    """
    if path.is_file():
        return file_hash(path)
    made_from = json.dumps([parameters, reads], sort_keys=True).encode()
    return f"folder:{hashlib.sha256(made_from).hexdigest()}"


def check_input(manifest: Manifest, path: Path, file: str, parameters: dict[str, Any]) -> str:
    """Return the fingerprint of `file` if a step with these parameters may read it.

    Raises FileNotFoundError if it is not there, StaleInput if it is not fit for use.
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


def is_done(manifest: Manifest, folder: Path, step: str, parameters: dict[str, Any]) -> bool:
    """Whether the step reached its end with these parameters, and all that it wrote is still fit for use."""
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
    """The step and all those whose files it was made from, each once, nearest first."""
    seen, waiting = set(), [step]
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


def _check_parameters(step: str, theirs: dict[str, Any], file: str, mine: dict[str, Any]) -> None:
    for name in mine.keys() & theirs.keys():
        if mine[name] != theirs[name]:
            raise StaleInput(
                f"{file} was made with other parameters: {name} is {mine[name]!r} here "
                f"and was {theirs[name]!r} in {step}; run {step} and what follows it with "
                f"{name}={mine[name]!r}, or use {theirs[name]!r} here"
            )
