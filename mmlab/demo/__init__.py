"""The demo: a drawn product catalogue with known truth, and a small CLIP that was trained on such drawings.

Nothing is loaded before it is used.
"""

from pathlib import Path
from typing import Any

CHECKPOINT = Path(__file__).parent / "checkpoint"

__all__ = ["CHECKPOINT", "draw_catalogue"]


def __getattr__(name: str) -> Any:
    if name == "draw_catalogue":
        from mmlab.demo.catalogue import draw_catalogue

        return draw_catalogue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
