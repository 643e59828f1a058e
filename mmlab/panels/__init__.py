"""ipywidgets over the other rooms' calls: no logic here, and every panel has a static twin."""

from mmlab.panels.answers import answer, answer_question
from mmlab.panels.compare import compare_panel
from mmlab.panels.comparison import compare_answers, comparison
from mmlab.panels.failures import failures_gallery, judge_hit, judged_hits
from mmlab.panels.inspecting import inspect_panel
from mmlab.panels.map import list_items, map_panel
from mmlab.panels.query import query_panel

__all__ = [
    "answer",
    "answer_question",
    "compare_answers",
    "compare_panel",
    "comparison",
    "failures_gallery",
    "inspect_panel",
    "judge_hit",
    "judged_hits",
    "list_items",
    "map_panel",
    "query_panel",
]
