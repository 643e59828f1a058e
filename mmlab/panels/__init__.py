"""ipywidgets over the other rooms' calls: no logic here, and every panel has a static twin."""

from mmlab.panels.answers import answer, answer_question
from mmlab.panels.asking import ask
from mmlab.panels.calibrating import fit_calibrations
from mmlab.panels.compare import compare_panel
from mmlab.panels.failures import failures_gallery, judge_hit, judged_hits
from mmlab.panels.inspecting import inspect_panel
from mmlab.panels.landing import landing
from mmlab.panels.map import list_items, map_panel
from mmlab.panels.moves import compare_answers, comparison, moves
from mmlab.panels.query import query_panel
from mmlab.panels.question import Question
from mmlab.panels.recorded import Recorded, recorded_runs
from mmlab.panels.systems import match_crops, panel_systems

__all__ = [
    "Question",
    "Recorded",
    "answer",
    "answer_question",
    "ask",
    "compare_answers",
    "compare_panel",
    "comparison",
    "failures_gallery",
    "fit_calibrations",
    "inspect_panel",
    "judge_hit",
    "judged_hits",
    "landing",
    "list_items",
    "map_panel",
    "match_crops",
    "moves",
    "panel_systems",
    "query_panel",
    "recorded_runs",
]
