"""What a sweep says: which settings no other beats, and which to take, in words."""

import numpy as np
import pandas as pd

PAYS = 0.8  # of the time of a scan: a graph that saves less is not worth what it loses


def frontier(table: pd.DataFrame) -> np.ndarray:
    """Which rows (N,) no other beats in recall and median latency at once."""
    recalls, latency = table["recall"].to_numpy(), table["p50_ms"].to_numpy()
    no_worse = (recalls[None] >= recalls[:, None]) & (latency[None] <= latency[:, None])
    better = (recalls[None] > recalls[:, None]) | (latency[None] < latency[:, None])
    return ~(no_worse & better).any(axis=1)


def recommend(table: pd.DataFrame, least: float = 0.99) -> str:
    """The fastest way of `sweep_index` with a recall of at least `least`, in words, and what it gives against exact."""
    ours = table[table["engine"] == "Qdrant HNSW"]
    exact = table[table["engine"] == "exact"].iloc[0]
    good = ours[ours["recall"] >= least]
    if good.empty:
        best = ours.loc[ours["recall"].idxmax()]
        return (
            f"No setting reaches a recall of {least:.0%}; the best is {_told(best)} with {best['recall']:.1%}. "
            "Raise ef, or search exactly."
        )
    best = good.loc[good["p50_ms"].idxmin()]
    if PAYS * exact["p50_ms"] <= best["p50_ms"]:
        return (
            f"Search exactly: a scan takes {exact['p50_ms']:.2f} ms, the fastest graph with a recall of {least:.0%} "
            f"({_told(best)}) {best['p50_ms']:.2f} ms. With so few vectors no graph pays."
        )
    return (
        f"Use {_told(best)}: {best['recall']:.1%} of the exact neighbours in {best['p50_ms']:.2f} ms, "
        f"where a scan takes {exact['p50_ms']:.2f} ms."
    )


def _told(row: pd.Series) -> str:
    rescored = ", rescored" if row["rescored"] else ""
    kind = "" if row["quantization"] == "none" else f", {row['quantization']} quantization{rescored}"
    return f"m = {row['m']:.0f}, ef_construct = {row['ef_construct']:.0f}, ef = {row['ef']:.0f}{kind}"
