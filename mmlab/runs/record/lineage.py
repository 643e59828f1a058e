"""Which step made a file, from what, and whether another step may still use it.

A file may be used under three conditions: its bytes are those that its step recorded; everything upstream of it was
made from the files that are there now; and every parameter that it shares by name with the steps upstream is equal.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from mmlab.items.files import file_hash
from mmlab.runs.record.manifest import DamagedManifest, Manifest, StepRecord, read_manifest
from mmlab.runs.record.run_files import COPIES, EXECUTED, WRITERS, executed_copy, run_folder

# what a file that is no executed notebook raises
NO_NOTEBOOK = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
SETTLED_NS = 1_000_000_000  # after its last change, until the state of a file tells one content from another


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

    `*` stands for a part of one name: `vectors/*.arrow` matches no file in a folder below `vectors`.
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
    if fault := find_fault(path, expected, writer):
        raise StaleInput(f"{file} {fault}; run {writer} again")
    for step in _upstream(manifest, writer):
        _check_sources(manifest, step)
        _check_parameters(step, manifest["steps"][step]["parameters"], file, parameters)
    return expected


def find_fault(path: Path, expected: str, writer: str) -> str:
    """Return in what a file differs from what its writer recorded, "" where it does not."""
    if path.is_dir():
        return "" if expected.startswith("folder:") else f"is a folder, where {writer} wrote a file"
    if not path.exists():
        return "is gone"
    try:
        found = known_hash(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found == expected:
        return ""
    return f"is not what {writer} recorded: it was changed, or made by a run of {writer} that did not reach its end"


def known_hash(path: Path) -> str:
    """Return the sha256 of a file; one that has neither been written nor changed since it was asked is not read."""
    found = path.stat()
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    # a second change within one tick of the clock would not be seen
    if time.time_ns() - changed < SETTLED_NS:
        return file_hash(path)
    return _hash_once(path, found.st_dev, found.st_ino, found.st_size, changed)


@lru_cache(maxsize=10_000)
def _hash_once(path: Path, *_: int) -> str:
    return file_hash(path)


def read_held(name: str) -> Manifest:
    """Return the manifest of a run with what may be shown of it; `stale` and `damaged` say why the rest may not.

    A step is stale that began again without reaching its end, or was made from files that were written anew since; of
    the others each file is damaged that is not as it was recorded. Raises DamagedManifest as `read_manifest` does.
    """
    manifest, folder = read_manifest(name), run_folder(name)
    steps: dict[str, StepRecord] = {}
    stale: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for step, record in manifest["steps"].items():
        try:
            for source in _upstream(manifest, step):
                _check_sources(manifest, source)
        except StaleInput as error:
            stale[step] = str(error)
            continue
        found = {file: find_fault(folder / file, digest, step) for file, digest in record["writes"].items()}
        damaged |= {file: f"{file} {fault}; run {step} again" for file, fault in found.items() if fault}
        if fault := find_copy_fault(executed_copy(name, step), record):
            damaged[f"{EXECUTED}/{step}.ipynb"] = f"{EXECUTED}/{step}.ipynb {fault}; run {step} again"
        held = {file: digest for file, digest in record["writes"].items() if not found[file]}
        steps[step] = {**record, "writes": held}
    for copy in sorted((folder / EXECUTED).glob(COPIES)):
        if copy.stem not in steps and (fault := find_copy_fault(copy, {})):
            damaged[f"{EXECUTED}/{copy.name}"] = f"{EXECUTED}/{copy.name} {fault}; run {copy.stem} again"
    return {**manifest, "steps": steps, "stale": stale, "damaged": damaged}


def find_copy_fault(copy: Path, record: Mapping[str, Any]) -> str:
    """Return in what the executed copy of a notebook is not the one that its step recorded, "" where it is or none is.

    A notebook that was run by hand has no copy: one of an earlier execution is not its own, see `is_copy_of`.
    """
    if "copy" in record:
        return find_fault(copy, record["copy"], copy.stem)
    try:
        began, ended = _execution(copy)
    except FileNotFoundError:
        return ""
    except NO_NOTEBOOK:
        return "is no executed notebook"
    cut = began <= record.get("finished", "") and not ended
    return "ends before its notebook did: the run was stopped there" if cut else ""


def is_copy_of(copy: Path, record: Mapping[str, Any]) -> bool:
    """Tell whether an executed copy shows what its step has recorded, and all of it."""
    if not copy.is_file() or find_copy_fault(copy, record):
        return False
    began, ended = ("", "9") if "copy" in record else _execution(copy)
    return began <= record["finished"] <= ended


def _execution(copy: Path) -> tuple[str, str]:
    """Return when papermill began and ended to execute a notebook, in UTC; "" where it did not come to the end.

    Anything from always to never, of a notebook that something else has executed.
    """
    found = json.loads(copy.read_text(encoding="utf-8"))["metadata"].get("papermill")
    if found is None:
        return "", "9"
    return str(found["start_time"]), "" if found["exception"] else str(found["end_time"] or "")


def held_file(manifest: Manifest, file: str) -> Path | None:
    """Return the path of a file of a run that one of these steps wrote, None where none did."""
    written = find_writer(manifest, file) is not None
    return run_folder(manifest["run"]) / file if written else None


def is_done(manifest: Manifest, folder: Path, step: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the step finished with exactly these parameters, and all that it wrote may still be used.

    Its executed copy, where it has one, is whole.
    """
    record = manifest["steps"].get(step)
    if record is None or record["parameters"] != parameters:
        return False
    if find_copy_fault(folder / EXECUTED / f"{step}.ipynb", record):
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
    """Raise StaleInput where a step began again, or read a file that is another one now."""
    if step in manifest.get("begun", {}):
        raise StaleInput(f"{step} began again and has not reached its end; run {step} again")
    for file, digest in manifest["steps"][step]["reads"].items():
        current, writer = _current(manifest, file)
        if current is None:
            raise StaleInput(f"{step} read {file}, which no step writes any more; run {step} again")
        if current not in ("", digest):
            raise StaleInput(f"{step} read another {file} than {writer} has written since; run {step} again")


def _current(manifest: Manifest, file: str) -> tuple[str | None, str]:
    """Return the fingerprint of what a step has read as it is now, and who wrote it.

    None: no step has written such a file. "": what was compared with is not there any more, and was right then.
    """
    if Path(file).is_absolute():
        return known_hash(Path(file)) if Path(file).is_file() else "", "somebody"
    run, _, other = file.rpartition(":")
    if run:
        if not run_folder(run).is_dir():
            return "", ""
        try:
            manifest, file = read_manifest(run), other
        except DamagedManifest:
            return None, ""
    writer = find_writer(manifest, file)
    if writer is None:
        return None, ""
    return manifest["steps"][writer]["writes"][file], f"{writer} of run {run}" if run else writer


def _agree(name: str, mine: Any, theirs: Any) -> bool:
    """Return whether a step with one value may read what was made with the other; an index may hold more retrievers."""
    return mine == theirs or (name == "retrievers" and set(mine) <= set(theirs))


def _check_parameters(step: str, theirs: Mapping[str, Any], file: str, mine: Mapping[str, Any]) -> None:
    for name in theirs:
        if name in mine and not _agree(name, mine[name], theirs[name]):
            raise StaleInput(
                f"{file} was made with other parameters: {name} is {mine[name]!r} here "
                f"and was {theirs[name]!r} in {step}; run {step} and what follows it with "
                f"{name}={mine[name]!r}, or use {theirs[name]!r} here"
            )
