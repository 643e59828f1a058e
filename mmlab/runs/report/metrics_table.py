"""The measures and the latency of a run as the report shows them: figures with their intervals, as text."""

import json
from pathlib import Path
from typing import Any, NamedTuple

# entries of metrics.json: measure, direction, value, low, high, ...
Metrics = dict[str, Any]


class MeasureRow(NamedTuple):
    """One measure: for each direction its value and its interval, each "" where there is none."""

    measure: str
    cells: list[tuple[str, str]]


class MetricsTable(NamedTuple):
    """The measures, a row per measure; and the protocol they were measured under, a row per rule.

    Both have a column per direction: `directions` and `protocol_of`.
    """

    directions: list[str]
    rows: list[MeasureRow]
    protocol: list[tuple[str, list[str]]]
    protocol_of: list[str]


def read_metrics(path: Path) -> Metrics:
    """Return the content of a metrics.json, empty if the file is missing or holds no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def tabulate_measures(metrics: Metrics) -> MetricsTable:
    """Return the measures and their protocol as text, without rows where there are none."""
    entries = {(entry["measure"], entry["direction"]): entry for entry in metrics.get("measures", [])}
    directions = list(dict.fromkeys(direction for _, direction in entries))
    rows = [
        MeasureRow(measure, [_figure(entries.get((measure, direction))) for direction in directions])
        for measure in dict.fromkeys(measure for measure, _ in entries)
    ]
    protocol = metrics.get("protocol", [])
    rules = [name for name in (protocol[0] if protocol else {}) if name != "direction"]
    return MetricsTable(
        directions,
        rows,
        [(rule, [_plain(entry.get(rule)) for entry in protocol]) for rule in rules],
        [entry.get("direction", "") for entry in protocol],
    )


def first_measure(metrics: Metrics) -> tuple[str, float | None]:
    """Return the measure that stands for a run in a list, as ("text-to-image Success@1", 0.83).

    It is the first Success@k, which papers on captioning sets call R@k, else the first measure; ("", None) if there
    is none.
    """
    entries = metrics.get("measures", [])
    chosen = [entry for entry in entries if entry["measure"].startswith("Success@")] or entries
    if not chosen:
        return "", None
    return f"{chosen[0]['direction']} {chosen[0]['measure']}", chosen[0]["value"]


def tabulate_latency(path: Path) -> list[dict[str, str]]:
    """Return the rows of an index.parquet that say how long a query takes, as text; none without the file."""
    import pandas as pd

    if not path.is_file():
        return []
    table = pd.read_parquet(path)
    shown = [name for name in ("search", "layout", "recall", "p50_ms", "p95_ms") if name in table.columns]
    if "p50_ms" not in shown:
        return []
    rows = table[shown].rename(columns={"p50_ms": "median, ms", "p95_ms": "95th percentile, ms"})
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]


def _figure(entry: dict[str, Any] | None) -> tuple[str, str]:
    if entry is None or entry.get("value") is None:
        return "", ""
    low, high = entry.get("low"), entry.get("high")
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return f"{entry['value']:.3f}", interval


def _plain(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
