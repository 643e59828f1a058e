"""Read the parameters of notebooks from their tagged cells, and check values for them before anything runs.

papermill alone accepts a misspelt name with a line in its log, and a value of any type. It writes every parameter into
the executed notebook, and a sweep into the names of its runs, so a secret is refused: passwords, keys and tokens come
from the environment alone.
"""

import ast
import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlab.items.files import project
from mmlab.items.options import check_option

SECRET_VARIABLES = ("QDRANT_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# a shorter value occurs in many words
MIN_SECRET_CHARS = 6
# of a part of the path of a URL that looks like a key
MIN_KEY_CHARS = 16
# a URL with the name or the password of a user
URL_WITH_USER = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]*@", re.IGNORECASE)
# the same without a scheme, or a URL with a query
STORE_WITH_KEY = re.compile(r"^[^\s/]*:[^\s/]*@|^[a-z]+://.*[?#]", re.IGNORECASE)


@dataclass(frozen=True)
class Parameter:
    """One line `name: type = value  # help` of the cell of parameters of a notebook, as it is written there."""

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


# a sweep asks for each of its settings
@lru_cache(maxsize=64)
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
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, kind, value = node.target.id, ast.unparse(node.annotation), node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kind, value = node.targets[0].id, "", node.value
        else:
            continue
        if value is None:
            continue
        # an offset of ast counts bytes of UTF-8
        rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode()
        default = ast.get_source_segment(source, value) or ""
        found[name] = Parameter(name, kind, default, rest.partition("#")[2].strip())
    return found


def check_parameters(given: Mapping[str, Any], notebooks: Iterable[Path]) -> dict[str, Any]:
    """Return the given values in the types that the notebooks declare; a str, as typed in a shell, is parsed.

    Raises ValueError for a name that no notebook has, for a value that holds a secret, for a value of another type,
    and for one that is not among the options of its parameter.
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


def parse_value(parameter: Parameter, value: Any) -> Any:
    """Return the value in the type of its parameter; raise ValueError if it has another type.

    >>> parse_value(Parameter("k_values", "list[int]", "[1, 5]", ""), "[10, 20]")
    [10, 20]
    """
    outer, _, inner = parameter.type.partition("[")
    parse = PARSERS.get(parameter.type) or PARSERS.get(outer)
    # no type, or one that a command line cannot write: taken as it is
    if parse is None:
        return value
    try:
        found = parse(value)
        return [PARSERS[inner.rstrip("]")](entry) for entry in found] if inner else found
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"parameter {parameter.name} is of type {parameter.type}, "
            f"as in {parameter.name}={parameter.default}; found {value!r}"
        ) from error


def default_value(parameter: Parameter) -> Any:
    """Return the default of a parameter, as its notebook has it without papermill."""
    return parse_value(parameter, ast.literal_eval(parameter.default))


def complete_parameters(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of the notebook: those of the given values that it has, and the defaults of the others."""
    return {
        name: values[name] if name in values else default_value(parameter)
        for name, parameter in notebook_parameters(notebook).items()
    }


def check_dataset(text: str) -> str:
    """Return the dataset as the notebooks take it, a path made absolute; raise ValueError if there is no such path."""
    if text.startswith("hf://"):
        return text
    path = Path(text).expanduser()
    # a file keeps its name where it is a link to a file without suffix, as in a Hugging Face cache
    path = path.parent.resolve() / path.name if path.is_file() else path.resolve()
    if path.exists():
        return str(path)
    raise ValueError(
        f"dataset {path} does not exist; expected a folder of images, a table of captions, or hf://owner/name"
    )


def check_model(text: str) -> str:
    """Return the model as the notebooks take it, the path of a folder made absolute.

    Raises ValueError for what is neither a folder with a model nor a Hugging Face id.
    """
    folder = Path(text).expanduser()
    if folder.is_dir() and text != "demo":
        if not (folder / "config.json").is_file():
            raise ValueError(f"model {folder} is not the folder of a model: it holds no config.json")
        return str(folder.resolve())
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", text):
        return text
    raise ValueError(
        f"model {text} does not exist; expected a folder, demo, or a Hugging Face id "
        "such as openai/clip-vit-base-patch32"
    )


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


def _text_list(value: Any) -> list[Any]:
    """Return a list of texts: itself, as JSON, as texts between commas; of an object, each name and value as one."""
    if isinstance(value, str) and value.lstrip()[:1] not in ("[", "{"):
        return [part.strip() for part in value.split(",") if part.strip()]
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        return _list(found)
    return [
        f"{name}={one}"
        for name, ones in found.items()
        for one in (ones if isinstance(ones, list) else [ones])
    ]


PARSERS: dict[str, Callable[[Any], Any]] = {
    "str": _string,
    "int": _integer,
    "float": _number,
    "bool": _truth,
    "list": _list,
    "list[str]": _text_list,
}


def check_secrets(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError if a value is a URL with a user or a password, or contains a key of the environment.

    The message names the parameter and repeats nothing of its value.
    """
    for name, value in parameters.items():
        for text in _texts(value):
            _check_text(name, text)


def _check_text(name: str, text: str) -> None:
    for variable in SECRET_VARIABLES:
        secret = os.environ.get(variable, "")
        if len(secret) >= MIN_SECRET_CHARS and secret in text:
            raise ValueError(
                f"parameter {name} contains the value of {variable}, which must not be written to a file: leave it out"
            )
    is_key = name == "store" and any(map(_is_key, text.partition("://")[2].split("/")[1:]))
    if is_key or URL_WITH_USER.search(text) or (name == "store" and STORE_WITH_KEY.search(text)):
        raise ValueError(
            f"parameter {name} is a URL with a name, a password or a key in it, and parameters are written into "
            "notebooks: give the bare URL, and put the key into the environment, as QDRANT_API_KEY or HF_TOKEN"
        )


def _is_key(part: str) -> bool:
    """Return whether a part of the path of a URL looks like a key: long, of letters and digits; or a JSON token.

    >>> _is_key("qdrant"), _is_key("a8f5f167f44f4964e6c998dee827110c")
    (False, True)
    """
    mixed = any(map(str.isdigit, part)) and any(map(str.isalpha, part))
    return len(part) >= MIN_KEY_CHARS and (mixed or part.startswith("eyJ"))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return _texts(list(value.values()))
    return [text for entry in value for text in _texts(entry)] if isinstance(value, list | tuple) else []
