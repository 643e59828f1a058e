"""What a run is, in a few words and figures: dataset, models, how far it came, measures, latency."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlab.runs.record.manifest import Environment, Manifest, given_parameters, read_manifest
from mmlab.runs.record.run_files import (
    COMPARISON,
    METRICS,
    NOTEBOOKS,
    STORE,
    VECTORS,
    disk_bytes,
    executed_copy,
    is_locked,
    run_folder,
    run_names,
)

if TYPE_CHECKING:
    import pandas as pd

# what reading a damaged manifest may raise
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


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


@dataclass(frozen=True)
class Summary:
    """One run in a few words.

    `finished` is the time of its last step, ISO 8601 in UTC, or "". `state` is finished, comparison, or says where the
    run works, failed or stopped.
    """

    name: str
    dataset: str
    models: list[str]
    finished: str
    seconds: float
    steps: list[str]
    state: str
    environment: Environment


def summarize_run(manifest: Manifest) -> Summary:
    """Return the summary of a run, whether it is finished or not."""
    name, steps = manifest["run"], manifest["steps"]
    last = max(steps.values(), key=lambda record: record["finished"], default=None)
    given = given_parameters(steps)
    return Summary(
        name=name,
        dataset=str(given.get("dataset") or ", ".join(map(str, given.get("runs", [])))),
        models=[str(model) for model in given.get("models", [])],
        finished=last["finished"] if last else "",
        seconds=sum(record["seconds"] for record in steps.values()),
        steps=list(steps),
        state=_state(name, list(steps)),
        environment=last["environment"] if last else {"packages": {}, "platform": "", "git": None},
    )


def list_runs() -> list[dict[str, Any]]:
    """Return a row for each run in `data/runs`: what `mmlab list` shows.

    The keys are name, dataset, models, finished (UTC), seconds, measure, value (None without one) and state. A run
    whose manifest is damaged says so in its state.
    """
    return [_row(name) for name in run_names()]


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


def run_costs(benchmarks: Mapping[str, "pd.DataFrame"]) -> "pd.DataFrame":
    """Return what each run costs, one row for each.

    `benchmarks` holds index.parquet of each run by its name. The columns are run; embed_s, index_s and retrieve_s, the
    seconds of 02, 03 and 04; p50_ms, the median latency of one query as 03 measured it with the `ef` of the run; and
    disk_mb, the size of its store and vectors.
    """
    import pandas as pd

    return pd.DataFrame([_cost(run, benchmark) for run, benchmark in benchmarks.items()])


def _cost(run: str, benchmark: "pd.DataFrame") -> dict[str, Any]:
    records = read_manifest(run)["steps"]
    names = {"embed_s": "02_embed", "index_s": "03_index", "retrieve_s": "04_retrieve"}
    seconds = {
        column: records[name]["seconds"] if name in records else None for column, name in names.items()
    }
    ef = records["03_index"]["parameters"].get("ef")
    own = benchmark[benchmark["search"].astype(str).str.contains(f"ef={ef}", regex=False)]
    latency = (own if len(own) else benchmark)["p50_ms"].iloc[0] if "p50_ms" in benchmark else float("nan")
    size = sum(disk_bytes(run_folder(run) / name) for name in (STORE, VECTORS))
    return {"run": run, **seconds, "p50_ms": latency, "disk_mb": size / 1e6}


def _row(name: str) -> dict[str, Any]:
    try:
        found = summarize_run(read_manifest(name))
    except DAMAGE as error:
        state = f"damaged manifest: {error}"
        return dict.fromkeys(("dataset", "finished", "seconds", "measure"), "") | {
            "name": name, "models": [], "value": None, "state": state
        }  # fmt: skip
    measure, value = first_measure(read_metrics(run_folder(name) / METRICS))
    return {
        "name": name,
        "dataset": found.dataset,
        "models": found.models,
        "finished": found.finished[:16].replace("T", " "),
        "seconds": round(found.seconds, 1),
        "measure": measure,
        "value": value,
        "state": found.state,
    }


def _state(name: str, steps: list[str]) -> str:
    if COMPARISON in steps:
        return "comparison"
    missing = [notebook for notebook in NOTEBOOKS if notebook not in steps]
    if not missing:
        return "finished"
    if is_locked(run_folder(name)):
        return f"working on {missing[0]}"
    if _failed(executed_copy(name, missing[0])):
        return f"failed in {missing[0]}"
    return f"stopped before {missing[0]}"


def _failed(copy: Path) -> bool:
    """Return whether the executed notebook ended in an error, as papermill notes in its metadata."""
    if not copy.is_file():
        return False
    try:
        metadata = json.loads(copy.read_text(encoding="utf-8"))["metadata"]
        return bool(metadata["papermill"]["exception"])
    except (ValueError, KeyError, TypeError):
        return False


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
