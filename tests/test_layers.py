"""Imports go downwards only, and nothing heavy is loaded before it is used: the table of the architecture."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mmlab

PACKAGE = Path(mmlab.__file__).parent
SEES = {
    "items": set(),
    "ingest": {"items"},
    "embed": {"items"},
    "index": {"items"},
    "retrieve": {"items", "embed", "index", "evaluate"},
    "evaluate": {"items"},
    "visualize": {"items"},
    "panels": {"items", "retrieve", "evaluate", "visualize"},
    "demo": {"items"},
    "runs": {"items", "visualize"},
    "workbench": {
        "items", "ingest", "embed", "index", "retrieve", "evaluate", "visualize", "panels", "runs",
    },
    "cli": {"items", "ingest", "index", "visualize", "runs", "workbench", "demo"},
}  # fmt: skip
# The sub-folders of a room from the ground up, with the files that they build on: each sees those before it.
ORDER = {
    "ingest": [
        "findings_cache",
        "rules",
        "dataset_files",
        "sources",
        "images",
        "texts",
        "first_look",
        "outcomes",
        "ingest_result",
    ],
    "embed": ["models"],
    "index": ["store", "engines", "collections", "index", "build", "bench"],
    "evaluate": ["measures", "resampling", "paired_comparison", "losses", "suspected"],
    "retrieve": ["scores", "query", "pipeline", "query_trials", "score_studies", "weight_study"],
    "runs": ["record", "report", "execute"],
}
# What takes a twentieth of a second or more to import, or comes with an optional extra. numpy, pandas and pyarrow are
# loaded with `mmlab.items`: every room works with tables.
HEAVY = {
    "datasets", "duckdb", "embedding_atlas", "faiss", "httpcore", "httpx", "imagehash", "IPython", "ipywidgets",
    "jinja2", "jscatter", "jupyter_client", "lxml", "matplotlib", "nbclient", "nbconvert", "nbformat", "numba",
    "openvino", "papermill", "PIL", "pypdfium2", "pytesseract", "qdrant_client", "qdrant_edge", "ray",
    "scipy", "sentence_transformers", "sklearn", "torch", "transformers", "umap",
}  # fmt: skip


def modules(room):
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def imported_rooms(file):
    """The rooms of mmlab that a file imports, anywhere in it; an import of mmlab itself counts as none."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full, as from mmlab.items import ..."
            names = [f"{node.module}.{name}" if node.module == "mmlab" else node.module for name in names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("mmlab.")}
    return rooms & SEES.keys()


def test_every_room_has_its_row():
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.is_dir() or path.suffix == ".py") and path.stem[0] not in "_."
    }
    assert rooms == SEES.keys()


@pytest.mark.parametrize("room", SEES)
def test_a_room_imports_only_what_it_sees(room):
    wrong = {
        str(file.relative_to(PACKAGE)): imported_rooms(file) - SEES[room] - {room} for file in modules(room)
    }
    assert {file: rooms for file, rooms in wrong.items() if rooms} == {}


def imported_modules(file):
    """The modules of mmlab that a file imports, anywhere in it: in functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES else node.module for name in names}
    return found & FILES.keys()


def module_of(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {module_of(file): file for file in PACKAGE.rglob("*.py")}


@cache
def imports():
    """Each module with those that it imports; mmlab, for its version and its two names for users, is left out."""
    return {module: imported_modules(file) - {"mmlab"} for module, file in FILES.items() if module != "mmlab"}


def test_every_sub_folder_has_its_place():
    folders = {room: {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")} for room in SEES}
    assert {room for room in SEES if folders[room]} == ORDER.keys()
    for room, order in ORDER.items():
        assert folders[room] <= set(order)
        assert all(f"mmlab.{room}.{name}" in FILES for name in order)


@pytest.mark.parametrize(("room", "name"), [(room, name) for room, order in ORDER.items() for name in order])
def test_a_sub_folder_imports_only_those_below_it(room, name):
    own = f"mmlab.{room}.{name}"
    allowed = [f"mmlab.{room}.{other}" for other in ORDER[room][: ORDER[room].index(name) + 1]]
    wrong = {
        (module, target)
        for module, targets in imports().items()
        if is_in(module, [own])
        for target in targets
        if is_in(target, [f"mmlab.{room}"]) and not is_in(target, allowed)
    }
    assert wrong == set()


def is_in(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_no_file_imports_itself_by_way_of_others():
    with pytest.raises(CycleError, match="nodes are in a cycle"):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    TopologicalSorter(imports()).prepare()


def test_nobody_imports_the_names_for_users():
    for module, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "mmlab":
                assert not {alias.name for alias in node.names} & set(mmlab.__all__), module


def test_there_is_no_way_back_up():
    for room, seen in SEES.items():
        assert all(room not in SEES[other] for other in seen)


def test_importing_a_room_loads_nothing_heavy():
    """One process for all: what no room may load, the rooms before it have not loaded either.

    Panels are made of widgets; the room is imported when a panel is opened.
    """
    rooms = [*(room for room in SEES if room not in ("demo", "panels")), "workbench.run", "panels"]
    code = "import sys, importlib\n"
    code += f"for room in {rooms}:\n"
    code += (
        f"    importlib.import_module('mmlab.' + room); print(room, *sorted({HEAVY!r} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split("\n") == [*rooms[:-1], "panels IPython ipywidgets", ""]


def loading_places(node, place=""):
    """Yield (library, function) for each import of a file; what only type checkers read does not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], place) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module.split(".")[0], place
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from loading_places(child, f"{place}.{child.name}" if inside else place)


def test_a_file_loads_a_heavy_library_in_one_place():
    code = "import torch\nif TYPE_CHECKING:\n    import umap\ndef f():\n    from torch import nn\n    import faiss"
    assert set(loading_places(ast.parse(code))) == {("torch", ""), ("torch", ".f"), ("faiss", ".f")}
    several = set()  # so that one can see when it is loaded
    for file in FILES.values():
        places = set(loading_places(ast.parse(file.read_text(encoding="utf-8"))))
        for library in HEAVY:
            if sum(loaded == library for loaded, _ in places) > 1:
                several.add((file.relative_to(PACKAGE).as_posix(), library))
    assert several == set()


def test_importing_mmlab_loads_nothing_but_itself():
    code = "import sys; before = set(sys.modules); import mmlab; print(*(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in answer.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"mmlab"}
    assert [name for name in answer.stdout.split() if name.startswith("mmlab.")] == []
