"""The demo: a drawn product catalogue with known truth, and a small CLIP that was trained on such drawings."""

from pathlib import Path

from mmlab.demo.catalogue import draw_catalogue

CHECKPOINT = Path(__file__).parent / "checkpoint"

__all__ = ["CHECKPOINT", "draw_catalogue"]
