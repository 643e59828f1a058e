"""What ingest finds on the demo catalogue, against its known faults; how much memory a long source costs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from tests.bench.figures import Figure

if TYPE_CHECKING:
    from mmlab.ingest import IngestResult

ROWS = 200_000
FEW = ">= 0.95"
DIRTY = ("html tags", "html entities", "newlines", "broken encoding")


def faults() -> list[Figure]:
    """Measure precision and recall of each cleaning step on the known faults of the demo catalogue."""
    from mmlab.demo import draw_catalogue
    from mmlab.ingest import Rules, ingest_items

    with TemporaryDirectory() as folder:
        catalogue = draw_catalogue(Path(folder, "catalogue"))
        rules = Rules(refuse=["short text"])
        result = ingest_items(catalogue, cache=Path(folder, "cache"), rules=rules)
        faults = pd.read_csv(catalogue / "faults.csv").astype({"row": "Int64"})
    found = result.images.set_index("source")
    images = {fault: set(group["image"]) for fault, group in faults.groupby("fault")}
    rows = {fault: set(group["row"].dropna()) for fault, group in faults.groupby("fault")}
    refused = found.groupby("outcome").groups
    outcomes = result.outcomes.set_index("row").groupby("outcome").groups
    near = found.index[found["flags"].fillna("").str.contains("near duplicate")]
    broken = {"missing file", "damaged file", "empty file", "not an image"}
    steps = {  # found, known, expected
        "exact duplicates": (refused["duplicate image"], images["exact duplicate"], FEW),
        "near duplicates": (near, images["near duplicate"], ">= 0.9"),
        "broken files": (
            found.index[found["outcome"].isin(broken)],
            images["missing file"] | images["truncated file"],
            FEW,
        ),
        "dirty captions": (result.changes["row"], set().union(*(rows[fault] for fault in DIRTY)), FEW),
        "short captions": (outcomes["short text"], rows["too short"], FEW),
    }
    figures = [figure for name, step in steps.items() for figure in _precision_recall(name, *step)]
    return [*figures, *_restored(result, faults)]


def memory() -> list[Figure]:
    """Peak resident memory and time of ingesting 200,000 rows whose images lie on disk, the first time and again."""
    figures = []
    with TemporaryDirectory() as folder:
        _write_source(Path(folder, "source"))
        for which in ("first", "again"):
            started = time.perf_counter()
            peak = _ingest_apart(Path(folder))
            seconds = time.perf_counter() - started
            figures += [
                Figure(f"ingest {ROWS:,} rows, {which}: memory", peak, "GB", "peak resident", "<= 2"),
                Figure(f"ingest {ROWS:,} rows, {which}: time", seconds, "s"),
            ]
    return figures


def _precision_recall(name: str, found: Iterable, known: set, expected: str) -> list[Figure]:
    found, both = set(found), set(found) & known
    beside = f"{len(known)} known, {len(found)} found"
    return [
        Figure(f"{name}: precision", len(both) / max(len(found), 1), "", beside, expected),
        Figure(f"{name}: recall", len(both) / len(known), "", beside, expected),
    ]


def _restored(result: "IngestResult", faults: pd.DataFrame) -> list[Figure]:
    """Count the dirty captions that are as they were before, and the printed texts that were read."""
    dirty = faults[faults["fault"].isin(DIRTY)].set_index("row")["original"]
    after = result.changes.set_index("row")["after"].reindex(dirty.index)
    printed = faults[faults["fault"] == "text in image"].set_index("image")["original"]
    read = result.items[result.items["origin"] == "ocr"].set_index("pair_id")["text"].reindex(printed.index)
    same = _letters(read.fillna("")) == _letters(printed)
    return [
        Figure("dirty captions: restored exactly", (after == dirty).mean(), "", f"{len(dirty)} known", FEW),
        Figure("printed-only products: any text read", read.notna().mean(), "", f"{len(printed)} known"),
        Figure("printed-only products: recovered", same.mean(), "", "letters equal but for case", ">= 0.8"),
    ]


def _letters(texts: pd.Series) -> pd.Series:
    return texts.str.lower().str.replace(r"\s", "", regex=True)


def _write_source(folder: Path) -> None:
    """200,000 rows, a small JPEG of its own for each."""
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    lines = ["image,caption,price"]
    for number in range(ROWS):
        Image.frombytes("RGB", (48, 48), os.urandom(48 * 48 * 3)).save(folder / f"images/{number:06}.jpg")
        lines.append(f"images/{number:06}.jpg,an image of noise with the number {number},{number}")
    (folder / "captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _ingest_apart(folder: Path) -> float:
    """Ingest in a process of its own and return its peak resident memory in GB."""
    code = (
        "import sys; from mmlab.ingest import ingest_items; "
        "print(ingest_items(sys.argv[1], cache=sys.argv[2], progress=False))"
    )
    command = [sys.executable, "-c", code, str(folder / "source"), str(folder / "cache")]
    with subprocess.Popen(command) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"ingest ended with {process.returncode}")
    return usage.ru_maxrss / 2**20 if sys.platform != "darwin" else usage.ru_maxrss / 2**30
