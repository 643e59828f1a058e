"""A run that is killed again and again, with all its kernels: what is lost, and what is left behind."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from mmlab.items.files import file_hash
from tests.bench.figures import Figure

MOMENTS = random.SystemRandom()
KILLS, PRODUCTS = 30, 100
SAME = ("items.parquet", "vectors/*.arrow", "rankings/**/*.parquet", "per_query/*.parquet", "metrics.json")


def kills() -> list[Figure]:
    """Run a small catalogue undisturbed, and again with 30 kills at random moments; compare the files."""
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "MMLAB_DATA": folder, "HF_HUB_OFFLINE": "1"}
        demo = [sys.executable, "-m", "mmlab", "demo", "--products", str(PRODUCTS), "--name"]
        started = time.perf_counter()
        subprocess.run([*demo, "whole"], env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        killed = kill_often([*demo, "killed"], KILLS, seconds, environment)
        subprocess.run([*demo, "killed"], env=environment, check=True, capture_output=True)
        whole, again = (Path(folder, "runs", name) for name in ("whole", "killed"))
        left = left_behind(again)
        return [
            Figure("kills of a run", killed, "kills", f"a run of {seconds:.0f} s", f"{KILLS}"),
            Figure("files that differ", len(differing(whole, again)), "files", "the undisturbed run", "0"),
            Figure("files left behind", len(left), "files", ", ".join(left) or "marks, halves", "0"),
        ]


def kill_often(
    command: Sequence[str], count: int, seconds: float, environment: Mapping[str, str] | None = None
) -> int:
    """Start the command `count` times and kill it, with all that it started, within so many seconds.

    Returns how often it was killed: it may end before. Raises CalledProcessError if it fails.
    """
    killed = 0
    for _ in range(count):
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, told = child.communicate(timeout=MOMENTS.uniform(seconds / 20, seconds))
        except subprocess.TimeoutExpired:
            process = psutil.Process(child.pid)
            kernels = process.children(recursive=True)
            for one in [process, *kernels]:
                one.kill()
            child.communicate()
            psutil.wait_procs(kernels, timeout=60)  # they hold the run for as long as they are ending
            killed += 1
        else:
            if child.returncode:
                raise subprocess.CalledProcessError(child.returncode, command, stderr=told)
    return killed


def differing(whole: Path, again: Path) -> list[str]:
    """The files of two folders of runs that are not the same, byte by byte, or are in one of them only."""
    names = {str(path.relative_to(run)) for run in (whole, again) for kind in SAME for path in run.glob(kind)}
    return sorted(
        name
        for name in names
        if not all((run / name).is_file() for run in (whole, again))
        or file_hash(whole / name) != file_hash(again / name)
    )


def left_behind(folder: Path) -> list[str]:
    """What killed processes left in a run's folder: marks, and files that were being written.

    Locks are no such, nor the file that says who had the store open, which a kernel that is ended leaves as well.
    """
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob(".*")
        if path.name not in (".lock", ".line", ".holder.json", ".manifest.lock")
    )
