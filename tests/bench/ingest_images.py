"""Measuring images against decoding them; near duplicates: how many are found, and how long it takes."""

import base64
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mmlab.demo import draw_catalogue
from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.images.quality import measure_images, near_duplicates
from mmlab.ingest.rules import Rules
from tests.bench.figures import Figure

IMAGES, WIDTH, HEIGHT, QUALITY = 5_000, 640, 480, 90
ROUNDS = 3
PRODUCTS, SEEDS = 1_500, (0, 2)  # the bounds were tuned on seed 1
HASHES = 200_000
SAMPLE = slice(None, None, 25)  # of the images, to warm up


def decode() -> list[Figure]:
    """Time measure_images on new and on known images against a plain loop of Image.open(path).convert("RGB").

    Each is timed in a process of its own, as a script is, and again in one process after a warm-up: there the
    plain loop gets the memory of its last image back for the next one, which makes it about twice as fast.
    """
    with TemporaryDirectory() as folder:
        files = {path.name: path for path in _photos(Path(folder))}
        plain, measured = _medians(files, _apart)
        for run in (_plain, _measure):
            run(dict(list(files.items())[SAMPLE]))
        warm_plain, warm_measured = _medians(files, _timed)
        with FindingsCache(Path(folder) / "cache.sqlite") as cache:
            measure_images(files, cache, progress=False)
            known = _timed(lambda files: measure_images(files, cache, progress=False), files)
    size, cores = f"JPEGs of {WIDTH} x {HEIGHT}", f"{os.cpu_count()} cores"
    return [
        Figure(f"measure {size}", IMAGES / measured, "images/s", f"plain loop: {IMAGES / plain:,.0f}/s"),
        Figure(f"measure {size}", plain / measured, "times", f"plain loop, {cores}", "at least 1.7"),
        Figure(f"measure {size}, warm", warm_plain / warm_measured, "times", f"plain loop, warm, {cores}"),
        Figure(f"measure known {size}", warm_plain / known, "times", "plain loop, warm", "at least 20"),
    ]


def near() -> list[Figure]:
    """Measure precision and recall on demo catalogues that nothing was tuned on, and the time for 200,000 hashes."""
    figures = []
    for seed in SEEDS:
        precision, recall = _precision_recall(seed)
        figures += [
            Figure(f"near duplicates, precision, seed {seed}", precision, "", "known ones", "at least 0.9"),
            Figure(f"near duplicates, recall, seed {seed}", recall, "", "known ones", "at least 0.9"),
        ]
    facts, expected = _clusters()
    started = time.perf_counter()
    found = near_duplicates(facts, Rules().near_bits)
    taken = time.perf_counter() - started
    share = float((found == expected).mean())
    return [
        *figures,
        Figure(
            f"near duplicates, {HASHES:,} hashes", taken, "s", "half of them altered copies", "at most 10"
        ),
        Figure(f"near duplicates, {HASHES:,} hashes", share, "", "share in the right group", "at least 0.99"),
    ]


def _medians(files: dict[str, Path], timed: Callable) -> list[float]:
    times = [[timed(run, files) for run in (_plain, _measure)] for _ in range(ROUNDS)]
    return [statistics.median(taken) for taken in zip(*times, strict=True)]


def _apart(run: Callable[[dict[str, Path]], object], files: dict[str, Path]) -> float:
    with get_context("spawn").Pool(1) as pool:
        pool.apply(run, (dict(list(files.items())[:1]),))  # what it needs is imported
        return pool.apply(_timed, (run, files))


def _timed(run: Callable[[dict[str, Path]], object], files: dict[str, Path]) -> float:
    started = time.perf_counter()
    run(files)
    return time.perf_counter() - started


def _plain(files: dict[str, Path]) -> None:
    from PIL import Image

    for path in files.values():
        Image.open(path).convert("RGB")


def _measure(files: dict[str, Path]) -> None:
    measure_images(files, progress=False)


def _photos(folder: Path) -> list[Path]:
    """JPEGs like photos in size of file: large shapes, finer ones on them, and the noise of a camera."""

    def write(number: int) -> Path:
        rng = np.random.default_rng(number)
        values = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
        for cells, depth in ((4, 70), (16, 30), (64, 15)):
            values = values + _enlarged(rng.normal(0, depth, (cells, cells, 3)))
        path = folder / f"{number:05}.jpg"
        image = Image.fromarray((values + 127).clip(0, 255).astype(np.uint8))
        image.save(path, quality=QUALITY)
        return path

    from PIL import Image

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(write, range(IMAGES)))


def _enlarged(cells: np.ndarray) -> np.ndarray:
    from PIL import Image

    channels = [Image.fromarray(channel.astype(np.float32)) for channel in np.moveaxis(cells, -1, 0)]
    return np.stack([channel.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for channel in channels], -1)


def _precision_recall(seed: int) -> tuple[float, float]:
    """Return precision and recall of the pairs (image, its original); exact duplicates are taken out before."""
    with TemporaryDirectory() as folder:
        draw_catalogue(folder, PRODUCTS, seed, progress=False)
        faults = pd.read_csv(Path(folder) / "faults.csv")
        files = {f"images/{path.name}": path for path in sorted((Path(folder) / "images").iterdir())}
        facts, _ = measure_images(files, progress=False)
    facts = facts[facts["reason"].isna()].drop_duplicates("content")
    known = faults[(faults["fault"] == "near duplicate") & faults["image"].isin(facts.index)]
    group = facts.index[near_duplicates(facts, Rules().near_bits)]
    found = {pair for pair in zip(facts.index, group, strict=True) if pair[0] != pair[1]}
    true = set(zip(known["image"], known["original"], strict=True))
    return len(found & true) / len(found), len(found & true) / len(true)


def _clusters() -> tuple[pd.DataFrame, np.ndarray]:
    """Facts of random images, then as many copies of them with 6 bits flipped; and the first of each one's group."""
    rng, half = np.random.default_rng(0), HASHES // 2
    origin = rng.integers(0, half // 2, half)
    hashes = rng.integers(0, 2**64, half, dtype=np.uint64)
    copies = hashes[origin]
    for _ in range(6):
        copies = copies ^ (np.uint64(1) << rng.integers(0, 64, half).astype(np.uint64))
    colours = rng.integers(0, 256, (half, 48), dtype=np.uint8)
    tinted = (colours[origin].astype(int) + rng.integers(-4, 5, (half, 48))).clip(0, 255).astype(np.uint8)
    facts = pd.DataFrame(
        {
            "phash": [f"{value:016x}" for value in np.concatenate([hashes, copies]).tolist()],
            "signature": [base64.b64encode(row).decode() for row in np.concatenate([colours, tinted])],
        },
        index=pd.Index([f"{number}.jpg" for number in range(HASHES)], dtype="str"),
    )
    return facts, np.concatenate([np.arange(half), origin])
