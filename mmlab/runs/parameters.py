"""The parameters of the notebooks: read from their tagged cells, and values checked before anything runs.

papermill itself lets a misspelt name pass with a log line and takes a value of any type.
"""

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlab.items.options import check_option
from mmlab.runs.manifest import read_manifest
from mmlab.runs.secrets import check_secrets


@dataclass(frozen=True)
class Parameter:
    """One line `name: type = value  # help` of a notebook's parameters cell, as written there."""

    name: str
    type: str
    default: str
    help: str


def notebook_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters of one notebook by name, empty if no cell is tagged `parameters`."""
    return dict(_inspect(notebook, notebook.stat().st_mtime_ns))


@lru_cache(maxsize=64)  # a sweep asks for each of its settings
def _inspect(notebook: Path, changed: int) -> dict[str, Parameter]:
    """As it was when it was last changed, in nanoseconds."""
    from papermill import inspect_notebook

    found = inspect_notebook(notebook)
    return {
        name: Parameter(name, entry["inferred_type_name"], entry["default"], entry["help"])
        for name, entry in found.items()
    }


def check_parameters(given: dict[str, Any], notebooks: Iterable[Path]) -> dict[str, Any]:
    """The given values in the types that the notebooks declare; a str (as typed in a shell) is parsed.

    Raises ValueError for a name that no notebook has, with the known ones, for a value that holds a secret, for one
    of another type, and for one that is not among those that the parameter can have.
    """
    check_secrets(given)
    known: dict[str, Parameter] = {}
    for notebook in notebooks:
        known |= notebook_parameters(notebook)
    for name in given:
        if name not in known:
            raise ValueError(_unknown(name, sorted(known)))
    values = {name: parse_value(known[name], value) for name, value in given.items()}
    for name, value in values.items():
        check_option(name, value)
    return values


def earlier_parameters(run: str, notebooks: Iterable[Path]) -> dict[str, Any]:
    """What the steps before these notebooks were given, by the run's manifest: for going on after them."""
    coming = {notebook.stem for notebook in notebooks}
    records = read_manifest(run)["steps"]
    values = [record["parameters"] for name, record in records.items() if name not in coming]
    return {name: value for parameters in values for name, value in parameters.items()}


def parse_value(parameter: Parameter, value: Any) -> Any:
    """The value as the parameter's type; ValueError if it is none."""
    outer, _, inner = parameter.type.partition("[")
    parse = PARSERS.get(outer)
    if parse is None:  # no annotation, or one that the command line cannot write: as it came
        return value
    try:
        found = parse(value)
        if inner:
            found = [PARSERS[inner.rstrip("]")](entry) for entry in found]
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"parameter {parameter.name} is of type {parameter.type}, "
            f"as in {parameter.name}={parameter.default}; found {value!r}"
        ) from error
    return found


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"no notebook has a parameter {name!r}; {hint}known: {', '.join(known)}"


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool | str):
        raise TypeError
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]


def _list(value: Any) -> list[Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise TypeError
    return found


PARSERS: dict[str, Callable[[Any], Any]] = {
    "str": _string,
    "int": _integer,
    "float": _number,
    "bool": _truth,
    "list": _list,
}
