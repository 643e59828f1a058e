"""Few names, each learnt once: what rooms make public, what files are called, and which words are not used."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import mmlab

PACKAGE = Path(mmlab.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
MAX_PUBLIC, MAX_FILES, MAX_BODY_LINES = 20, 200, 25
# Words that meant several things, or nothing to a reader from outside; the glossary is in mmlab/__init__.py.
BANNED = {
    "askers", "attempts", "bookkeeping", "fold", "gathering", "how", "hows", "judge", "lanes", "ledger", "likes",
    "memo", "oddities", "picture", "pictures", "planted", "recipe", "says", "sides", "steer", "stepwise", "told",
    "twins", "way", "ways", "weigh",
}  # fmt: skip
RIDDLES = re.compile(r"\bpictures?\b|text->image|image->text|\bits like\b", re.IGNORECASE)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_few_public_names_and_all_are_there(room):
    module = import_module(f"mmlab.{room}")
    names = getattr(module, "__all__", [])
    assert len(names) <= MAX_PUBLIC
    assert len(names) == len(set(names))
    assert all(hasattr(module, name) for name in names)


def test_the_package_is_small_enough_to_be_understood():
    assert len(FILES) <= MAX_FILES


def test_a_file_name_occurs_in_one_room_only():
    rooms = {}
    for path in FILES:
        if path.stem not in ("__init__", "__main__"):
            rooms.setdefault(path.stem, set()).add(path.relative_to(PACKAGE).parts[0])
    assert {name: found for name, found in rooms.items() if len(found) > 1} == {}


def names_in(tree):
    """Every identifier that the code defines or gives as a parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def found_in(files, find):
    """What a function finds wrong in the text of each of the files, by the file's name; {} where all are right."""
    found = {str(path.relative_to(PACKAGE)): find(path.read_text(encoding="utf-8")) for path in files}
    return {name: wrong for name, wrong in found.items() if wrong}


def banned_names(code):
    """Identifiers that hold a banned word."""
    parts = {name: set(re.split(r"_+|(?<=[a-z])(?=[A-Z])", name)) for name in names_in(ast.parse(code))}
    return {name for name, words in parts.items() if {word.lower() for word in words} & BANNED}


def long_functions(code):
    """The lines of each body that has too many."""
    long = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if lines > MAX_BODY_LINES:
                long[node.name] = lines
    return long


def test_no_banned_word_names_anything():
    assert banned_names("def told(a): best_way = askMemo = 1") == {"told", "best_way", "askMemo"}
    assert found_in(FILES, banned_names) == {}


def test_no_banned_word_is_written():
    assert RIDDLES.findall("A picture, text->image.") == ["picture", "text->image"]
    assert found_in([path for path in FILES if "demo" not in path.parts], RIDDLES.findall) == {}


def test_functions_are_short():
    body = "    pass\n" * MAX_BODY_LINES
    assert long_functions(f'def f():\n    "doc"\n{body}') == {}
    assert long_functions(f"def f():\n    pass\n{body}") == {"f": MAX_BODY_LINES + 1}
    assert found_in(FILES, long_functions) == {}
