"""Runs: executing the notebooks with papermill, the manifest that ties their files together, the report."""

from mmlab.runs.execute import NOTEBOOKS, NotebookFailed, find_notebooks, notebook_number, run_notebooks
from mmlab.runs.lineage import StaleInput
from mmlab.runs.machine import versions
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.parameters import check_parameters
from mmlab.runs.report import write_index, write_report
from mmlab.runs.step import Step, begin_step

__all__ = [
    "NOTEBOOKS",
    "NotebookFailed",
    "StaleInput",
    "Step",
    "begin_step",
    "check_parameters",
    "find_notebooks",
    "notebook_number",
    "read_manifest",
    "run_folder",
    "run_notebooks",
    "versions",
    "write_index",
    "write_report",
]
