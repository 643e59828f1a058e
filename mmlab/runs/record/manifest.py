"""`manifest.json`, the record of a run: what each step was given, read and wrote, and on what machine.

```
{"run": "demo", "steps": {"02_embed": {"parameters": {...}, "reads": {"items.parquet": "<sha256>"},
 "writes": {"vectors/demo-1f2e3d4c.arrow": "<sha256>"}, "seconds": 12.3, "finished": "...", "summary": "...", ...}}}
```
This file reads and writes the record. Versions are those in the metadata of the packages, which are not imported; no
environment variable is recorded. `lineage` decides whether a step may use a file.
"""

import hashlib
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from mmlab.items import replacing
from mmlab.items.files import file_hash, project, resolve
from mmlab.items.parameter_table import RUN_NAME
from mmlab.runs.record.run_files import MANIFEST, NOTEBOOKS, STORE, check_store, folder_lock, run_folder

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = (
    "mmlab",
    "torch",
    "transformers",
    "qdrant-edge-py",
    "qdrant-client",
    "numpy",
    "pandas",
    "scikit-learn",
    "umap-learn",
    "matplotlib",
    "papermill",
)


OUTSIDE = re.compile(r"^[/~]|^[A-Za-z]:|[\\\0]|(^|/)\.\.(/|$)")  # what no file of a run begins with or holds
MAX_SHOWN_CHARS = 60  # of the value of a parameter in a table


class GitState(TypedDict):
    """The commit of a checkout, and whether files differ from it."""

    commit: str
    dirty: bool


class Environment(TypedDict):
    """What a manifest keeps of the machine that ran a step."""

    packages: dict[str, str]
    platform: str
    git: GitState | None


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of Python and of `PACKAGES`, "not installed" where one is missing."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def versions() -> "pd.DataFrame":
    """Return the versions of Python and the main packages as a table with the columns package and version.

    It is what the last cell of a notebook shows.

    >>> list(versions().columns)
    ['package', 'version']
    """
    import pandas as pd

    return pd.DataFrame(package_versions().items(), columns=["package", "version"])


def describe_machine() -> Environment:
    """Return the versions, the platform and, in a git checkout, the commit."""
    return {"packages": package_versions(), "platform": platform.platform(), "git": git_state(project())}


def git_state(folder: Path) -> GitState | None:
    """Return the commit of a checkout and whether files differ from it; None without a checkout or without git."""
    if not (folder / ".git").exists() or not shutil.which("git"):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))} if commit else None


def _git(folder: Path, *arguments: str) -> str:
    command = [shutil.which("git") or "git", "-C", str(folder), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


class StepRecord(TypedDict):
    """What the manifest says of one step."""

    # as JSON has them
    parameters: dict[str, Any]
    # file -> its fingerprint
    reads: dict[str, str]
    writes: dict[str, str]
    seconds: float
    # in UTC, ISO 8601
    finished: str
    # Markdown
    summary: str
    environment: Environment
    # the run that did the step, where a sweep shares it
    shared_from: NotRequired[str]
    # the fingerprint of the executed copy, once it is whole; none of a notebook that was run by hand
    copy: NotRequired[str]


class Manifest(TypedDict):
    """The name of a run and its steps, by the name of the notebook, in the order of the notebooks."""

    run: str
    steps: dict[str, StepRecord]
    # the steps that began again since they finished -> when, in UTC, ISO 8601
    begun: dict[str, str]
    # of `lineage.read_held` alone: the steps and the files that it leaves out -> why
    stale: NotRequired[dict[str, str]]
    damaged: NotRequired[dict[str, str]]


class DamagedManifest(ValueError):
    """The manifest of a run exists and cannot be read."""


class IndexLocation(NamedTuple):
    """Where the index of a run is: the store (a folder or a URL), the name of its collections, and its layout."""

    store: str
    collections: str
    layout: str


def read_manifest(name: str) -> Manifest:
    """Return the manifest of the run called `name`: `{"run": name, "steps": {notebook: record}, "begun": {...}}`.

    A run that has not finished a notebook has no steps. Raises DamagedManifest, a ValueError, if the file is no
    manifest.

    >>> read_manifest("no-such-run")
    {'run': 'no-such-run', 'steps': {}, 'begun': {}}
    """
    path = run_folder(name) / MANIFEST
    if not path.exists():
        return {"run": name, "steps": {}, "begun": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, IsADirectoryError) as error:
        raise DamagedManifest(
            f"{path} is not JSON ({error}); move it away and run the notebooks again"
        ) from error
    if not _is_manifest(manifest):
        raise DamagedManifest(
            f"{path} is no manifest: expected an object with 'run' and 'steps'; move it away"
        )
    if manifest.get("checksum", _checksum(manifest)) != _checksum(manifest):
        raise DamagedManifest(
            f"{path} is not as a notebook wrote it: it was changed since; move it away and run the notebooks again"
        )
    _check_names(path, manifest["steps"])
    # the folder may have been renamed
    return {"run": name, "steps": manifest["steps"], "begun": manifest.get("begun", {})}


def _is_manifest(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("begun", {}), dict):
        return False
    steps = found.get("steps")
    return isinstance(steps, dict) and all(map(_is_record, steps.values()))


def _is_record(found: Any) -> bool:
    parts = {"parameters": dict, "reads": dict, "writes": dict, "finished": str, "summary": str}
    return isinstance(found, dict) and all(
        isinstance(found.get(name, kind()), kind) for name, kind in parts.items()
    )


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of what a manifest says, however it is laid out."""
    held = {key: value for key, value in manifest.items() if key in ("steps", "begun")}
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def _check_names(path: Path, steps: Mapping[str, Any]) -> None:
    """Raise DamagedManifest where a run that comes from somebody else names files or folders outside of its own."""
    records = [record for record in steps.values() if isinstance(record, dict)]
    files = [str(file) for record in records for file in record.get("writes") or ()]
    outside = [file for file in files if OUTSIDE.search(file)]
    makers = [str(record["shared_from"]) for record in records if "shared_from" in record]
    outside += [maker for maker in makers if not RUN_NAME.fullmatch(maker)]
    if outside:
        raise DamagedManifest(
            f"{path} names {outside[0]!r}, and the files of a run lie in its folder: no notebook wrote that; "
            "move it away"
        )


def record_step(name: str, step: str, record: StepRecord) -> None:
    """Write the record of a step into the manifest of a run, in place of its last one: it has reached its end.

    Several kernels may do this at once.
    """
    with _changing(name) as manifest:
        manifest["steps"] = dict(sorted({**manifest["steps"], step: record}.items()))
        manifest["begun"].pop(step, None)


def record_begin(name: str, step: str) -> None:
    """Write into the manifest of a run that a step with a record begins again: until its end the record is not valid.

    A step without a record has nothing to lose.
    """
    if step in read_manifest(name)["steps"]:
        with _changing(name) as manifest:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            manifest["begun"][step] = now


def record_copy(copy: Path) -> None:
    """Write into the manifest of its run that the executed copy of a notebook is whole, if its step has finished."""
    name, step = copy.parents[1].name, copy.stem
    if step in read_manifest(name)["steps"]:
        with _changing(name) as manifest:
            manifest["steps"][step]["copy"] = file_hash(copy)


@contextmanager
def _changing(name: str) -> Iterator[Manifest]:
    """Yield the manifest of a run, and write it as it is when the block ends; one process at a time."""
    folder = run_folder(name)
    with folder_lock(folder):
        manifest = read_manifest(name)
        yield manifest
        held = {**manifest, "checksum": _checksum(manifest)}
        with replacing(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(held, indent=1, ensure_ascii=False), encoding="utf-8")


def given_parameters(steps: Mapping[str, StepRecord]) -> dict[str, Any]:
    """Return the parameters of all steps by name; where steps disagree, the first one counts."""
    return {
        name: value
        for record in reversed(list(steps.values()))
        for name, value in record["parameters"].items()
    }


def recorded_parameters(name: str, notebooks: Sequence[Path]) -> dict[str, Any]:
    """Return the parameters that the manifest of a run records for these notebooks, for going on after them."""
    names = {notebook.stem for notebook in notebooks}
    steps = read_manifest(name)["steps"] if names else {}
    return given_parameters({step: record for step, record in steps.items() if step in names})


def differing_parameters(runs: Sequence[str]) -> "pd.DataFrame":
    """Return the parameters of the six notebooks that differ: notebook, parameter, and a column of values for each run.

    What a study of one run was given explains no difference.
    """
    import pandas as pd

    steps = {run: read_manifest(run)["steps"] for run in runs}
    names = dict.fromkeys(
        (step, name)
        for step in NOTEBOOKS
        for records in steps.values()
        if step in records
        for name in records[step]["parameters"]
    )
    rows = []
    for step, name in names:
        values = [
            records[step]["parameters"].get(name) if step in records else None for records in steps.values()
        ]
        if any(value != values[0] for value in values):
            rows.append([step, name, *(str(value)[:MAX_SHOWN_CHARS] for value in values)])
    return pd.DataFrame(rows, columns=["notebook", "parameter", *runs])


def locate_index(manifest: Manifest) -> IndexLocation:
    """Return where the index of a run is.

    The collections have the name of the run that built them: a sweep builds one index for several runs. Raises
    ValueError if 03_index has not finished, and as `check_store` does.
    """
    name = manifest["run"]
    record = manifest["steps"].get("03_index")
    if record is None:
        raise ValueError(f"run {name!r} has no index: run 03_index for it first")
    given = record["parameters"]
    store = check_store(name, given.get("store", "")) or str(run_folder(name) / STORE)
    return IndexLocation(store, record.get("shared_from", name), given.get("layout", "unified"))


def check_runs(names: Sequence[str]) -> None:
    """Raise ValueError unless at least one notebook has finished in each of these runs."""
    for name in names:
        if not read_manifest(name)["steps"]:
            raise ValueError(
                f"run {name!r}: no notebook has finished in {run_folder(name)}; mmlab list shows all runs"
            )


def check_begun(name: str, notebooks: Sequence[str]) -> None:
    """Raise ValueError, with what to do, unless all these notebooks have finished in the run."""
    steps = read_manifest(name)["steps"]
    missing = [notebook for notebook in notebooks if notebook not in steps]
    if missing and not steps:
        raise ValueError(
            f"there is no run {name!r} to go on with; mmlab list shows those that are there. Without --from, and with "
            "--dataset, all notebooks are run"
        )
    if missing:
        raise ValueError(
            f"run {name!r}: {missing[0]}, which comes before, has not finished: go on with --from {missing[0][:2]}"
        )


def find_compared(names: Sequence[str | Path], folder: Path | None = None) -> tuple[list[str], list[Path]]:
    """Return which of the names are runs, and which are files, as absolute paths; a run counts before a file.

    Relative paths start at `folder`, at the project folder unless given. Raises ValueError for a name that is neither,
    and for one that is given twice.
    """
    runs: list[str] = []
    files: list[Path] = []
    for name in names:
        text = str(name)
        path = (folder / Path(text).expanduser()).resolve() if folder else resolve(text)
        if RUN_NAME.fullmatch(text) and read_manifest(text)["steps"]:
            runs.append(text)
        elif path.is_file():
            files.append(path)
        elif RUN_NAME.fullmatch(text):
            raise ValueError(
                f"run {text!r}: no notebook has finished in {run_folder(text)}, and there is no TREC run file {path}; "
                "mmlab list shows all runs"
            )
        else:
            raise ValueError(
                f"there is no TREC run file {path}; mmlab list shows the runs that can be compared"
            )
    if len(set(runs)) < len(runs) or len(set(files)) < len(files):
        raise ValueError(f"expected each run and each file once; found {', '.join(map(str, names))}")
    return runs, files
