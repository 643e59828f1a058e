"""`manifest.json`, the record of a run: what each step was given, what it read and what it wrote.

```
{"run": "demo", "steps": {"02_embed": {"parameters": {...}, "reads": {"items.parquet": "<sha256>"},
 "writes": {"vectors/demo-1f2e3d4c.npz": "<sha256>"}, "seconds": 12.3, "finished": "...", "saw": "...", ...}}}
```
This file reads and writes the record; whether a step may use a file is decided in `lineage`.
"""

import json
import re
from pathlib import Path
from typing import Any

from mmlab.items import data, replacing

Manifest = dict[str, Any]
NAME = re.compile(r"(?!.*\.html?\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.IGNORECASE)  # of a run


class DamagedManifest(ValueError):
    """A run's manifest is there and cannot be read."""


def run_folder(run: str) -> Path:
    """The folder of the run of this name, whether it exists or not; ValueError if it is no plain name."""
    if not isinstance(run, str) or not NAME.fullmatch(run):
        raise ValueError(
            "a run's name is 1 to 100 letters, digits, '.', '_' or '-', not starting with '.' or '-' "
            f"and not ending as a page does, in .html; found {run!r}"
        )
    return data() / "runs" / run


def read_manifest(run: str) -> Manifest:
    """The run's manifest, without steps if nothing ran yet; DamagedManifest, a ValueError, if it is."""
    path = run_folder(run) / "manifest.json"
    if not path.is_file():
        return {"run": run, "steps": {}}
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
    return manifest


def record_step(run: str, step: str, record: dict[str, Any]) -> None:
    """Put the step's record into the manifest, in place of its last one; kernels may do this at once."""
    from filelock import FileLock

    folder = run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".manifest.lock", timeout=60):
        manifest = read_manifest(run)
        manifest["steps"] = dict(sorted({**manifest["steps"], step: record}.items()))
        with replacing(folder / "manifest.json") as temporary:
            temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
