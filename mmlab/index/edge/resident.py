"""What an open shard takes: run as a process of its own, which opens it, searches, and prints the bytes it grew by.

Standard input: a line of JSON, then the rows as float32. Measured by the resident set, so that pages of files that were
mapped and read are counted.
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from mmlab.index.edge.convert import requests
from mmlab.index.store.engine import Search

TIMEOUT = 600  # seconds


def measure_resident(shard: str, rows: np.ndarray, how: Search) -> int:
    """The bytes that a fresh process needs to open a shard and search the rows (Q, D); nobody else may have it open.

    Raises RuntimeError with the last words of a process that failed.
    """
    import subprocess

    told = {"shard": shard, "dimension": rows.shape[1], "how": asdict(how)}
    given = json.dumps(told).encode() + b"\n" + rows.astype(np.float32).tobytes()
    command = [sys.executable, "-m", __spec__.name]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=TIMEOUT, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"measuring the memory of {shard} took more than {TIMEOUT} s") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            f"exit code {done.returncode}"
        ]
        raise RuntimeError(f"the process that was to measure the memory of {shard} failed: {last[0]}")
    return int(done.stdout)


def _main(told: dict[str, Any], rows: np.ndarray) -> None:
    import psutil
    from qdrant_edge import EdgeShard

    asked = requests(Search(**told["how"]), None)
    before = psutil.Process().memory_info().rss
    shard = EdgeShard.load(told["shard"])
    for row in rows.tolist():
        shard.query(asked(row))
    print(psutil.Process().memory_info().rss - before)  # noqa: T201 - what the parent reads


if __name__ == "__main__":
    TOLD = json.loads(sys.stdin.buffer.readline())
    _main(TOLD, np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, TOLD["dimension"]))
