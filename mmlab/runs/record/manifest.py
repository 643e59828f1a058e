"""`manifest.json`, the record of a run: what each step was given, read and wrote, and on what machine.

```
{"run": "demo", "steps": {"02_embed": {"parameters": {...}, "reads": {"items.parquet": "<sha256>"},
 "writes": {"vectors/demo-1f2e3d4c.npz": "<sha256>"}, "seconds": 12.3, "finished": "...", "summary": "...", ...}}}
```
This file reads and writes the record. Versions are those in the metadata of the packages, which are not imported; no
environment variable is recorded. `lineage` decides whether a step may use a file.
"""

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from mmlab.items import replacing
from mmlab.items.files import project, resolve
from mmlab.runs.record.run_files import MANIFEST, RUN_NAME, STORE, check_store, run_folder

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


class Manifest(TypedDict):
    """The name of a run and its steps, by the name of the notebook, in the order of the notebooks."""

    run: str
    steps: dict[str, StepRecord]


class DamagedManifest(ValueError):
    """The manifest of a run exists and cannot be read."""


class IndexLocation(NamedTuple):
    """Where the index of a run is: the store (a folder or a URL), the name of its collections, and its layout."""

    store: str
    collections: str
    layout: str


def read_manifest(name: str) -> Manifest:
    """Return the manifest of the run called `name`: `{"run": name, "steps": {notebook: record}}`.

    A run that has not finished a notebook has no steps. Raises DamagedManifest, a ValueError, if the file is no
    manifest.

    >>> read_manifest("no-such-run")
    {'run': 'no-such-run', 'steps': {}}
    """
    path = run_folder(name) / MANIFEST
    if not path.is_file():
        return {"run": name, "steps": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedManifest(
            f"{path} is not JSON ({error}); move it away and run the notebooks again"
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("steps"), dict):
        raise DamagedManifest(
            f"{path} is no manifest: expected an object with 'run' and 'steps'; move it away"
        )
    _check_names(path, manifest["steps"])
    # the folder may have been renamed
    return {"run": name, "steps": manifest["steps"]}


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
    """Write the record of a step into the manifest of a run, in place of its last one.

    Several kernels may do this at once.
    """
    from filelock import FileLock

    folder = run_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".manifest.lock", timeout=60):
        manifest = read_manifest(name)
        manifest["steps"] = dict(sorted({**manifest["steps"], step: record}.items()))
        with replacing(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def given_parameters(steps: Mapping[str, StepRecord]) -> dict[str, Any]:
    """Return the parameters of all steps by name; where steps disagree, the first one counts."""
    return {
        name: value
        for record in reversed(list(steps.values()))
        for name, value in record["parameters"].items()
    }


def differing_parameters(runs: Sequence[str]) -> "pd.DataFrame":
    """Return the parameters that differ between runs: notebook, parameter, and a column of values for each run."""
    import pandas as pd

    steps = {run: read_manifest(run)["steps"] for run in runs}
    names = dict.fromkeys(
        (step, name) for records in steps.values() for step in records for name in records[step]["parameters"]
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
