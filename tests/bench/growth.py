"""How time and memory of each notebook grow with the dataset: demos of four times as many products each, and a picture.

`make bench ONLY=growth` goes to 6,000 products, `make bench ONLY=growth PRODUCTS=24000` further.
"""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mmlab.items import data
from tests.bench.figures import Figure

FEWEST, MOST = 1500, 6000  # products
SECONDS_BETWEEN = 0.2
LIMITS = {"04_retrieve": 120, "05_evaluate": 45}  # seconds for 24,000 products on 2 cores
GIGABYTES = 3  # of each kernel, likewise
AXES = {"seconds": "seconds", "gigabytes": "most GB in the kernel"}


def growth() -> list[Figure]:
    """Run demos of 1,500 products, four times as many, and so on; draw growth.png, return the figures of the largest.

    The exponent of a notebook is the slope, both axes logarithmic, between the largest two.
    """
    most = int(os.environ.get("PRODUCTS", MOST))
    sizes = [size for size in FEWEST * 4 ** np.arange(5) if size <= most]
    table = pd.concat([measure_demo(int(size)) for size in sizes], ignore_index=True)
    draw(table, data() / "growth.png")
    figures = []
    for name, rows in table.groupby("notebook"):
        first, last = rows.iloc[-2], rows.iloc[-1]
        size = f"{last['items']:,} items"
        is_limited = last["products"] == 24_000
        limits = {"seconds": LIMITS.get(str(name)), "gigabytes": GIGABYTES}
        for measure, unit in (("seconds", "s"), ("gigabytes", "GB")):
            expected = f"<= {limits[measure]}" if is_limited and limits[measure] else ""
            figures.append(Figure(f"growth {name}, {measure}", last[measure], unit, size, expected))
            slope = exponent(first, last, measure)
            figures.append(Figure(f"growth {name}, exponent of {measure}", slope, "", size))
    return figures


def exponent(first: pd.Series, last: pd.Series, measure: str) -> float:
    """The power of the number of items by which a measure grew from one demo to another."""
    return float(np.log(last[measure] / first[measure]) / np.log(last["items"] / first["items"]))


def measure_demo(products: int) -> pd.DataFrame:
    """Run a demo in an empty data folder: products, items, notebook, seconds, gigabytes (the most in its kernel)."""
    with TemporaryDirectory() as folder:
        samples = watch([sys.executable, "-m", "mmlab", "demo", "--products", str(products)], Path(folder))
        run = Path(folder, "runs", "demo")
        items = len(pd.read_parquet(run / "items.parquet", columns=["item_id"]))
        copies = sorted((run / "notebooks").glob("*.ipynb"))
        rows = [(products, items, copy.stem, *time_and_memory(copy, samples)) for copy in copies]
    return pd.DataFrame(rows, columns=["products", "items", "notebook", "seconds", "gigabytes"])


def watch(command: list[str], folder: Path) -> pd.DataFrame:
    """Run a command with this data folder and look at its kernels: time, started, bytes, own_bytes, cpu (seconds).

    bytes: all that is resident, also of mapped files, which the system drops when it needs room; own_bytes: the rest.
    """
    import psutil

    rows = []
    environment = {**os.environ, "MMLAB_DATA": str(folder), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            for child in psutil.Process(process.pid).children():
                try:
                    if "ipykernel_launcher" in child.cmdline():
                        cpu = sum(child.cpu_times()[:2])
                        memory = child.memory_info()
                        own = memory.rss - getattr(memory, "shared", 0)
                        rows.append((time.time(), child.create_time(), memory.rss, own, cpu))
                except psutil.Error:  # it has ended
                    continue
            time.sleep(SECONDS_BETWEEN)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return pd.DataFrame(rows, columns=["time", "started", "bytes", "own_bytes", "cpu"])


def time_and_memory(copy: Path, samples: pd.DataFrame, column: str = "bytes") -> tuple[float, float]:
    """Seconds of an executed notebook, and the most gigabytes of its kernel; see `own_samples`."""
    seconds, own = own_samples(copy, samples)
    return seconds, own[column].max() / 1e9


def own_samples(copy: Path, samples: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Seconds of an executed notebook, and the samples of the kernel that worked most in that time."""
    ran = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["papermill"]
    start, end = (datetime.fromisoformat(ran[name]).timestamp() for name in ("start_time", "end_time"))
    kernels = [own for _, own in samples[samples["time"].between(start, end)].groupby("started")]
    return ran["duration"], max(kernels, key=lambda own: np.ptp(own["cpu"]))


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw time and memory over the number of items, both axes logarithmic, a line for each notebook."""
    from matplotlib.ticker import LogLocator, NullFormatter

    from mmlab.visualize import figure
    from mmlab.visualize.curves import SERIES_MARKERS, STROKES
    from mmlab.visualize.style import COLOURS, name_axes, render_png

    fig, axs = figure(2, width=12, height=3.6)
    sizes = sorted(table["items"].unique())
    for ax, (measure, words) in zip(axs, AXES.items(), strict=True):
        for number, (name, rows) in enumerate(table.groupby("notebook")):
            power = exponent(rows.iloc[-2], rows.iloc[-1], measure)
            style = {"marker": SERIES_MARKERS[number], "linestyle": STROKES[number], "color": COLOURS[number]}
            ax.plot(rows["items"], rows[measure], markersize=5, label=f"{name}: n^{power:.2f}", **style)
        ax.set(xscale="log", yscale="log")
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter(NullFormatter())
        ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        name_axes(ax, "n: images and texts", words)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render_png(fig, "How time and memory of each notebook grow with the dataset"))
