"""What a sweep says, in words: which setting to take as parameters of 03_index, and what each setting is called."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

GRAPH_PAYS_BELOW = 0.8  # of the time of a scan: a graph that saves less is not worth what it loses
COST_WEIGHTS = {"p50_ms": 0.4, "memory_mb": 0.3, "disk_mb": 0.2, "build_s": 0.1}
COST_NAMES = {
    "p50_ms": "the latency",
    "memory_mb": "the memory",
    "disk_mb": "the disk space",
    "build_s": "the build time",
}
MAX_TRIES = 3  # settings that are built as the run's own index before one is named
EQUAL_WITHIN = 0.05  # of a cost: a smaller difference is not mentioned


def recommend(
    table: pd.DataFrame,
    name: str,
    measure: Callable[[pd.Series], Mapping[str, float]],
    layout: str = "unified",
    min_recall: float = 0.99,
) -> str:
    """Return the setting to take and the next best, in words, with the command that builds the index of a run so.

    table: of `sweep_index`. name, layout: of the run. measure: builds the run's own index by a row of the table, and
    returns its recall by the modality that is found. Of the settings with a recall of at least `min_recall`, in [0, 1],
    it is the one with the lowest `cost_score` that holds it there too. Says also whether a graph pays against a scan.
    """
    ours = table[table["engine"] == "Qdrant HNSW"]
    good = ours[ours["recall"] >= min_recall]
    if good.empty:
        best = ours.loc[ours["recall"].idxmax()]
        return (
            f"No setting reaches a recall of {min_recall:.0%}; the best is {name_setting(best)} with "
            f"{best['recall']:.1%}. Raise ef, or search exactly."
        )
    ranked = good.loc[cost_score(good).sort_values(kind="stable").index]
    scan_ms = table.loc[table["engine"] == "exact", "p50_ms"].iloc[0]
    against_scan = _compare_with_scan(good["p50_ms"].min(), scan_ms)
    tried: list[str] = []
    for place in range(min(len(ranked), MAX_TRIES)):
        best = ranked.iloc[place]
        found = measure(best)
        if min(found.values()) >= min_recall:
            chosen = _describe_best(best, found, name, layout)
            return " ".join([against_scan, *tried, chosen, _describe_runner_up(ranked.iloc[place:])])
        tried.append(
            f"{_sentence(name_setting(best))} finds less in the run's own index: {_percentages(found)}."
        )
    return " ".join([against_scan, *tried, "No other was tried: raise ef, or search exactly."])


def cost_score(table: pd.DataFrame) -> pd.Series:
    """Return how many times the least of each cost a row takes: a geometric mean by COST_WEIGHTS, at least 1.

    A cost that is unknown for some rows, as a server's memory is, is left out.
    """
    known = table[list(COST_WEIGHTS)].dropna(axis="columns")
    weights = pd.Series(COST_WEIGHTS)[known.columns]
    return np.exp((np.log(known / known.min()) * (weights / weights.sum())).sum(axis="columns"))


def frontier(table: pd.DataFrame) -> np.ndarray:
    """Return which rows (N,) no other beats in recall and median latency at once, bool."""
    recalls, latency = table["recall"].to_numpy(), table["p50_ms"].to_numpy()
    no_worse = (recalls[None] >= recalls[:, None]) & (latency[None] <= latency[:, None])
    better = (recalls[None] > recalls[:, None]) | (latency[None] < latency[:, None])
    return ~(no_worse & better).any(axis=1)


def parameters_of(row: pd.Series) -> dict[str, Any]:
    """Return the parameters of 03_index, by their names there, that build and search as this row of a sweep."""
    found: dict[str, Any] = {
        "hnsw_m": int(row["m"]),
        "hnsw_ef_construct": int(row["ef_construct"]),
        "ef": int(row["ef"]),
    }
    found |= {"on_disk": bool(row["on_disk"]), "quantization": row["quantization"]}
    if row["quantization"] != "none":
        found["rescore"] = bool(row["rescored"])
    if row["rescored"]:
        found["oversampling"] = float(row["oversampling"])
    return found


def name_setting(row: pd.Series) -> str:
    """Return the name of one setting, as in "m = 16, ef_construct = 128, ef = 50, scalar quantization"."""
    kind = "" if row["quantization"] == "none" else f", {row['quantization']} quantization"
    rescored = f" rescored from {row['oversampling']:g} k" if row["rescored"] else ""
    place = ", vectors on disk" if row["on_disk"] else ""
    links = f"m = {row['m']:.0f}, ef_construct = {row['ef_construct']:.0f}, ef = {row['ef']:.0f}"
    return f"{links}{kind}{rescored}{place}"


def name_settings(table: pd.DataFrame) -> pd.DataFrame:
    """Add `method`, how a row of a sweep searches, and `graph`, what was built for it.

    ef_construct is named if there are several.
    """
    quantized = table["quantization"] != "none"
    method = table["engine"] + (" " + table["quantization"]).where(quantized, "")
    engine = table["engine"].where(table["engine"].str.startswith("FAISS"), "Qdrant")
    links = " m = " + table["m"].map("{:.0f}".format)
    if table["ef_construct"].nunique() > 1:
        links += ", ef_construct = " + table["ef_construct"].map("{:.0f}".format)
    links = links.where(table["m"].notna(), "")
    graph = engine + links + (", " + table["quantization"]).where(quantized, "")
    graph += table["on_disk"].map({True: ", on disk", False: ""})
    return table.assign(method=method + table["rescored"].map({True: ", rescored", False: ""}), graph=graph)


def best_of_graphs(table: pd.DataFrame) -> pd.DataFrame:
    """Return for each graph the row of `name_settings` with the highest recall, then the lowest latency.

    Exact search is a graph of its own. Returns graph, search, recall, p50_ms, p95_ms, p99_ms.
    """
    best = table.sort_values(["recall", "p50_ms"], ascending=[False, True], kind="stable")
    best = best[~best.assign(scan=best["ef"].isna()).duplicated(["graph", "scan"])].sort_index()
    rescored = (", rescored from " + best["oversampling"].map("{:g} k".format)).where(best["rescored"], "")
    search = ("ef = " + best["ef"].map("{:.0f}".format)).where(best["ef"].notna(), "exact") + rescored
    columns = ["graph", "search", "recall", "p50_ms", "p95_ms", "p99_ms"]
    return best.assign(search=search)[columns].reset_index(drop=True)


def summarize_placement(table: pd.DataFrame) -> str:
    """Return what vectors on disk cost against memory: medians over the settings that were tried both ways."""
    same = ["m", "ef_construct", "quantization", "ef", "rescored", "oversampling"]
    ours = table[table["engine"] == "Qdrant HNSW"].fillna({"oversampling": 0})
    memory, disk = (
        ours[ours["on_disk"] == place].set_index(same)[list(COST_NAMES)] for place in (False, True)
    )
    ratios = (disk / memory).median().dropna()
    if ratios.empty:
        return ""
    costs = [f"{ratio:.2f} times {COST_NAMES[name]}" for name, ratio in ratios.items()]
    return f"With vectors on disk the same setting takes {', '.join(costs)} (medians)."


def _compare_with_scan(fastest_ms: float, scan_ms: float) -> str:
    if GRAPH_PAYS_BELOW * scan_ms <= fastest_ms:
        return (
            f"Search exactly: a scan takes {scan_ms:.2f} ms, the fastest graph that is good enough {fastest_ms:.2f} ms."
            " With so few vectors no graph pays. If you want one all the same:"
        )
    return f"A graph pays: a scan takes {scan_ms:.2f} ms."


def _describe_best(best: pd.Series, found: Mapping[str, float], name: str, layout: str) -> str:
    """Return the setting, what it finds in the run's own index and costs, and the command."""
    given = parameters_of(best) | ({"layout": layout} if layout != "unified" else {})
    options = " ".join(f"-p {key}={_shell_value(value)}" for key, value in given.items())
    costs = [f"{best['p50_ms']:.2f} ms (95% of the queries within {best['p95_ms']:.2f} ms)"]
    costs += [f"{best['memory_mb']:.1f} MB of memory"] if best["memory_mb"] > 0 else []
    costs += [f"{best['disk_mb']:.1f} MB on disk"] if best["disk_mb"] > 0 else []
    return (
        f"Take {name_setting(best)}: built as the run's own index is, it finds {_percentages(found)} of the exact "
        f"neighbours, in {', '.join(costs)}, built in {best['build_s']:.2f} s. "
        f"`mmlab run --name {name} --from 03 {options}`"
    )


def _percentages(found: Mapping[str, float]) -> str:
    """Return recalls by modality in words, such as "99.2% for images and 99.6% for texts"."""
    return " and ".join(f"{recall:.1%} for {to}s" for to, recall in found.items())


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _describe_runner_up(ranked: pd.DataFrame) -> str:
    """Return the second setting, the cheapest first, and what it costs against the first."""
    if len(ranked) < 2:
        return "No other setting is good enough."
    best, second = ranked.iloc[0], ranked.iloc[1]
    ratios = {name: second[name] / best[name] for name in COST_WEIGHTS}
    different = [
        f"{ratio:.2g} times {COST_NAMES[name]}"
        for name, ratio in ratios.items()
        if abs(ratio - 1) > EQUAL_WITHIN
    ]
    costs = f"it takes {', '.join(different)}" if different else "it costs the same"
    return f"Runner-up: {name_setting(second)} ({second['recall']:.1%}); {costs}."


def _shell_value(value: object) -> str:
    """Return the value as it is typed in a shell."""
    return str(value).lower() if isinstance(value, bool) else str(value)
