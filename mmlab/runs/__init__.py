"""Runs: the record that ties the files of a run together, the execution of its notebooks, sweeps and the report."""

from mmlab.runs.execute.execution import NotebookFailed, run_notebooks
from mmlab.runs.execute.notebooks import find_notebook, find_notebooks
from mmlab.runs.record.lineage import StaleInput
from mmlab.runs.record.manifest import DamagedManifest, read_manifest, versions
from mmlab.runs.record.run_files import run_folder, run_names
from mmlab.runs.record.step import Step, begin_step, start_step
from mmlab.runs.report.html_report import write_report
from mmlab.runs.report.summary import list_runs
from mmlab.runs.upkeep import verify_run

__all__ = [
    "DamagedManifest",
    "NotebookFailed",
    "StaleInput",
    "Step",
    "begin_step",
    "find_notebook",
    "find_notebooks",
    "list_runs",
    "read_manifest",
    "run_folder",
    "run_names",
    "run_notebooks",
    "start_step",
    "verify_run",
    "versions",
    "write_report",
]
