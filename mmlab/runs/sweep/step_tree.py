"""The settings of a sweep as a tree of steps: what several settings have in common is one step, done once."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmlab.runs.record.parameters import default_value, notebook_parameters
from mmlab.runs.sweep.sweep_file import Setting


@dataclass(frozen=True)
class Node:
    """One notebook with all its parameters (without `name`), done in the first of `runs` for all of them."""

    notebook: Path
    parameters: dict[str, Any] = field(hash=False)
    runs: tuple[str, ...]
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """Yield the node itself and all nodes below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def without(self, runs: Collection[str]) -> "list[Node]":
        """Return the node and those below it for its other runs: one node, or none if no run is left."""
        left = tuple(run for run in self.runs if run not in runs)
        below = tuple(found for child in self.children for found in child.without(runs))
        return [Node(self.notebook, self.parameters, left, below)] if left else []


def plan_steps(settings: Sequence[Setting], notebooks: Sequence[Path]) -> list[Node]:
    """Return the first steps of all settings, with the later ones as their children.

    Settings share a step if it and all steps before it are given the same parameters.
    """
    if not notebooks:
        return []
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        own = own_parameters(notebooks[0], setting.values)
        groups.setdefault(json.dumps(own, sort_keys=True), []).append(setting)
    return [
        Node(
            notebooks[0],
            own_parameters(notebooks[0], group[0].values),
            tuple(setting.run for setting in group),
            tuple(plan_steps(group, notebooks[1:])),
        )
        for group in groups.values()
    ]


def own_parameters(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notebook without `name`: the given values, and the defaults of the others."""
    return {
        name: values[name] if name in values else default_value(parameter)
        for name, parameter in notebook_parameters(notebook).items()
        if name != "name"
    }
