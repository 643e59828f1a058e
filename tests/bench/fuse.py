"""Fusing two whole rankings of 1,000 items: mmlab beside ranx, in one run; both have been called once before."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items.rankings import rankings_from_scores
from mmlab.retrieve import fuse as fuse_rankings
from tests.bench.figures import Figure

ITEMS = 1000
LARGE, BESIDE = 5000, 500  # queries: for mmlab alone, and beside ranx, whose tables take minutes to fill
REPEATS = 3
THEIRS: dict[str, dict[str, Any]] = {
    "weighted_sum": {"norm": "min-max", "method": "wsum", "params": {"weights": [0.5, 0.5]}},
    "rrf": {"norm": None, "method": "rrf", "params": {"k": 60}},
}


def fuse() -> list[Figure]:
    """Seconds of mmlab's fusions of 5 million rows each, and how much longer ranx takes for half a million."""
    figures = []
    large = _two_rankings(LARGE)
    for how in ("weighted_sum", "rrf", "dbsf"):
        seconds, _ = _best_of(lambda how=how: fuse_rankings(how, large))
        figures.append(Figure(f"fuse, {how}, two rankings of {LARGE:,} x {ITEMS:,}", seconds, "s", "", ""))
    if find_spec("ranx") is None:
        print("fuse: ranx is not installed, nothing to compare with: pip install -e '.[dev]'")
        return figures
    return figures + _beside_ranx()


def _beside_ranx() -> list[Figure]:
    import ranx

    tables, figures = _two_rankings(BESIDE), []
    runs = [
        ranx.Run.from_df(
            table.astype({"query_id": object, "item_id": object}),
            q_id_col="query_id",
            doc_id_col="item_id",
            score_col="score",
        )
        for table in tables
    ]
    for how, asked in THEIRS.items():
        ours, fused = _best_of(lambda how=how: fuse_rankings(how, tables))
        theirs, run = _best_of(lambda asked=asked: ranx.fuse(runs, **asked))
        off = _largest_difference(fused, run.to_dict())
        compared = f"mmlab {ours:.3f} s, ranx {theirs:.3f} s; largest difference of a score {off:.1g}"
        name = f"fuse, {how}, {BESIDE:,} x {ITEMS:,}, ranx against mmlab"
        figures.append(Figure(name, theirs / ours, "times", compared, "at least 1"))
    return figures


def _two_rankings(queries: int) -> list[pd.DataFrame]:
    rng = np.random.default_rng(0)
    asked, items = [f"q{i:05d}" for i in range(queries)], [f"i{i:05d}" for i in range(ITEMS)]
    return [rankings_from_scores(rng.standard_normal((queries, ITEMS)), asked, items) for _ in range(2)]


def _best_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """The least seconds of some calls after one that is not counted, and what the last gave."""
    call()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - started)
    return min(seconds), answer


def _largest_difference(ours: pd.DataFrame, theirs: dict[str, dict[str, float]]) -> float:
    scores = ours["score"].to_numpy()
    other = [theirs[query][item] for query, item in zip(ours["query_id"], ours["item_id"], strict=True)]
    return float(np.abs(scores - np.array(other)).max())
