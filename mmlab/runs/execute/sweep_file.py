"""Read the settings of a sweep from its YAML file; every value is checked, and an error names the line.

```
parameters:              # the same in all settings
  dataset: data/demo
grid:                    # every combination of these values
  hnsw_m: [16, 64]
  ef: [20, 50, 100]
```
In place of `grid`, `sets` lists the sets of parameters one by one: `sets: [{ef: 20}, {ef: 50, hnsw_m: 16}]`.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mmlab.items.files import MAX_SWEEP_BYTES
from mmlab.runs.record.parameters import check_all, check_files, check_parameters

MAX_SETTINGS = 500
MAX_NAME_CHARS = 60


@dataclass(frozen=True)
class Setting:
    """The name of a run and the parameters that it is given."""

    run: str
    values: dict[str, Any] = field(hash=False)


class LinedMapping(dict[str, Any]):
    """A mapping of the file, with the line of each of its keys in `lines`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """Loads plain values only, as `yaml.safe_load` does; mappings are `LinedMapping`, and no key may occur twice.

    Nor may a value stand for another one: a few of these in each other are as large as memory.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"*{event.anchor} stands for another value: write that one out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def lined(self, node: yaml.MappingNode) -> LinedMapping:
        found = LinedMapping()
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
    """Return the settings of the file, with the names of their runs; the last key of a grid varies fastest.

    Raises FileNotFoundError, and ValueError with the line for what is no YAML, for a key or a parameter that is
    not known, for a value of another type, and for two settings that are the same.
    """
    content = _parse(path)
    shared = _checked(_mapping(content, "parameters", path), notebooks, path)
    varied = [_checked(values, notebooks, path) for values in _varied(content, path)]
    names = name_runs(path.stem, varied)
    settings = [Setting(name, {**shared, **values}) for name, values in zip(names, varied, strict=True)]
    for place, setting in enumerate(settings):
        try:
            check_all(notebooks, setting.values)
        except ValueError as error:
            raise ValueError(f"{path}, setting {place + 1}: {error}") from error
        for earlier, other in enumerate(settings[:place]):
            if setting.values == other.values:
                raise ValueError(f"{path}: settings {earlier + 1} and {place + 1} are the same")
    return settings


def name_runs(stem: str, varied: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each set of parameters; a name that is too long or not unique ends in digits of a hash.

    >>> name_runs("sweep", [{"ef": 20}, {"ef": 50, "exact": True}])
    ['sweep-ef-20', 'sweep-ef-50-exact-true']
    """
    plain = [_plain_name(stem, values) for values in varied]
    counts = Counter(name[:MAX_NAME_CHARS] for name in plain)
    return [
        name
        if len(name) <= MAX_NAME_CHARS and counts[name] == 1
        else f"{name[: MAX_NAME_CHARS - 9]}-{_digest(values)}"
        for name, values in zip(plain, varied, strict=True)
    ]


def _parse(path: Path) -> LinedMapping:
    """Return the mapping of the file; raise ValueError for a key that it may not have."""
    content = _read_yaml(path)
    if not isinstance(content, LinedMapping):
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
    if path.stat().st_size > MAX_SWEEP_BYTES:
        raise ValueError(f"{path} is larger than {MAX_SWEEP_BYTES:,} bytes: too large for a list of settings")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}, line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def _mapping(content: LinedMapping, key: str, path: Path) -> LinedMapping:
    found = content.get(key, LinedMapping())
    if not isinstance(found, LinedMapping):
        raise ValueError(
            f"{path}, line {content.lines[key]}: {key} holds lines 'name: value'; found {found!r}"
        )
    return found


def _varied(content: LinedMapping, path: Path) -> list[LinedMapping]:
    """Return what each setting has of its own: the combinations of the grid, or the sets."""
    if "sets" in content:
        line, sets = content.lines["sets"], content["sets"]
        if (
            not isinstance(sets, list)
            or not sets
            or not all(isinstance(values, LinedMapping) for values in sets)
        ):
            raise ValueError(f"{path}, line {line}: sets is a list, each entry with lines 'name: value'")
        _check_count(len(sets), path)
        return sets
    grid = _mapping(content, "grid", path)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{path}, line {grid.lines[name]}: {name} takes a list of values; found {values!r}"
            )
    _check_count(math.prod(map(len, grid.values())), path)
    return [_with_lines(grid, combination) for combination in product(*grid.values())]


def _with_lines(grid: LinedMapping, combination: Sequence[Any]) -> LinedMapping:
    found = LinedMapping()
    found.update(zip(grid, combination, strict=True))
    found.lines = grid.lines
    return found


def _check_count(count: int, path: Path) -> None:
    if count > MAX_SETTINGS:
        raise ValueError(f"{path}: {count:,} settings; a sweep has {MAX_SETTINGS} at most")


def _checked(values: LinedMapping, notebooks: Sequence[Path], path: Path) -> dict[str, Any]:
    """Return the values in the types that the notebooks declare; raise ValueError with the line."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        try:
            if name == "name":
                raise ValueError(
                    "the names of the runs are made from the file and the settings: leave name out"
                )
            checked |= check_files(check_parameters({name: value}, notebooks))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {values.lines[name]}: {error}") from error
    return checked


def _plain_name(stem: str, values: Mapping[str, Any]) -> str:
    parts = [stem, *(f"{name}-{_text(value)}" for name, value in values.items())]
    slugs = [re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-.") for part in parts]
    slugs[0] = slugs[0] or "sweep"
    return "-".join(slug for slug in slugs if slug)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_text, value))
    return json.dumps(value) if isinstance(value, bool) else str(value).rsplit("/", 1)[-1]


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
