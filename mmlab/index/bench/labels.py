"""The settings of a sweep by name, for figures and sentences."""

import pandas as pd

COSTS = {"p50_ms": "the latency", "memory_mb": "the memory", "disk_mb": "the disk", "build_s": "the build"}


def name_setting(row: pd.Series) -> str:
    """One way to build and search, as in "m = 16, ef_construct = 128, ef = 50, scalar quantization"."""
    kind = "" if row["quantization"] == "none" else f", {row['quantization']} quantization"
    rescored = f" rescored from {row['oversampling']:g} k" if row["rescored"] else ""
    place = ", vectors on disk" if row["on_disk"] else ""
    links = f"m = {row['m']:.0f}, ef_construct = {row['ef_construct']:.0f}, ef = {row['ef']:.0f}"
    return f"{links}{kind}{rescored}{place}"


def name_settings(table: pd.DataFrame) -> pd.DataFrame:
    """The table of a sweep with `way`, how a row searches, and `graph`, what was built for it.

    The candidates at building are named where there are several.
    """
    quantized = table["quantization"] != "none"
    way = table["engine"] + (" " + table["quantization"]).where(quantized, "")
    engine = table["engine"].where(table["engine"].str.startswith("FAISS"), "Qdrant")
    links = " m = " + table["m"].map("{:.0f}".format)
    if table["ef_construct"].nunique() > 1:
        links += ", ef_construct = " + table["ef_construct"].map("{:.0f}".format)
    links = links.where(table["m"].notna(), "")
    graph = engine + links + (", " + table["quantization"]).where(quantized, "")
    graph += table["on_disk"].map({True: ", on disk", False: ""})
    return table.assign(way=way + table["rescored"].map({True: ", rescored", False: ""}), graph=graph)


def best_of_graphs(table: pd.DataFrame) -> pd.DataFrame:
    """Of `name_settings` the row of each graph that finds most, the fastest of several; exact search is its own.

    Returns graph, search, recall, p50_ms, p95_ms, p99_ms.
    """
    best = table.sort_values(["recall", "p50_ms"], ascending=[False, True], kind="stable")
    best = best[~best.assign(scan=best["ef"].isna()).duplicated(["graph", "scan"])].sort_index()
    rescored = (", rescored from " + best["oversampling"].map("{:g} k".format)).where(best["rescored"], "")
    search = ("ef = " + best["ef"].map("{:.0f}".format)).where(best["ef"].notna(), "exact") + rescored
    latency = best[["recall", "p50_ms", "p95_ms", "p99_ms"]]
    return latency.assign(graph=best["graph"], search=search)[["graph", "search", *latency]].reset_index(
        drop=True
    )


def say_placement(table: pd.DataFrame) -> str:
    """What vectors on disk cost against vectors in memory: medians over the settings that were tried both ways."""
    same = ["m", "ef_construct", "quantization", "ef", "rescored", "oversampling"]
    ours = table[table["engine"] == "Qdrant HNSW"].fillna({"oversampling": 0})
    memory, disk = (ours[ours["on_disk"] == place].set_index(same)[list(COSTS)] for place in (False, True))
    ratios = (disk / memory).median().dropna()
    if ratios.empty:
        return ""
    told = [f"{ratio:.2f} times {COSTS[name]}" for name, ratio in ratios.items()]
    return f"With vectors on disk the same setting takes {', '.join(told)} (medians)."
