"""The report of a run: `index.html` with the summary, a page for each notebook, one file of all, and all runs."""

from mmlab.runs.report.listing import list_runs
from mmlab.runs.report.overview import write_overview
from mmlab.runs.report.report import write_index, write_report
from mmlab.runs.report.single import write_single
from mmlab.runs.report.summary import Summary, given_parameters, run_names, summarise_run

__all__ = [
    "Summary",
    "given_parameters",
    "list_runs",
    "run_names",
    "summarise_run",
    "write_index",
    "write_overview",
    "write_report",
    "write_single",
]
