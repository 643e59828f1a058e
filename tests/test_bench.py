import json
import subprocess
import sys
from importlib import import_module

from mmlab.items.files import project
from tests.bench.__main__ import ENTRIES
from tests.bench.figures import Figure, format_table, keep
from tests.bench.mutants import find_changes


def test_every_entry_is_a_function():
    for target in ENTRIES.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))


def test_the_table_is_aligned():
    figures = [
        Figure("store, single queries", 1234.5678, "queries/s", "Edge", "at least 1"),
        Figure("a", 0.5, "s"),
    ]
    assert format_table(figures).splitlines() == [
        "name                   value  unit       compared with  expected",
        "---------------------  -----  ---------  -------------  ----------",
        "store, single queries  1,235  queries/s  Edge           at least 1",
        "a                      0.5    s",
    ]


def test_an_entrys_figures_replace_its_last_ones(tmp_path):
    path = tmp_path / "bench" / "results.json"
    keep("a", [Figure("x", 1.0, "s"), Figure("x", 2.0, "times")], path)
    keep("b", [Figure("y", 3.0, "s")], path)
    keep("a", [Figure("x", 4.0, "s")], path)
    kept = json.loads(path.read_text())
    assert {entry: [figure["value"] for figure in found["figures"]] for entry, found in kept.items()} == {
        "a": [4.0],
        "b": [3.0],
    }
    assert set(kept["a"]) == {"date", "machine", "versions", "figures"}


def test_an_unknown_entry_is_named():
    command = [sys.executable, "-m", "tests.bench", "demo", "spped"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project(), check=False)
    assert done.returncode == 2
    assert done.stderr == f"bench: no entry 'spped'; known: {', '.join(ENTRIES)}\n"


CODE = '''LEAST = 3

@cache
def enough(rows: list[int], least: int = 2) -> bool:
    """Whether there are enough."""
    if len(rows) < LEAST:
        raise ValueError("expected more of them")
    check(rows)
    return all(row > least for row in sorted(rows, key=1.5))
'''


def test_changes_are_of_what_code_does_not_of_its_words():
    module, changes = find_changes(CODE)
    made = [module.deep_replace(*change).code for change in changes]
    for before, after in (
        ("LEAST = 3", "LEAST = 4"), ("LEAST = 3", "LEAST = 2"), ("least: int = 2", "least: int = 3"),
        ("rows) < LEAST", "rows) <= LEAST"), ("row > least", "row >= least"), ("all(", "any("), ("1.5", "3.0"),
        ("if len(rows) < LEAST:", "if not (len(rows) < LEAST):"), ("    check(rows)", "    pass"),
        ("sorted(rows, key=1.5)", "list(rows, key=1.5)"), ("rows, key=1.5", "rows, "),
    ):  # fmt: skip
        assert CODE.replace(before, after) in made, after
    for kept in (
        "@cache",
        "list[int]",
        "-> bool",
        "Whether there are enough.",
        'raise ValueError("expected more',
    ):
        assert all(kept in code for code in made)


RUN = """
from pathlib import Path
from tests.bench import forked_tests
forked_tests.LOADED = ("pytest",)
for name, limit in (("good", 60), ("bad", 60), ("slow", 3)):
    print(forked_tests.run_forked(Path({folder!r}), (f"test_{{name}}.py",), limit))
"""


def test_a_change_is_noticed_by_a_failure_or_by_no_end(tmp_path):
    for name, code in {"good": "pass", "bad": "assert 0", "slow": "__import__('time').sleep(60)"}.items():
        (tmp_path / f"test_{name}.py").write_text(f"def test_it():\n    {code}\n")
    command = [sys.executable, "-c", RUN.format(folder=str(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project(), check=True)
    assert done.stdout.split() == ["survived", "killed", "timeout"]
