"""The files of one run, checked by its manifest before they are read; and the list of all runs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, Vectors, read_items, read_table
from mmlab.runs import Step, list_runs, read_manifest, run_folder
from mmlab.runs.record import run_files
from mmlab.runs.record.lineage import check_input, find_writer, written_files
from mmlab.runs.record.manifest import Manifest, given_parameters
from mmlab.workbench.result import Report, Result


@dataclass(frozen=True)
class RunReader:
    """Reads the files of the run `name`.

    Within a notebook's `step` every file that is read is recorded in the run's manifest, and a file that was made with
    other parameters than the step's is refused.
    """

    name: str
    step: Step | None = None

    @property
    def _own(self) -> bool:
        """Whether the step works on this very run, and not on another that it is compared with."""
        return self.step is not None and self.step.run_name == self.name

    @property
    def folder(self) -> Path:
        """The run's folder, data/runs/<name>."""
        return run_folder(self.name)

    @cached_property
    def manifest(self) -> Manifest:
        """The run's manifest as it was when it was first asked for."""
        return read_manifest(self.name)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the run's notebooks were given, by name; within a step, its own parameters first."""
        own = self.step.parameters if self.step and self._own else {}
        return given_parameters(self.manifest["steps"]) | own

    def has(self, file: str) -> bool:
        """Tell whether a finished notebook of the run wrote `file`."""
        return find_writer(self.manifest, file) is not None

    def read(self, file: str) -> Path:
        """Return the path of a file; raise FileNotFoundError or StaleInput where it cannot be used."""
        if self.step is not None:
            return self.step.read(file) if self._own else self.step.read_from(self.name, file)
        path = self.folder / file
        check_input(self.manifest, path, file, {})
        return path

    def read_all(self, pattern: str) -> list[Path]:
        """Return the paths of the files that match, like "vectors/*.npz"; raise FileNotFoundError if there is none."""
        if self.step is not None and self._own:
            return self.step.read_all(pattern)
        return [self.read(file) for file in written_files(self.manifest, pattern)] or [self.read(pattern)]

    def items(self) -> pd.DataFrame:
        """Read the items that 01_ingest wrote."""
        return read_items(self.read(run_files.ITEMS))

    def vectors(self) -> list[Vectors]:
        """Read the vectors that 02_embed wrote, one for each model."""
        return [Vectors.load(path) for path in self.read_all(f"{run_files.VECTORS}/*.npz")]

    def rankings(self, direction: str) -> pd.DataFrame:
        """Read the answer of a direction that 04_retrieve wrote."""
        return read_table(self.read(f"{run_files.RANKINGS}/{direction}.parquet"), RANKING_COLUMNS)

    def ranking_steps(self, direction: str) -> dict[str, pd.DataFrame]:
        """Read the rankings after each step of a direction, by the step's name, in their order."""
        paths = self.read_all(f"{run_files.RANKINGS}/{direction}/*.parquet")
        return {path.stem: read_table(path, RANKING_COLUMNS) for path in paths}

    def per_query(self, direction: str) -> pd.DataFrame:
        """Read the scores of each query that 05_evaluate wrote."""
        return read_table(self.read(f"{run_files.PER_QUERY}/{direction}.parquet"))

    def benchmark(self) -> pd.DataFrame:
        """Read the benchmark of the index that 03_index wrote."""
        return read_table(self.read(run_files.INDEX))

    def index_name(self) -> str:
        """Return the name that the run's index has in its store: that of the run which built it."""
        self.read(run_files.INDEX)
        writer = find_writer(self.manifest, run_files.INDEX)
        return self.manifest["steps"][writer].get("shared_from", self.name) if writer else self.name


@dataclass(frozen=True, repr=False)
class RunList(Report):
    """The runs of the data folder, a row each: name, dataset, models, when, how good, and whether it finished."""

    def _overview(self) -> Result:
        """Show all runs; open one with `mmlab.open_run(name)`."""
        table = pd.DataFrame(list_runs())
        if table.empty:
            return Result(
                table, "There is no run yet: make one with `mmlab demo` or `mmlab run --dataset ...`."
            )
        shown = table.assign(models=table["models"].map(", ".join))
        return Result(table, f"{len(table)} runs; open one with `mmlab.open_run(name)`.", shown=shown)

    def __len__(self) -> int:
        return len(list_runs())

    def _ipython_key_completions_(self) -> list[str]:
        return [row["name"] for row in list_runs()]
