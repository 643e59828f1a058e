"""What a sweep says: which settings no other beats, and which to take, in words and as parameters of 03."""

from typing import Any

import numpy as np
import pandas as pd

from mmlab.index.bench.labels import COSTS, name_setting

PAYS = 0.8  # of the time of a scan: a graph that saves less is not worth what it loses
WEIGHTS = {"p50_ms": 0.4, "memory_mb": 0.3, "disk_mb": 0.2, "build_s": 0.1}  # of what a good setting costs
ALIKE = 0.05  # of a cost: what differs by less is not told


def frontier(table: pd.DataFrame) -> np.ndarray:
    """Which rows (N,) no other beats in recall and median latency at once."""
    recalls, latency = table["recall"].to_numpy(), table["p50_ms"].to_numpy()
    no_worse = (recalls[None] >= recalls[:, None]) & (latency[None] <= latency[:, None])
    better = (recalls[None] > recalls[:, None]) | (latency[None] < latency[:, None])
    return ~(no_worse & better).any(axis=1)


def price(table: pd.DataFrame) -> pd.Series:
    """How many times the least of each cost a row takes: their geometric mean, weighted by WEIGHTS, at least 1.

    A cost that is not known of every row, as a server's memory, is left out.
    """
    known = table[list(WEIGHTS)].dropna(axis="columns")
    weights = pd.Series(WEIGHTS)[known.columns]
    return np.exp((np.log(known / known.min()) * (weights / weights.sum())).sum(axis="columns"))


def parameters_of(row: pd.Series) -> dict[str, Any]:
    """The parameters of 03_index, by their names there, that build and search as this row of `sweep_index`."""
    found = {"hnsw_m": int(row["m"]), "hnsw_ef_construct": int(row["ef_construct"]), "ef": int(row["ef"])}
    found |= {"on_disk": bool(row["on_disk"]), "quantization": row["quantization"]}
    if row["quantization"] != "none":
        found["rescore"] = bool(row["rescored"])
    if row["rescored"]:
        found["oversampling"] = float(row["oversampling"])
    return found


def recommend(table: pd.DataFrame, run: str, least: float = 0.99) -> str:
    """The way of `sweep_index` with a recall of at least `least` that has the lowest `price`, and the next, in words.

    Says whether a graph pays against a scan, and the command that builds the run's index so.
    """
    ours = table[table["engine"] == "Qdrant HNSW"]
    good = ours[ours["recall"] >= least]
    if good.empty:
        best = ours.loc[ours["recall"].idxmax()]
        return (
            f"No setting reaches a recall of {least:.0%}; the best is {name_setting(best)} with {best['recall']:.1%}. "
            "Raise ef, or search exactly."
        )
    ranked = good.loc[price(good).sort_values(kind="stable").index]
    pays = _against_scan(good["p50_ms"].min(), table.loc[table["engine"] == "exact", "p50_ms"].iloc[0])
    return f"{pays} {_told(ranked.iloc[0], run)} {_runner_up(ranked)}"


def _against_scan(fastest: float, scan: float) -> str:
    if PAYS * scan <= fastest:
        return (
            f"Search exactly: a scan takes {scan:.2f} ms, the fastest graph that is good enough {fastest:.2f} ms. "
            "With so few vectors no graph pays. Where one is wanted:"
        )
    return f"A graph pays: a scan takes {scan:.2f} ms."


def _told(best: pd.Series, run: str) -> str:
    """The setting, what it finds and costs, and the command."""
    given = " ".join(f"-p {name}={_typed(value)}" for name, value in parameters_of(best).items())
    costs = [f"{best['p50_ms']:.2f} ms (95 % of the queries within {best['p95_ms']:.2f} ms)"]
    costs += [f"{best['memory_mb']:.1f} MB of memory"] if best["memory_mb"] > 0 else []
    costs += [f"{best['disk_mb']:.1f} MB on disk"] if best["disk_mb"] > 0 else []
    return (
        f"Take {name_setting(best)}: {best['recall']:.1%} of the exact neighbours in {', '.join(costs)}, "
        f"built in {best['build_s']:.2f} s. `mmlab run --name {run} --from 03 {given}`"
    )


def _runner_up(ranked: pd.DataFrame) -> str:
    """The second of the settings, the cheapest first, and what it costs against the first."""
    if len(ranked) < 2:
        return "No other setting is good enough."
    best, other = ranked.iloc[0], ranked.iloc[1]
    ratios = {name: other[name] / best[name] for name in WEIGHTS}
    differ = [f"{ratio:.2g} times {COSTS[name]}" for name, ratio in ratios.items() if abs(ratio - 1) > ALIKE]
    told = f"it takes {', '.join(differ)}" if differ else "its costs are alike"
    return f"Runner-up: {name_setting(other)} ({other['recall']:.1%}); {told}."


def _typed(value: Any) -> str:
    """As it is typed in a shell."""
    return str(value).lower() if isinstance(value, bool) else f"{value}"
