"""What is done with runs afterwards: run one again and compare the numbers, and find and remove what can go.

All that can go is made again when it is needed, except what a person did: the relevance judgements in the labels.jsonl
of a run.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import RANKING_COLUMNS, Vectors, data, open_image, read_items, read_table
from mmlab.items.files import Checksums
from mmlab.runs.execute.execution import run_notebooks
from mmlab.runs.execute.notebooks import find_notebooks
from mmlab.runs.record.lineage import read_held
from mmlab.runs.record.manifest import Manifest, given_parameters, read_manifest
from mmlab.runs.record.run_files import (
    COMPARISON,
    ITEMS,
    LABELS,
    METRICS,
    NOTEBOOKS,
    QUESTIONS,
    RANKINGS,
    STORE,
    disk_bytes,
    is_locked,
    run_folder,
    run_lock,
    run_names,
)
from mmlab.runs.report.summary import DAMAGE, Metrics, read_metrics, summarize_run

# what 06_visualize makes of the numbers is for a person to look at
VERIFIED = NOTEBOOKS[:5]
# columns that hold how long something took, or what a graph lost, which is another one each time it is built
UNEQUAL = ("_ms", "_s", "seconds", "per_second", "recall")
BY_GRAPH = ("index", "quantized")  # steps of a ranking
TIMED_FIGURES = "03_"
MAX_PIXEL_CHANGE = 0.5
ASIDE = ".removed"  # ends the name of a folder that is being removed
STORE_LOCK = ".line"  # in the folder of a store
# what, before, after
Difference = tuple[str, object, object]


class Verification(NamedTuple):
    """The differences between a run and its second run (file, what, before, after), and the folder of the latter.

    Without a folder no second run was made: the files of the run are not as they were recorded.
    """

    differences: pd.DataFrame
    folder: Path | None


def verify_run(name: str, tolerance: float = 1e-5, progress: bool = True) -> Verification:
    """Run 01 to 05 of a run again with its parameters and empty caches, and return what differs.

    First every file of the run is compared with what was recorded of it; where one differs, nothing is run. The index
    is built in a folder of its own, never on the server that the first run may have used: exact search gives the same
    answers from both. The folder of the second run is removed where nothing differs by more than `tolerance`, and on
    Ctrl-C. Raises ValueError if no notebook of the run has finished, and NotebookFailed if the second run fails.
    """
    held = read_held(name)
    changed = pd.concat([_find_changed(held), find_changed_in_store(run_folder(name))])
    if not changed.empty:
        return Verification(changed, None)
    verified = {step: record for step, record in held["steps"].items() if step in VERIFIED}
    notebooks = [path for path in find_notebooks() if path.stem in verified]
    if not notebooks:
        raise ValueError(f"run {name!r} has no finished notebook of mmlab run: there is nothing to verify")
    again = Path(tempfile.mkdtemp(prefix="verify-", dir=data()))
    given = given_parameters(verified)
    given |= {"store": ""} if "store" in given else {}
    try:
        with data_folder(again), run_lock(again):
            second = run_notebooks(name, given, notebooks, progress=progress)
            records = [*verified.values(), *read_manifest(name)["steps"].values()]
    except KeyboardInterrupt:
        shutil.rmtree(again)
        raise
    files = dict.fromkeys(file for record in records for file in record["writes"])
    found = find_differences(run_folder(name), second, files, tolerance)
    if found.empty:
        shutil.rmtree(again)
    return Verification(found, second)


def _find_changed(held: Manifest) -> pd.DataFrame:
    """Return a row (file, what, before, after) for each file of a run that is not as it was recorded."""
    faults = {**held.get("stale", {}), **held.get("damaged", {})}
    return _table([(file, fault.removeprefix(f"{file} "), "recorded", "") for file, fault in faults.items()])


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Make everything in this folder while the block runs, also in the kernels that it starts."""
    before = os.environ.get("MMLAB_DATA")
    os.environ["MMLAB_DATA"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MMLAB_DATA"]
        else:
            os.environ["MMLAB_DATA"] = before


def find_differences(first: Path, second: Path, files: Iterable[str], tolerance: float) -> pd.DataFrame:
    """Return a row (file, what, before, after) for each thing in which these files of two run folders differ.

    Numbers may differ by `tolerance`, times and what the graph of an index finds as they like: a graph is another one
    each time it is built. A file that only one folder has is a difference. Of rankings two items with the same score
    may change places.
    """
    rows: list[tuple[str, str, object, object]] = []
    for name in files:
        there = [(folder / name).is_file() for folder in (first, second)]
        if all(there):
            compare = _comparison(name)
            rows += [(name, *row) for row in compare(first / name, second / name, tolerance)]
        else:
            before, after = ("there" if found else "missing" for found in there)
            rows.append((name, "file", before, after))
    return _table(rows)


def _table(rows: Sequence[tuple[str, str, object, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["file", "what", "before", "after"])


def _comparison(name: str) -> Callable[[Path, Path, float], Iterator[Difference]]:
    """Return the function that compares files of this name."""
    if name.startswith(f"{RANKINGS}/"):
        return _compare_depths if Path(name).stem in BY_GRAPH else _compare_rankings
    known = {ITEMS: _compare_items, METRICS: _compare_measures}
    kinds = {".arrow": _compare_vectors, ".parquet": _compare_tables, ".png": _compare_figures}
    return known.get(name) or kinds.get(Path(name).suffix, _compare_texts)


def find_changed_in_store(folder: Path) -> pd.DataFrame:
    """Return a row (file, what, before, after) for each file of the run's store that is not as it was built.

    The store keeps the checksums, since its files have other names in each run and are opened without the manifest.
    """
    stores = [Checksums(path.parent) for path in sorted(folder.glob(f"{STORE}/*/{Checksums.NAME}"))]
    return _table(
        [
            ((store.folder / name).relative_to(folder).as_posix(), "bytes", "as built", "others")
            for store in stores
            for name in store.changed(thorough=True)
        ]
    )


def _compare_items(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = (read_items(path).set_index("item_id") for path in (first, second))
    ids, new_ids = set(before.index), set(after.index)
    if ids != new_ids:
        yield "items that the other lacks", len(ids - new_ids), len(new_ids - ids)
        return
    after = after.loc[before.index]
    # an image may lie elsewhere
    for name in before.columns.intersection(after.columns).drop("image"):
        mine, theirs = before[name], after[name]
        there = mine.notna() & theirs.notna()
        different = (mine.notna() != theirs.notna()).sum() + (mine[there] != theirs[there]).sum()
        if different:
            yield f"items with another {name}", 0, int(different)


def _compare_vectors(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = Vectors.load(first), Vectors.load(second)
    if set(before.ids) != set(after.ids):
        yield "vectors", len(before), len(after)
        return
    furthest = np.abs(before.array - after.take(before.ids).array).max(initial=0)
    if furthest > tolerance:
        yield "largest difference of a component", 0.0, float(furthest)


def _compare_rankings(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = (read_table(path, RANKING_COLUMNS)[[*RANKING_COLUMNS]] for path in (first, second))
    both = before.merge(after, on=["query_id", "rank"], how="outer", suffixes=("", "_after"))
    # also where one score is missing
    different = ~((both["score"] - both["score_after"]).abs() <= tolerance)
    if different.any():
        yield "queries with other scores", 0, both.loc[different, "query_id"].nunique()
        return
    both = both.sort_values(["query_id", "rank"], kind="stable")
    falls = both.groupby("query_id")["score"].diff() < -2 * tolerance
    both["tie"] = falls.groupby(both["query_id"]).cumsum()
    # those of the last score may tie with items below the last rank
    both = both[both["tie"] < both.groupby("query_id")["tie"].transform("max")]
    mine, theirs = (
        both[["query_id", "tie", column]].set_axis(["query_id", "tie", "item_id"], axis=1)
        for column in ("item_id", "item_id_after")
    )
    found = mine.merge(theirs, how="outer", indicator="side")
    if changed := found.loc[found["side"] != "both", "query_id"].nunique():
        yield "queries with other items, though their scores do not tie", 0, changed


def _compare_depths(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = (read_table(path, RANKING_COLUMNS).groupby("query_id").size() for path in (first, second))
    if not before.equals(after):
        yield "queries with another number of items", 0, int((before != after.reindex(before.index)).sum())


def _compare_measures(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = (_by_name(read_metrics(path)) for path in (first, second))
    for name in dict.fromkeys([*before, *after]):
        if not _is_near(before.get(name), after.get(name), tolerance):
            yield name, before.get(name), after.get(name)


def _by_name(metrics: Metrics) -> dict[str, Any]:
    """Return every measure by direction and name, and whatever else there is by its place."""
    rest = {key: value for key, value in metrics.items() if key != "measures"}
    measures = {f"{entry['direction']} {entry['measure']}": entry for entry in metrics["measures"]}
    intervals = {
        f"{name} {end}": entry.get(end) for name, entry in measures.items() for end in ("low", "high")
    }
    return {name: entry["value"] for name, entry in measures.items()} | intervals | dict(_leaves(rest))


def _leaves(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of everything in a JSON value that is neither an object nor a list."""
    parts = (
        enumerate(found) if isinstance(found, list) else found.items() if isinstance(found, dict) else None
    )
    if parts is None:
        yield name, found
    for key, value in parts or ():
        yield from _leaves(value, f"{name} {key}".strip())


def _is_near(mine: Any, theirs: Any, tolerance: float) -> bool:
    numbers = all(isinstance(one, int | float) for one in (mine, theirs))
    return mine == theirs or (
        numbers and (abs(mine - theirs) <= tolerance or (mine != mine and theirs != theirs))
    )


def _compare_tables(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    before, after = read_table(first), read_table(second)
    if list(before.columns) != list(after.columns):
        yield "columns", ", ".join(map(str, before.columns)), ", ".join(map(str, after.columns))
    elif len(before) != len(after):
        yield "rows", len(before), len(after)
    else:
        for name in [name for name in before.columns if not str(name).endswith(UNEQUAL)]:
            pairs = zip(map(_plain, before[name]), map(_plain, after[name]), strict=True)
            if different := sum(not _is_near(*pair, tolerance) for pair in pairs):
                yield f"rows with another {name}", 0, different


def _plain(cell: Any) -> Any:
    """Return a number or a text as it is, a list as text, and None for what is missing."""
    if not pd.api.types.is_scalar(cell):
        return str(list(cell))
    return None if pd.isna(cell) else cell


def _compare_figures(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    """Compare the pixels, but of figures that draw times; lines may be drawn a little beside their old places."""
    if first.name.startswith(TIMED_FIGURES):
        return
    before, after = (np.asarray(open_image(path), dtype=np.float32) for path in (first, second))
    if before.shape != after.shape:
        yield "pixels", "{1} x {0}".format(*before.shape), "{1} x {0}".format(*after.shape)
    elif (changed := float(np.abs(before - after).mean())) > MAX_PIXEL_CHANGE:
        yield "mean difference of a pixel, of 255", 0.0, changed


def _compare_texts(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    """Compare the text of a gallery or of a csv line by line; the images in it are compared as files of the dataset."""
    before, after = (
        re.sub(r"data:[^\"']*", "", path.read_text(encoding="utf-8")).splitlines() for path in (first, second)
    )
    if before != after:
        lines = sum(mine != theirs for mine, theirs in zip_longest(before, after))
        yield "lines that differ", 0, lines


@dataclass(frozen=True)
class Removable:
    """A folder that can go.

    `kind` is run, verify, cache or demo; `bytes` its size on the disk; `labels` the judgements by hand in it.
    """

    kind: str
    name: str
    path: Path
    bytes: int
    labels: int

    def row(self) -> dict[str, Any]:
        """Return what `mmlab clean` lists: what, name, MB, labels."""
        megabytes = f"{self.bytes / 1e6:.1f}"
        return {"what": self.kind, "name": self.name, "MB": megabytes, "labels": self.labels or ""}


def find_removable(
    runs: Sequence[str] | None = None, unfinished: bool = False, cache: bool = False, demo: bool = False
) -> list[Removable]:
    """Return the runs of these names (None: all), the unfinished runs, the caches and the demo catalogue.

    The second runs that `mmlab verify` kept go with the unfinished ones. Runs that are still at work stay. Raises
    ValueError for a named run that does not exist or is at work.
    """
    _check_names(runs or ())
    chosen = run_names() if runs is None else list(runs)
    chosen += [name for name in run_names() if unfinished and _is_unfinished(name) and name not in chosen]
    wanted = [("run", run_folder(name)) for name in chosen]
    if unfinished or runs is None:
        wanted += [("verify", path) for path in sorted(data().glob("verify-*")) if not is_locked(path)]
    wanted += [(kind, data() / kind) for kind, asked in (("cache", cache), ("demo", demo)) if asked]
    return [
        Removable(kind, path.name, path, disk_bytes(path), count_labels(path))
        for kind, path in wanted
        if path.is_dir()
    ]


def remove(entries: Sequence[Removable]) -> None:
    """Remove the folders; of a link, only the link.

    A folder is put aside under another name first, so that nobody who still works there puts anything into it.
    """
    for entry in entries:
        for left in entry.path.parent.glob(f".{entry.path.name}.*{ASIDE}"):  # by a removal that was killed
            shutil.rmtree(left, ignore_errors=True)
        if entry.path.is_symlink():
            entry.path.unlink()
            continue
        aside = entry.path.with_name(f".{entry.path.name}.{os.getpid()}{ASIDE}")
        try:
            os.rename(entry.path, aside)
        except OSError:  # a disk of its own
            aside = entry.path
        shutil.rmtree(aside)


def find_stores(entries: Sequence[Removable]) -> list[Path]:
    """Return the folders of the stores in what can go: a kernel may keep one open for its next question."""
    return [
        path.parent
        for entry in entries
        if not entry.path.is_symlink()
        for path in sorted(entry.path.rglob(STORE_LOCK))
    ]


def count_labels(folder: Path) -> int:
    """Return how many judgements by hand that stand, and saved questions, are in a folder and below it."""
    files = [path for name in (LABELS, QUESTIONS) for path in folder.rglob(name) if path.is_file()]
    return sum(_count_standing(path.read_bytes().splitlines()) for path in files)


def _count_standing(lines: Sequence[bytes]) -> int:
    """Return how many answers are judged and not taken back, and names are saved; a line that is neither counts too."""
    standing: dict[object, bool] = {}
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
            judged = "query_id" in row
            key = (row["query_id"], row["item_id"]) if judged else row["name"]
            standing[key] = not judged or row["relevance"] is not None
        except (ValueError, LookupError, TypeError):
            standing[number] = bool(line.strip())
    return sum(standing.values())


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not run_folder(name).is_dir():
            raise ValueError(f"there is no run {name!r}; mmlab list shows those that are there")
        if is_locked(run_folder(name)):
            raise ValueError(f"run {name!r} is at work: stop it, or close the notebook that has it open")


def _is_unfinished(name: str) -> bool:
    if is_locked(run_folder(name)):
        return False
    try:
        found = summarize_run(read_held(name))
        return bool(found.missing) and COMPARISON not in found.steps
    except DAMAGE:
        return True
