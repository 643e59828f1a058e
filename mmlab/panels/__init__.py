"""ipywidgets over the other rooms' calls: no logic here, and every panel has a static twin."""

from mmlab.panels.query import answer, query_panel

__all__ = ["answer", "query_panel"]
