"""How long a sweep takes beside one run: 8 settings over the demo catalogue, the same dataset and model."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from mmlab.demo import draw_catalogue
from tests.bench.figures import Figure

PRODUCTS = 1500
GRIDS = {  # 8 settings each: of the searches only, and of the index as well
    "04": "{k: [4, 8], depth: [50, 100], exact: [true, false]}",
    "03": "{hnsw_m: [16, 64], hnsw_ef_construct: [64, 128], ef: [20, 50]}",
}
LIMIT = 2.5  # times one run


def sweep() -> list[Figure]:
    """Seconds of one run and of 8 settings, each with empty caches, and their ratio.

    The settings differ from 04 on (the figure that is asked for) or from 03 on. The one run is timed before, between
    and after the sweeps, the mean of the two around a sweep is held against it: a machine's pace drifts in minutes.
    """
    with TemporaryDirectory() as folder:
        catalogue = draw_catalogue(Path(folder) / "catalogue", products=PRODUCTS, progress=False)

        def once(place: int) -> float:
            return _time(Path(folder) / f"{place}", "run", "--dataset", str(catalogue), "--name", "once")

        before, figures = once(0), []
        for place, (first, grid) in enumerate(GRIDS.items(), start=1):
            file = Path(folder) / f"from-{first}.yaml"
            file.write_text(f"parameters: {{dataset: {catalogue}, models: [demo]}}\ngrid: {grid}\n")
            took, after = _time(Path(folder) / first, "sweep", str(file)), once(place)
            one = (before + after) / 2
            figures += [
                Figure(
                    f"sweep, one run beside that from {first} on", one, "s", f"{before:.0f} and {after:.0f} s"
                ),
                Figure(f"sweep, 8 settings from {first} on", took, "s", f"{PRODUCTS} products, demo model"),
                Figure(f"sweep, 8 settings from {first} on, by one run", took / one, "", "", f"<= {LIMIT}"),
            ]
            before = after
    return figures


def _time(data: Path, *arguments: str) -> float:
    environment = {**os.environ, "MMLAB_DATA": str(data), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mmlab", *arguments], env=environment, check=True)
    return time.perf_counter() - started
