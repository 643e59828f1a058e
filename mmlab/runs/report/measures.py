"""The measures and the latency of a run as the report writes them: figures with their intervals, as text."""

import json
from pathlib import Path
from typing import Any


def read_metrics(path: Path) -> dict[str, Any]:
    """metrics.json, empty where it is missing or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def tabulate_measures(path: Path) -> dict[str, Any]:
    """The measures of metrics.json, a row per measure, a column per direction; no rows without it.

    The protocol under which they were measured is turned: a row per rule, a column per direction.
    """
    metrics = read_metrics(path)
    entries = {(entry["measure"], entry["direction"]): entry for entry in metrics.get("measures", [])}
    directions = list(dict.fromkeys(direction for _, direction in entries))
    rows = [
        {
            "measure": measure,
            "cells": [_figure(entries.get((measure, direction))) for direction in directions],
        }
        for measure in dict.fromkeys(measure for measure, _ in entries)
    ]
    protocol = metrics.get("protocol", [])
    rules = [name for name in (protocol[0] if protocol else {}) if name != "direction"]
    return {
        "directions": directions,
        "rows": rows,
        "protocol": [(rule, [_plain(entry.get(rule)) for entry in protocol]) for rule in rules],
        "protocol_of": [entry.get("direction", "") for entry in protocol],
    }


def first_measure(path: Path) -> tuple[str, float | None]:
    """The measure that stands for a run in a list, as ("text-to-image Success@1", 0.83); ("", None) without one.

    It is the first Success@k, which papers on captioning sets call R@k, else the first of all.
    """
    entries = read_metrics(path).get("measures", [])
    chosen = [entry for entry in entries if entry["measure"].startswith("Success@")] or entries
    if not chosen:
        return "", None
    return f"{chosen[0]['direction']} {chosen[0]['measure']}", chosen[0]["value"]


def tabulate_latency(path: Path) -> list[dict[str, str]]:
    """The rows of 03's index.parquet that tell how long a query takes, as text; none without the file."""
    import pandas as pd

    if not path.is_file():
        return []
    table = pd.read_parquet(path)
    shown = [name for name in ("search", "layout", "recall", "p50_ms", "p95_ms") if name in table.columns]
    if "p50_ms" not in shown:
        return []
    rows = table[shown].rename(columns={"p50_ms": "median, ms", "p95_ms": "95th percentile, ms"})
    return [{name: _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]


def _figure(entry: dict[str, Any] | None) -> tuple[str, str]:
    """A measure's value and its interval, each empty where there is none."""
    if entry is None or entry.get("value") is None:
        return "", ""
    low, high = entry.get("low"), entry.get("high")
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return f"{entry['value']:.3f}", interval


def _plain(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
