"""Sweeps: one experiment in many settings, what they share done once, several at a time."""

from mmlab.runs.sweep.file import Setting, read_settings
from mmlab.runs.sweep.plan import Node, plan_steps
from mmlab.runs.sweep.work import run_sweep

__all__ = ["Node", "Setting", "plan_steps", "read_settings", "run_sweep"]
