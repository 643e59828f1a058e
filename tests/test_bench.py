import json
import subprocess
import sys
from importlib import import_module

from mmlab.items.files import project
from tests.bench.__main__ import ENTRIES
from tests.bench.figures import Figure, format_table, keep


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
