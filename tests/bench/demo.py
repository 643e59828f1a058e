"""How long the demo takes, the first time and again with the vectors cached; how good the demo model is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.figures import Figure

EXPECTED = {"first": 90, "second": 45}  # seconds on 2 cores


def demo() -> list[Figure]:
    """Run `mmlab demo` twice in an empty data folder: seconds in all, and per notebook with its kernel's start."""
    figures = []
    with TemporaryDirectory() as folder:
        for which, limit in EXPECTED.items():
            seconds = _run_demo(Path(folder))
            figures.append(Figure(f"demo {which} time", seconds, "s", "limit on 2 cores", f"<= {limit}"))
            for copy in sorted(Path(folder, "runs", "demo", "notebooks").glob("*.ipynb")):
                took = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["papermill"]["duration"]
                figures.append(Figure(f"demo {which} time {copy.stem}", took, "s"))
    return figures


def demo_model() -> list[Figure]:
    """Success@1 and Success@10 of the demo model on 1,000 products it has never seen, and on withheld combinations."""
    from mmlab.demo import CHECKPOINT
    from mmlab.demo.score import DIRECTIONS, score_checkpoint

    expected = {"Success@1": ">= 0.80", "Success@10": ">= 0.98"}
    return [
        Figure(
            f"demo model {measure}, {direction}", value, "", f"{found['products']} products, {group}", limit
        )
        for group, found in score_checkpoint(CHECKPOINT).items()
        for direction in DIRECTIONS
        for measure, value in found[direction].items()
        for limit in [expected[measure] if group == "all" else ""]
    ]


def _run_demo(folder: Path) -> float:
    environment = {**os.environ, "MMLAB_DATA": str(folder), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mmlab", "demo"], env=environment, check=True)
    return time.perf_counter() - started
