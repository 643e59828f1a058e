"""Panels of ipywidgets over the plain calls of other rooms. Each shows what a plain call returns as well."""

from mmlab.panels.browse_panel import browse_panel
from mmlab.panels.compare_panel import compare_answers, compare_panel
from mmlab.panels.inspect_panel import inspect_panel, misses_gallery, pool_panel
from mmlab.panels.map_panel import items_gallery, map_panel
from mmlab.panels.panel_data import PanelData, answer_query
from mmlab.panels.query_panel import query_panel

__all__ = [
    "PanelData",
    "answer_query",
    "browse_panel",
    "compare_answers",
    "compare_panel",
    "inspect_panel",
    "items_gallery",
    "map_panel",
    "misses_gallery",
    "pool_panel",
    "query_panel",
]
