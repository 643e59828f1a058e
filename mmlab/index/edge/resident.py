"""The memory an open shard takes: run as a process of its own, which opens it, searches, and prints what it grew by.

Standard input: a line of JSON, then the rows as float32. The resident set is measured, so that pages of files that
were mapped and read count.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from mmlab.index.edge.convert import to_requests
from mmlab.index.store.engine import Search

TIMEOUT_SECONDS = 600


def measure_resident(shard: str, rows: np.ndarray, search: Search) -> int:
    """Return the bytes a fresh process needs to open a shard and search the rows (Q, D).

    No other process may have the shard open. Raises RuntimeError with the last line that a failed process wrote.
    """
    arguments = {"shard": shard, "dimension": rows.shape[1], "search": asdict(search)}
    given = json.dumps(arguments).encode() + b"\n" + rows.astype(np.float32).tobytes()
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603
            command, input=given, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"measuring the memory of {shard} took more than {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {done.returncode}"
        raise RuntimeError(f"the process to measure the memory of {shard} failed: {last}")
    return int(done.stdout)


def _main(arguments: dict[str, Any], rows: np.ndarray) -> None:
    import psutil
    from qdrant_edge import EdgeShard

    make_request = to_requests(Search(**arguments["search"]), None)
    before = psutil.Process().memory_info().rss
    shard = EdgeShard.load(arguments["shard"])
    for row in rows.tolist():
        shard.query(make_request(row))
    print(psutil.Process().memory_info().rss - before)  # noqa: T201 - what the parent reads


if __name__ == "__main__":
    ARGUMENTS = json.loads(sys.stdin.buffer.readline())
    ROWS = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, ARGUMENTS["dimension"])
    _main(ARGUMENTS, ROWS)
