"""Random changes of the code, and which of them no test notices: `make bench ONLY=mutants`, by hand.

mutmut's operators, with a few more, say what can be changed in the files of PLACES; some of it is drawn by a seed. Each
change is made in a copy of the project, where the tests that mirror its module run; others may notice what these do
not. Not to come to an end is to notice. `mutmut run` itself changes no constant of a module and no decorated function,
and draws no sample. Another draw:
`MMLAB_MUTANTS="seed=1 number=50 minutes=20 under=mmlab/index/build.py" make bench ONLY=mutants`.
"""

import difflib
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmlab.items.files import project
from tests.bench.figures import Figure
from tests.bench.forked_tests import LOG, run_forked

PLACES = (
    "mmlab/evaluate",
    "mmlab/retrieve/scores",
    "mmlab/retrieve/query",
    "mmlab/index/build.py",
    "mmlab/index/collections.py",
    "mmlab/index/index.py",
    "mmlab/index/store",
    "mmlab/runs/record",
)
MORE_TESTS = {  # than those of its name
    "mmlab/evaluate/losses.py": ("tests/evaluate/test_missed_queries.py",),
    "mmlab/index/store/layout_base.py": (
        "tests/index/store/test_layouts.py",
        "tests/index/store/test_store.py",
    ),
    "mmlab/index/build.py": ("tests/index/test_collections.py",),
    "mmlab/retrieve/query/explain.py": ("tests/retrieve/query/test_rank_changes.py",),
    "mmlab/runs/record/lineage.py": ("tests/runs/report/test_html_report.py",),
    "mmlab/index/store/layouts.py": ("tests/index/test_index.py",),
    "mmlab/runs/record/manifest.py": (
        "tests/runs/record/test_machine.py",
        "tests/runs/report/test_html_report.py",
    ),
}
DRAWN = {"seed": "0", "number": "10", "minutes": "30", "under": "mmlab"}  # number: of each place
PATIENCE = 4, 40  # a change runs out of time after so many times the tests' own seconds, and so many more


def mutants() -> list[Figure]:
    """Draw changes of each place, try them, print those that survive; return how many are killed, by room."""
    given = DRAWN | dict(word.split("=") for word in os.environ.get("MMLAB_MUTANTS", "").split())
    counts: dict[str, Counter[str]] = {}
    until = time.monotonic() + 60 * float(given["minutes"])
    with TemporaryDirectory() as folder:
        copy = _copy_project(Path(folder))
        for place, file, number in _draw(given):
            if time.monotonic() < until:
                before, after = _change(copy / file, number)
                outcome = _try(copy, file, after)
                counts.setdefault("/".join(place.split("/")[:2]), Counter())[outcome] += 1
                if outcome != "killed":
                    _print_difference(f"{outcome}: {file} #{number}", before, after)
    return [
        Figure(
            f"mutants of {room}, noticed",
            1 - found["survived"] / found.total(),
            "",
            _in_words(found),
            "at least .95",
        )
        for room, found in counts.items()
    ]


def _copy_project(folder: Path) -> Path:
    left_out = shutil.ignore_patterns(".*", "__pycache__", "data", "*.egg-info")
    return shutil.copytree(project(), folder / "project", ignore=left_out)


def _draw(given: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Yield the place, the file and the number of each change, those of all places in turns."""
    drawn = []
    for place in PLACES:
        found = project() / place
        files = (
            [found] if found.is_file() else sorted(set(found.rglob("*.py")) - set(found.rglob("__init__.py")))
        )
        names = [file.relative_to(project()).as_posix() for file in files]
        every = [
            (place, name, number)
            for name in names
            if name.startswith(given["under"])
            for number in range(len(find_changes((project() / name).read_text(encoding="utf-8"))[1]))
        ]
        dice = random.Random(f"{given['seed']} {place}")  # noqa: S311 - no secret
        drawn += list(enumerate(dice.sample(every, min(int(given["number"]), len(every)))))
    yield from (change for _, change in sorted(drawn, key=lambda one: one[0]))


@cache
def find_changes(code: str) -> tuple[Any, list[tuple[Any, Any]]]:
    """Parse the code; return the module and each node that can be changed with what it becomes."""
    import libcst

    operators = import_module("tests.bench.mutation_operators")
    module = libcst.parse_module(code)
    visitor = operators.Changes()
    module.visit(visitor)
    return module, visitor.found


def _change(path: Path, number: int) -> tuple[str, str]:
    code = path.read_text(encoding="utf-8")
    module, changes = find_changes(code)
    return code, module.deep_replace(*changes[number]).code


def _try(copy: Path, file: str, code: str) -> str:
    """Return how the tests of a module take its changed code: killed, survived or timeout."""
    tests = _mirror(copy, file)
    limit = _time_unchanged(copy, tests) * PATIENCE[0] + PATIENCE[1]
    original = (copy / file).read_text(encoding="utf-8")
    (copy / file).write_text(code, encoding="utf-8")
    try:
        return run_forked(copy, tests, limit)
    finally:
        (copy / file).write_text(original, encoding="utf-8")


def _mirror(copy: Path, file: str) -> tuple[str, ...]:
    """Return the test files named after a module."""
    path = Path(file)
    folder = copy / "tests" / path.parent.relative_to("mmlab")
    named = sorted(folder.glob(f"test_{path.stem}.py")) + sorted(folder.glob(f"test_{path.stem}_*.py"))
    return *(str(test.relative_to(copy)) for test in named), *MORE_TESTS.get(file, ())


@cache
def _time_unchanged(copy: Path, tests: tuple[str, ...]) -> float:
    started = time.monotonic()
    if run_forked(copy, tests, limit=1800, write_bytecode=True) != "survived":
        print((copy / LOG).read_text(encoding="utf-8"))
        raise RuntimeError(f"{' '.join(tests)} fail on the unchanged code: mend that first")
    return time.monotonic() - started


def _print_difference(title: str, before: str, after: str) -> None:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    print(title, *list(lines)[2:], sep="\n", flush=True)


def _in_words(found: Counter[str]) -> str:
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in ("killed", "survived", "timeout"))
