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
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlab.items.files import project, resolve
from mmlab.items.options import Kind, Many, Number, Text, Truth, Whole, check_value, read_value
from mmlab.items.parameter_table import PARAMETERS, URL, Parameter, check_together

SECRET_VARIABLES = ("QDRANT_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# a shorter value occurs in many words
MIN_SECRET_CHARS = 6
# of a part of the path of a URL that looks like a key
MIN_KEY_CHARS = 16
# a URL with the name or the password of a user
# no pattern goes back far: a value may be long
URL_WITH_USER = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s/?#@]*@", re.IGNORECASE)
# the same without a scheme, or a URL with a query
STORE_WITH_KEY = re.compile(r"^[^\s/:]*:[^\s/@]*@|^[a-z]+://.*[?#]", re.IGNORECASE)
# of parameters that are in no table, in a notebook of one's own
KINDS: dict[str, Kind] = {kind.type: kind for kind in (Text(), Whole(), Number(), Truth(), Many(None, 0))}
KINDS |= {many.type: many for many in (Many(kind, 0) for kind in KINDS.values())}


def notebook_parameters(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters of one notebook by name; empty if no cell is tagged `parameters`.

    The cell is read as text, without papermill: a notebook calls this when it begins, and importing papermill takes
    seconds. Raises ValueError if the file is no notebook, or the cell is not Python.
    """
    return dict(_parse_notebook(notebook, notebook.stat().st_mtime_ns))


def values_from_namespace(notebook: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the parameters of the notebook called `notebook` have in its namespace.

    The notebook is looked for in the current folder, then in the project. Raises FileNotFoundError if it is in
    neither, and ValueError if a parameter has no value yet, or one that it cannot have.
    """
    folders = (Path.cwd(), project() / "notebooks")
    found = [path for folder in folders if (path := folder / f"{notebook}.ipynb").is_file()]
    if not found:
        raise FileNotFoundError(
            f"no {notebook}.ipynb in {folders[0]} or {folders[1]}: its parameters are not known"
        )
    known = notebook_parameters(found[0])
    if missing := [name for name in known if name not in namespace]:
        raise ValueError(
            f"{notebook}: no value for {', '.join(missing)}; save the notebook and run its cell of parameters first"
        )
    values = {name: namespace[name] for name in known}
    check_secrets(values)
    for name, parameter in known.items():
        check_value(name, values[name], parameter.kind)
    return values


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
        help_ = rest.partition("#")[2].strip()
        found[name] = Parameter(name, _kind_of(name, kind), ast.literal_eval(value), help_)
    return found


def _kind_of(name: str, declared: str) -> Kind | None:
    """Return the kind of a parameter: that of the table, unless a notebook of one's own declares another type."""
    known = PARAMETERS[name].kind if name in PARAMETERS else None
    same = known and known.type.partition("[")[0] == declared.partition("[")[0]
    return known if same else KINDS.get(declared)


def check_parameters(
    given: Mapping[str, Any], notebooks: Iterable[Path], before: Iterable[Path] = ()
) -> dict[str, Any]:
    """Return the given values in the types that the notebooks declare; a str, as typed in a shell, is parsed.

    `before`: notebooks that are not run. Raises ValueError for a name that no notebook has, for one that only those
    have which are not run, for a value that holds a secret, and for one that its parameter cannot have.
    """
    check_secrets(given)
    known, earlier = _by_name(notebooks), _by_name(before)
    for name in given:
        if name not in known:
            raise ValueError(_not_run(name, before) if name in earlier else _unknown(name, sorted(known)))
    return {name: read_value(name, value, known[name].kind) for name, value in given.items()}


def _by_name(notebooks: Iterable[Path]) -> dict[str, Parameter]:
    return {name: one for path in notebooks for name, one in notebook_parameters(path).items()}


def _not_run(name: str, before: Iterable[Path]) -> str:
    owners = [path.stem for path in before if name in notebook_parameters(path)]
    verb = "is" if len(owners) == 1 else "are"
    return (
        f"parameter {name} is of {' and '.join(owners)}, which {verb} not run, and would change nothing: leave it out, "
        f"or run from {owners[0][:2]} on"
    )


def complete_parameters(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of the notebook: those of the given values that it has, and the defaults of the others."""
    return {
        name: values.get(name, parameter.default) for name, parameter in notebook_parameters(notebook).items()
    }


def check_all(notebooks: Sequence[Path], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each notebook, complete; raise ValueError where values of one do not go together."""
    complete = [complete_parameters(notebook, values) for notebook in notebooks]
    for known in complete:
        check_together(known)
    return complete


def check_files(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the files that they name made absolute; raise ValueError for what is not there.

    A relative path starts at the current folder, as it is typed, else at the project.
    """
    checks = {
        "dataset": check_dataset,
        "captioner": check_model,
        "replacements": check_replacements,
        "space": _whole_path,
    }
    found: dict[str, Any] = {name: check(values[name]) for name, check in checks.items() if values.get(name)}
    if "models" in values:
        found["models"] = [check_model(model) for model in values["models"]]
    return {**values, **found}


def _whole_path(model: str) -> str:
    """Return the path of a model's folder made absolute; any other name as it is: its model need not be here."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() and model != "demo" else model


def check_replacements(text: str) -> str:
    """Return the absolute path of the file; raise ValueError where there is none."""
    places = (Path(text).expanduser().resolve(), resolve(text))
    if found := [path for path in places if path.is_file()]:
        return str(found[0])
    raise ValueError(
        f"parameter replacements: there is no file {places[0]}; expected a csv with find and replace"
    )


def check_dataset(text: str) -> str:
    """Return the dataset as the notebooks take it, a path made absolute; raise ValueError if there is no such path."""
    check_value("dataset", text, PARAMETERS["dataset"].kind)
    if text.startswith("hf://") or URL.fullmatch(text):
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
    check_value("models", [text], PARAMETERS["models"].kind)
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
