"""A sweep's YAML file -> its settings; every value is checked, and an error names the file's line.

```
parameters:              # of all settings
  dataset: data/demo
grid:                    # every combination of these values
  hnsw_m: [16, 64]
  ef: [20, 50, 100]
```
In place of `grid`, `sets` lists the sets of parameters one by one: `sets: [{ef: 20}, {ef: 50, hnsw_m: 16}]`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mmlab.runs.inputs import check_dataset, check_model
from mmlab.runs.parameters import check_parameters
from mmlab.runs.sweep.names import name_runs

MOST = 500  # settings of one sweep
LARGEST = 1_000_000  # bytes of the file


@dataclass(frozen=True)
class Setting:
    """The name of a run and the parameters that it is given."""

    run: str
    values: dict[str, Any] = field(hash=False)


class Lined(dict[str, Any]):
    """A mapping of the file that knows the line of each of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """Plain values only, as `yaml.safe_load`; mappings are `Lined`, and no key may occur twice."""

    def lined(self, node: yaml.MappingNode) -> Lined:
        found = Lined()
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in found:
                problem = f"{key} is given twice" if key in found else f"expected a name, found {key!r}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
            found.lines[key] = key_node.start_mark.line + 1
        return found


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.lined)


def read_settings(path: Path, notebooks: Sequence[Path]) -> list[Setting]:
    """The settings of the file with the names of their runs, in its order, the last key of a grid varying fastest.

    Raises FileNotFoundError, and ValueError with the line for what is no YAML, for a key or a parameter that is
    not known, for a value of another type, and for two settings that are the same.
    """
    content = _parse(path)
    shared = _checked(_mapping(content, "parameters", path), notebooks, path)
    varied = [_checked(values, notebooks, path) for values in _varied(content, path)]
    names = name_runs(path.stem, varied)
    settings = [Setting(name, {**shared, **values}) for name, values in zip(names, varied, strict=True)]
    for place, setting in enumerate(settings):
        for earlier, other in enumerate(settings[:place]):
            if setting.values == other.values:
                raise ValueError(f"{path}: settings {earlier + 1} and {place + 1} are the same")
    return settings


def _parse(path: Path) -> Lined:
    """The file's mapping, with the keys that it may have."""
    content = _read_yaml(path)
    if not isinstance(content, Lined):
        raise ValueError(
            f"{path}: expected keys parameters, and grid or sets; found {type(content).__name__}"
        )
    for name in content:
        if name not in ("parameters", "grid", "sets"):
            raise ValueError(
                f"{path}, line {content.lines[name]}: unknown key {name!r}; known: parameters, grid, sets"
            )
    if ("grid" in content) == ("sets" in content):
        raise ValueError(f"{path}: expected either grid (values of each parameter) or sets (a list of sets)")
    return content


def _read_yaml(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no sweep file {path}")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is too large for a list of settings: over {LARGEST:,} bytes")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}, line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def _mapping(content: Lined, key: str, path: Path) -> Lined:
    found = content.get(key, Lined())
    if not isinstance(found, Lined):
        raise ValueError(
            f"{path}, line {content.lines[key]}: {key} holds lines 'name: value'; found {found!r}"
        )
    return found


def _varied(content: Lined, path: Path) -> list[Lined]:
    """What each setting has of its own: the combinations of the grid, or the sets."""
    if "sets" in content:
        line, sets = content.lines["sets"], content["sets"]
        if not isinstance(sets, list) or not sets or not all(isinstance(values, Lined) for values in sets):
            raise ValueError(f"{path}, line {line}: sets is a list, each entry with lines 'name: value'")
        return _bounded(sets, len(sets), path)
    grid = _mapping(content, "grid", path)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{path}, line {grid.lines[name]}: {name} takes a list of values; found {values!r}"
            )
    _bounded([], math.prod(map(len, grid.values())), path)
    return [_with_lines(grid, combination) for combination in product(*grid.values())]


def _with_lines(grid: Lined, combination: Sequence[Any]) -> Lined:
    found = Lined()
    found.update(zip(grid, combination, strict=True))
    found.lines = grid.lines
    return found


def _bounded(sets: list[Lined], count: int, path: Path) -> list[Lined]:
    if count > MOST:
        raise ValueError(f"{path}: {count:,} settings; a sweep has {MOST} at most")
    return sets


def _checked(values: Lined, notebooks: Sequence[Path], path: Path) -> dict[str, Any]:
    """The values in the types that the notebooks declare; ValueError names the line."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        try:
            if name == "name":
                raise ValueError("runs are named by the file and their settings; leave name out")
            checked |= check_parameters({name: value}, notebooks)
            if name == "dataset":
                checked[name] = check_dataset(checked[name])
            if name == "models":
                checked[name] = [check_model(model) for model in checked[name]]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {values.lines[name]}: {error}") from error
    return checked
