"""The workbench: a run, opened, and its answers, each with a table, a sentence and a figure."""

from mmlab.workbench.evaluation import Evaluation
from mmlab.workbench.hits import Hits
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run import Run, open_run
from mmlab.workbench.run_rankings import Rankings

__all__ = ["Evaluation", "Hits", "Rankings", "Report", "Result", "Run", "open_run"]
