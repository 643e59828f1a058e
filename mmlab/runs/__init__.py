"""Runs: executing the notebooks with papermill, the manifest that ties their files together, the report."""

from mmlab.runs.changes import changes_gallery
from mmlab.runs.clean import find_removable, remove
from mmlab.runs.comparing import costs, differing_parameters, read_rankings, read_same_items, read_scores
from mmlab.runs.execute import (
    NOTEBOOKS,
    NotebookFailed,
    Stopped,
    choose_notebooks,
    find_notebook,
    find_notebooks,
    notebook_number,
    run_notebooks,
)
from mmlab.runs.indexed import index_of
from mmlab.runs.inputs import check_dataset, check_model, check_runs
from mmlab.runs.lineage import StaleInput
from mmlab.runs.machine import versions
from mmlab.runs.manifest import DamagedManifest, read_manifest, run_folder
from mmlab.runs.parameters import check_parameters, notebook_parameters
from mmlab.runs.report import (
    Summary,
    list_runs,
    run_names,
    summarise_run,
    write_index,
    write_overview,
    write_report,
    write_single,
)
from mmlab.runs.step import Step, begin_step, start_step
from mmlab.runs.verify import verify_run

__all__ = [
    "NOTEBOOKS",
    "DamagedManifest",
    "NotebookFailed",
    "StaleInput",
    "Step",
    "Stopped",
    "Summary",
    "begin_step",
    "changes_gallery",
    "check_dataset",
    "check_model",
    "check_parameters",
    "check_runs",
    "choose_notebooks",
    "costs",
    "differing_parameters",
    "find_notebook",
    "find_notebooks",
    "find_removable",
    "index_of",
    "list_runs",
    "notebook_number",
    "notebook_parameters",
    "read_manifest",
    "read_rankings",
    "read_same_items",
    "read_scores",
    "remove",
    "run_folder",
    "run_names",
    "run_notebooks",
    "start_step",
    "summarise_run",
    "verify_run",
    "versions",
    "write_index",
    "write_overview",
    "write_report",
    "write_single",
]
