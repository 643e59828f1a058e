"""The parameters of the notebooks: read from their tagged cells, and values checked before anything runs.

papermill itself lets a misspelt name pass with a log line and takes a value of any type.
"""

import ast
import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlab.items import project
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
    """Return the parameters of one notebook by name; empty if no cell is tagged `parameters`.

    The cell is read as text, without papermill: a notebook calls this when it begins, and importing papermill takes
    seconds. Raises ValueError if the file is no notebook, or the cell is not Python.
    """
    return dict(_parse_notebook(notebook, notebook.stat().st_mtime_ns))


def values_from_namespace(notebook: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the parameters of the notebook called `notebook` have in its namespace.

    The notebook is looked for in the current folder, then in the project. Raises FileNotFoundError if it is in
    neither, and ValueError if a parameter has no value yet.
    """
    folders = (Path.cwd(), project() / "notebooks")
    found = [path for folder in folders if (path := folder / f"{notebook}.ipynb").is_file()]
    if not found:
        raise FileNotFoundError(
            f"no {notebook}.ipynb in {folders[0]} or {folders[1]}: its parameters are not known"
        )
    names = list(notebook_parameters(found[0]))
    if missing := [name for name in names if name not in namespace]:
        raise ValueError(
            f"{notebook}: no value for {', '.join(missing)}; save the notebook and run its cell of parameters first"
        )
    return {name: namespace[name] for name in names}


@lru_cache(maxsize=64)  # a sweep asks for each of its settings
def _parse_notebook(notebook: Path, modified_ns: int) -> dict[str, Parameter]:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        return _parse_cell("".join(tagged[0]["source"])) if tagged else {}
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise ValueError(f"{notebook}: its parameters cannot be read: {error}") from error


def _parse_cell(source: str) -> dict[str, Parameter]:
    lines, found = source.splitlines(), {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, kind = node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kind = node.targets[0].id, ""
        else:
            continue
        # an offset of ast counts bytes of UTF-8
        rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode()
        default = ast.get_source_segment(source, node.value) or ""
        found[name] = Parameter(name, kind, default, rest.partition("#")[2].strip())
    return found


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
