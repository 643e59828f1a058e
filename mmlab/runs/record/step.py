"""A step: the part of one notebook in a run. It checks what the notebook reads and records what it writes.

```
step = begin_step("02_embed", globals())
items = read_items(step.read("items.parquet"))
vectors.save(step.write(f"vectors/{vectors.space.key}.arrow"))
step.finish("1,482 images and 3,711 texts ...")
```
"""

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from psutil import Process

from mmlab.items import replacing
from mmlab.items.vector_files import release_spare_memory
from mmlab.runs.record.lineage import StaleInput, check_input, fingerprint, written_files
from mmlab.runs.record.manifest import (
    Manifest,
    StepRecord,
    describe_machine,
    read_manifest,
    record_begin,
    record_step,
    versions,
)
from mmlab.runs.record.parameters import check_secrets, values_from_namespace
from mmlab.runs.record.run_files import mark, remember_store, run_folder, unmark
from mmlab.visualize import Html, table
from mmlab.visualize.markup import render_markdown

T = TypeVar("T")
GROWN_BYTES = 4 << 20  # since memory was last given back


@dataclass
class Step:
    """One notebook at work in the folder of its run; made by `begin_step` or `start_step`.

    `name` is the name of the notebook, `run_name` that of the run; `reads` and `writes` are the files so far.
    """

    name: str
    run_name: str
    folder: Path
    parameters: dict[str, Any]
    started: float = field(default_factory=time.perf_counter)
    reads: dict[str, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def read(self, file: str) -> Path:
        """Return the path of a file (or folder) that an earlier step wrote.

        Raises FileNotFoundError, which names the notebook to run, if there is none. Raises StaleInput if the file was
        changed, is older than what it was made from, or was made with other values of this step's parameters.
        """
        path = self._inside(file)
        self.reads[file] = check_input(self._manifest(), path, file, self.parameters)
        return path

    def read_all(self, pattern: str) -> list[Path]:
        """Return the paths of the files that match, like "vectors/*.arrow", in the order in which a step wrote them.

        `*` stands for a part of one name. Each file is checked as `read` does. Raises FileNotFoundError, which names
        the notebook to run, if there is none.
        """
        files = written_files(read_manifest(self.run_name), pattern)
        return [self.read(file) for file in files] or [self.read(pattern)]

    def read_from(self, run_name: str, file: str) -> Path:
        """Return the path of a file of another run, checked by the manifest of that run; record it as "RUN:FILE".

        Raises FileNotFoundError and StaleInput as `read` does.
        """
        path = run_folder(run_name) / file
        try:
            self.reads[f"{run_name}:{file}"] = check_input(read_manifest(run_name), path, file, {})
        except StaleInput as error:
            raise StaleInput(f"run {run_name}: {error}") from error
        return path

    def read_outside(self, path: Path) -> Path:
        """Return the absolute path of a file that no run wrote; record it and its fingerprint.

        Raises FileNotFoundError if there is none.
        """
        path = path.resolve()
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        self.reads[str(path)] = fingerprint(path, {}, {})
        return path

    def write(self, file: str) -> Path:
        """Return the path for an output of this step and make its folder; `finish` records the file."""
        path = self._inside(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_on_write(path)
        if file not in self.writes:
            self.writes.append(file)
        return path

    def outputs(self) -> Html:
        """Return a table of what this step has written so far: each file and its size."""
        sizes = [(self.folder / file).stat().st_size / 1024 for file in self.writes]
        return table(pd.DataFrame({"file": self.writes, "KB": sizes}), f"In {self.run_name}", digits=1)

    def settings(self, kind: type[T]) -> T:
        """Make a dataclass of settings from the parameters that are called like its fields.

        The fields without a parameter keep their defaults: `step.settings(Rules)` in 01_ingest.
        """
        names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # any dataclass
        return kind(**{name: value for name, value in self.parameters.items() if name in names})

    def versions(self) -> Html:
        """Return a table of the versions of Python and of the packages that decide results."""
        return table(versions())

    def check(self, claims: Mapping[str, bool]) -> Html:
        """Return a table of the claims, all of which hold; raise ValueError that names those that do not."""
        failed = [claim for claim, holds in claims.items() if not holds]
        if failed:
            raise ValueError(f"{self.name}: does not hold: {'; '.join(failed)}")
        return table(pd.DataFrame({"claim": list(claims), "found": "holds"}))

    def finish(self, summary: str) -> Html:
        """Record the step in the manifest of the run and return `summary`, the conclusion in Markdown, as HTML.

        Raises FileNotFoundError if an output that `write` announced does not exist.
        """
        missing = [file for file in self.writes if not (self.folder / file).exists()]
        if missing:
            raise FileNotFoundError(
                f"{self.name} announced {missing} but did not write them to {self.folder}"
            )
        record: StepRecord = {
            "parameters": self.parameters,
            "reads": self.reads,
            "writes": {
                file: fingerprint(self.folder / file, self.parameters, self.reads) for file in self.writes
            },
            "seconds": round(time.perf_counter() - self.started, 3),
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "summary": summary,
            "environment": describe_machine(),
        }
        record_step(self.run_name, self.name, record)
        unmark(self.folder)
        # not IPython's Markdown: a label in the summary may be hostile
        return Html(render_markdown(summary))

    def _manifest(self) -> Manifest:
        """Return the manifest of the run, in which this step may read what it wrote itself the last time."""
        manifest = read_manifest(self.run_name)
        manifest["begun"].pop(self.name, None)
        return manifest

    def _inside(self, file: str) -> Path:
        path = (self.folder / file).resolve()
        if not path.is_relative_to(self.folder.resolve()) or path == self.folder.resolve():
            raise ValueError(
                f"a step's files lie inside its run's folder, as 'figures/map.png' does; found {file!r}"
            )
        return path


def begin_step(notebook: str, namespace: Mapping[str, Any]) -> Step:
    """Begin the step of a notebook, with the parameters of its tagged cell: `begin_step("02_embed", globals())`.

    The names come from the cell tagged `parameters` of the saved notebook, the values from `namespace`. The parameter
    `name` is the name of the run. From then on the memory that cells have freed is given back to the system. Raises
    FileNotFoundError if there is no such notebook, ValueError if a parameter has no value or holds a secret, and
    TypeError if a value cannot be written as JSON.
    """
    parameters = values_from_namespace(notebook, namespace)
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        shell.events.register("post_run_cell", _RELEASE)
    if "name" not in parameters:
        raise ValueError(f"{notebook}: its cell of parameters has no `name`, the name of the run")
    return start_step(notebook, parameters.pop("name"), **parameters)


class _Release:
    """Give back what cells have freed, each time that the process has grown by `GROWN_BYTES`."""

    def __init__(self) -> None:
        self._left = 0

    def __call__(self, _result: Any) -> None:
        if _own_bytes() - self._left > GROWN_BYTES:
            release_spare_memory()
            self._left = _own_bytes()


def _own_bytes() -> int:
    """Return the memory of this process without mapped files, where the system tells."""
    memory = Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


_RELEASE = _Release()


def start_step(notebook: str, run_name: str, /, **parameters: Any) -> Step:
    """Begin a step outside of a notebook, with its parameters by name; otherwise like `begin_step`.

    What the step has written before, and what later steps made of it, is not valid until it finishes. Raises ValueError
    for a parameter that holds a secret, since it would be written into the manifest, TypeError for a value that cannot
    be written as JSON, and RunInUse while another process runs notebooks of this run.
    """
    check_secrets(parameters)
    folder = run_folder(run_name)
    try:
        plain = json.loads(json.dumps(parameters))
    except TypeError as error:
        raise TypeError(
            f"{notebook}: parameters are numbers, strings, truth values or lists of them; {error}"
        ) from error
    mark(folder)
    record_begin(run_name, notebook)
    remember_store(str(plain.get("store") or ""))
    return Step(notebook, run_name, folder, plain)


def copy_on_write(path: Path) -> None:
    """Replace a file that other runs share by a copy, so that writing into it leaves their file as it is."""
    if path.is_file() and path.stat().st_nlink > 1:
        with replacing(path) as temporary:
            shutil.copyfile(path, temporary)
