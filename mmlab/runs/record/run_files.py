"""Where the files of a run lie, what they are called, and which notebook writes each of them."""

import os
import re
from pathlib import Path

from mmlab.items import data

NOTEBOOKS = ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize")
COMPARISON = "08_compare"

# in the folder of a run
MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SKIPPED = "skipped.parquet"
VECTORS = "vectors"
STORE = "store"
INDEX = "index.parquet"
RANKINGS = "rankings"
PER_QUERY = "per_query"
METRICS = "metrics.json"
MAP = "map.html"
# written by a person, one line for each relevance judgement
LABELS = "labels.jsonl"
EXECUTED = "notebooks"
INDEX_PAGE = "index.html"

WRITERS = {
    ITEMS: "01_ingest",
    SKIPPED: "01_ingest",
    VECTORS: "02_embed",
    INDEX: "03_index",
    RANKINGS: "04_retrieve",
    PER_QUERY: "05_evaluate",
    METRICS: "05_evaluate",
}

# a name that ends like a page would clash with `data/runs/index.html`
RUN_NAME = re.compile(r"(?!.*\.html?\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.IGNORECASE)


def run_folder(name: str) -> Path:
    """Return the folder of the run called `name`, whether it exists or not.

    Raises ValueError if `name` cannot be the name of a run.

    >>> run_folder("photos").parts[-2:]
    ('runs', 'photos')
    """
    if not isinstance(name, str) or not RUN_NAME.fullmatch(name):
        raise ValueError(
            "a run's name is 1 to 100 letters, digits, '.', '_' or '-', not starting with '.' or '-' "
            f"and not ending in .html; found {name!r}"
        )
    return data() / "runs" / name


def run_names() -> list[str]:
    """Return the names of all runs in `data/runs`, also of those in which no notebook has finished yet."""
    found = {path.parent for sign in (MANIFEST, EXECUTED) for path in (data() / "runs").glob(f"*/{sign}")}
    return sorted(path.name for path in found if RUN_NAME.fullmatch(path.name))


def executed_copy(name: str, notebook: str) -> Path:
    """Return the path of the executed copy of the notebook called `notebook` in a run."""
    return run_folder(name) / EXECUTED / f"{notebook}.ipynb"


def disk_bytes(folder: Path) -> int:
    """Return the bytes that the files of a folder take on the disk.

    A file with several names counts once in each folder that holds one of them.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            size = os.lstat(os.path.join(parent, name))
            total += 512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size
    return total
