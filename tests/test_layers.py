"""Imports go downwards only, and nothing heavy is loaded before it is used: the table of the architecture."""

import ast
import subprocess
import sys
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
    "cli": {"items", "index", "visualize", "runs", "demo"},
}
HEAVY = {
    "PIL", "datasets", "faiss", "httpcore", "httpx", "imagehash", "ipywidgets", "IPython", "jinja2", "jscatter", "lxml",
    "matplotlib", "nbconvert", "nbformat", "papermill", "pytesseract", "qdrant_client", "qdrant_edge", "scipy",
    "sentence_transformers", "sklearn", "torch", "transformers", "umap",
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


def test_there_is_no_way_back_up():
    for room, seen in SEES.items():
        assert all(room not in SEES[other] for other in seen)


@pytest.mark.parametrize("room", [room for room in SEES if room != "demo"])
def test_importing_a_room_loads_nothing_heavy(room):
    code = f"import sys, mmlab.{room}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "\n"


def test_importing_mmlab_loads_nothing_but_itself():
    code = "import sys; before = set(sys.modules); import mmlab; print(*(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "mmlab\n"
