"""What a run is, in a few words and figures: dataset, models, how far it came, measures, latency."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlab.items.files import project
from mmlab.items.sentences import heading, listed, measure_with_interval
from mmlab.runs.record.lineage import held_file, read_held
from mmlab.runs.record.manifest import Environment, Manifest, given_parameters, read_manifest
from mmlab.runs.record.run_files import (
    COMPARISON,
    INDEX,
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


# of a row of the list of runs
ROW_KEYS = (
    "name", "dataset", "models", "finished", "seconds", "measure", "value", "low", "high", "latency_ms", "state",
)  # fmt: skip
MAX_SETTING_CHARS = 60
FIRST_MEASURES = ("Success@", "RR")
MEANINGS = {
    "Success": "share of queries with a right answer among the first {k}; papers on captions call it R@{k}",
    "P": "share of the first {k} that is right",
    "R": "share of all right answers that are among the first {k}",
    "RR": "one over the rank of the first right answer, 0 after rank {k}; its mean is known as MRR",
    "AP": "precision at each right answer, averaged; its mean is known as MAP",
    "AP@R": "the same, read down to as many hits as there are right answers",
    "nDCG": "right answers among the first {k}, worth less the lower they stand; 1 is the best order",
    "nDCG by labels": "the same, where an item of the same label is worth half",
    "Rprec": "share of right ones among as many hits as there are right answers",
}

# entries of metrics.json: measure, direction, value, low, high, ...
Metrics = dict[str, Any]


class MeasureRow(NamedTuple):
    """One measure: for each direction its value and its interval, each "" where there is none; and what it is."""

    measure: str
    cells: list[tuple[str, str]]
    meaning: str = ""


class MetricsTable(NamedTuple):
    """The measures, a row per measure; and the protocol they were measured under, a row per rule.

    Both have a column per direction: `directions` and `protocol_of`.
    """

    directions: list[str]
    rows: list[MeasureRow]
    protocol: list[tuple[str, list[str]]]
    protocol_of: list[str]

    @property
    def first(self) -> list[MeasureRow]:
        """Every Success@k and the reciprocal rank; all rows where there are none of these."""
        return [row for row in self.rows if row.measure.startswith(FIRST_MEASURES)] or self.rows


@dataclass(frozen=True)
class Summary:
    """One run in a few words.

    `finished` is the time of its last step, ISO 8601 in UTC, or "". `state` is finished, comparison, or says where the
    run works, failed or stopped, from where on it is out of date, or which file is damaged. `missing`: the notebooks
    that have to be run, of the six.
    """

    name: str
    dataset: str
    models: list[str]
    finished: str
    seconds: float
    steps: list[str]
    missing: list[str]
    state: str
    environment: Environment


def summarize_run(manifest: Manifest) -> Summary:
    """Return the summary of a run, whether it is finished or not; `manifest`: of `read_held`."""
    name, steps = manifest["run"], manifest["steps"]
    last = max(steps.values(), key=lambda record: record["finished"], default=None)
    given = given_parameters(steps)
    return Summary(
        name=name,
        dataset=_in_project(str(given.get("dataset") or ", ".join(map(str, given.get("runs", []))))),
        models=[str(model) for model in given.get("models", [])],
        finished=last["finished"] if last else "",
        seconds=sum(record["seconds"] for record in steps.values()),
        steps=list(steps),
        missing=missing_steps(manifest),
        state=_state(manifest),
        environment=last["environment"] if last else {"packages": {}, "platform": "", "git": None},
    )


def list_runs() -> list[dict[str, Any]]:
    """Return a row for each run in `data/runs`.

    The keys are name, dataset, models, finished (UTC), seconds, measure, value, low, high (None without one),
    latency_ms (the median of one query as the run answers) and state. A run whose manifest is damaged says so in its
    state.
    """
    return [_row(name)[0] for name in run_names()]


def rank_runs() -> "pd.DataFrame":
    """Return all runs as a leaderboard: the columns of `list_runs`, then front, then the settings that differ.

    Runs of one dataset stand together, the best first. front says that no other of them is both better and as fast. A
    setting is a parameter in which runs of one dataset differ, as text; empty where a run lacks it.
    """
    import pandas as pd

    found = [_row(name) for name in run_names()]
    table = pd.DataFrame([row for row, _ in found], columns=list(ROW_KEYS))
    given = pd.DataFrame([parameters for _, parameters in found], index=table.index, dtype=object)
    differing = _differing([(row["dataset"], own) for row, own in found])
    table["front"] = _front(table)
    settings = given[differing].apply(lambda column: column.map(_setting)) if differing else given[[]]
    lacking = {"unmeasured": table["value"].isna(), "unread": table["dataset"] == ""}
    order = table.assign(**lacking).sort_values(
        ["unmeasured", "unread", "dataset", "value"], ascending=[True, True, True, False], kind="stable"
    )
    return table.join(settings).loc[order.index].reset_index(drop=True)


def summarize_runs(table: "pd.DataFrame") -> str:
    """Say which run of each dataset is best, and which lie within its interval; `table`: of `rank_runs`.

    Intervals are those of single runs: `mmlab compare` tests runs query by query and finds smaller differences.
    """
    sentences = []
    for (dataset, measure), part in table.dropna(subset="value").groupby(["dataset", "measure"], sort=False):
        best, others = part.iloc[0], part.iloc[1:]
        if others.empty:
            continue
        near = others.loc[others["value"] >= best["low"], "name"].tolist() if is_known(best["low"]) else []
        figure = measure_with_interval(
            best["value"], *(best[name] if is_known(best[name]) else None for name in ("low", "high"))
        )
        words = f"{best['name']} leads on {Path(dataset).name or 'its dataset'}: {measure} {figure}"
        within = (
            f"; {listed(near)} {'lies' if len(near) == 1 else 'lie'} within its interval, so no worse by that"
            if near
            else ""
        )
        sentences.append(f"{words}{within}.")
    return " ".join(sentences)


def is_known(value: Any) -> bool:
    """Tell whether a value of a table is there: neither None nor NaN."""
    return value is not None and value == value


def _in_project(dataset: str) -> str:
    """Return the path of a dataset inside the project as it starts there; any other as it is."""
    path = Path(dataset)
    inside = path.is_absolute() and path.is_relative_to(project())
    return path.relative_to(project()).as_posix() if inside else dataset


def _differing(found: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the parameters, of (dataset, parameters) of each run, that have several values on one dataset."""
    values: dict[tuple[str, str], set[str]] = {}
    for dataset, given in found:
        for name, value in given.items():
            values.setdefault((name, dataset), set()).add(str(value))
    several = [name for (name, _), texts in values.items() if len(texts) > 1 and name not in ROW_KEYS]
    return list(dict.fromkeys(several))


def _front(table: "pd.DataFrame") -> list[bool]:
    """Tell for each run whether none of the same dataset is better in value or latency and no worse in the other."""
    rows = table[["dataset", "value", "latency_ms"]].to_dict("records")
    return [
        is_known(own["value"])
        and is_known(own["latency_ms"])
        and not any(
            other["dataset"] == own["dataset"]
            and other["value"] >= own["value"]
            and other["latency_ms"] <= own["latency_ms"]
            and (other["value"], other["latency_ms"]) != (own["value"], own["latency_ms"])
            for other in rows
        )
        for own in rows
    ]


def _setting(value: Any) -> str:
    return str(value)[:MAX_SETTING_CHARS] if isinstance(value, list) or is_known(value) else ""


def run_metrics(manifest: Manifest) -> Metrics:
    """Return the metrics of a run, empty where 05_evaluate has not written them; `manifest`: of `read_held`."""
    path = held_file(manifest, METRICS)
    return read_metrics(path) if path else {}


def read_metrics(path: Path) -> Metrics:
    """Return the content of a metrics.json; raise ValueError, naming the file, where it holds no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); run 05_evaluate again") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no measures; run 05_evaluate again")
    return found


def tabulate_measures(metrics: Metrics) -> MetricsTable:
    """Return the measures and their protocol as text, without rows where there are none."""
    entries = {(entry["measure"], entry["direction"]): entry for entry in metrics.get("measures", [])}
    directions = list(dict.fromkeys(direction for _, direction in entries))
    rows = [
        MeasureRow(
            measure,
            [_figure(entries.get((measure, direction))) for direction in directions],
            explain_measure(measure),
        )
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


def explain_measure(measure: str) -> str:
    """Return in a clause what a measure is; "" for an unknown one.

    >>> explain_measure("Success@5")
    'share of queries with a right answer among the first 5; papers on captions call it R@5'
    """
    if measure == "Success@1":
        return "share of queries whose first answer is right; papers on captions call it R@1"
    kind, _, k = measure.partition("@")
    k, _, labels = k.partition(" ")
    meaning = MEANINGS.get(f"{kind}@R" if k == "R" else f"{kind} {labels}".strip(), "")
    return meaning.format(k=k)


def first_measure(metrics: Metrics) -> dict[str, Any]:
    """Return the entry of the measure that stands for a run in a list, {} if there is none.

    It is the first Success@k, which papers on captioning sets call R@k, else the first measure.
    """
    entries = metrics.get("measures", [])
    chosen = [entry for entry in entries if entry["measure"].startswith("Success@")] or entries
    return chosen[0] if chosen else {}


def tabulate_latency(path: Path | None) -> list[dict[str, str]]:
    """Return the rows of an index.parquet that say how long a query takes, as text; none without the file."""
    import pandas as pd

    if path is None:
        return []
    table = pd.read_parquet(path)
    shown = [name for name in ("search", "layout", "recall", "p50_ms", "p95_ms") if name in table.columns]
    if "p50_ms" not in shown:
        return []
    rows = table[shown].rename(columns=heading)
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
    latency = own_search(benchmark, ef)["p50_ms"] if "p50_ms" in benchmark else float("nan")
    size = sum(disk_bytes(run_folder(run) / name) for name in (STORE, VECTORS))
    return {"run": run, **seconds, "p50_ms": latency, "disk_mb": size / 1e6}


def _row(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the row of a run in lists, and the parameters that it was given."""
    try:
        manifest = read_held(name)
        found, given = summarize_run(manifest), given_parameters(manifest["steps"])
    except DAMAGE as error:
        empty = dict.fromkeys(ROW_KEYS, None) | dict.fromkeys(("dataset", "finished", "measure"), "")
        return empty | {"name": name, "models": [], "state": f"damaged manifest: {error}"}, {}
    entry = first_measure(run_metrics(manifest))
    return {
        "name": name,
        "dataset": found.dataset,
        "models": found.models,
        "finished": found.finished[:16].replace("T", " "),
        "seconds": round(found.seconds, 1),
        "measure": f"{entry['direction']} {entry['measure']}" if entry else "",
        **{key: entry.get(key) for key in ("value", "low", "high")},
        "latency_ms": _latency_ms(held_file(manifest, INDEX), given),
        "state": found.state,
    }, given


def _latency_ms(path: Path | None, given: Mapping[str, Any]) -> float | None:
    """Return the median time of a query as the run answers: by exact search, or by its index."""
    import pandas as pd

    if path is None:
        return None
    benchmark = pd.read_parquet(path)
    if not {"search", "p50_ms"} <= set(benchmark.columns) or benchmark.empty:
        return None
    exact = benchmark["search"] == "exact"
    if given.get("exact") and exact.any():
        return float(benchmark.loc[exact, "p50_ms"].iloc[0])
    return float(own_search(benchmark, given.get("ef"))["p50_ms"])


def own_search(benchmark: "pd.DataFrame", ef: Any) -> "pd.Series":
    """Return the row of a benchmark of 03_index that is the index's own: the first of its `ef`, else the first."""
    own = benchmark[benchmark["search"].astype(str).str.contains(f"ef={ef}", regex=False)]
    return (own if len(own) else benchmark).iloc[0]


def missing_steps(manifest: Manifest) -> list[str]:
    """Return those of the six notebooks that have to be run, or run again; `manifest`: of `read_held`."""
    return [notebook for notebook in NOTEBOOKS if notebook not in manifest["steps"]]


def _state(manifest: Manifest) -> str:
    name, missing, stale = manifest["run"], missing_steps(manifest), manifest.get("stale", {})
    if COMPARISON in (*manifest["steps"], *stale):
        missing = [COMPARISON] if COMPARISON in stale else []
    if not missing and (damaged := list(manifest.get("damaged", {}))):
        return f"damaged: {damaged[0]}" + (f" and {len(damaged) - 1} more" if len(damaged) > 1 else "")
    if not missing:
        return "comparison" if COMPARISON in manifest["steps"] else "finished"
    first = missing[0]
    if is_locked(run_folder(name)):
        return f"working on {first}"
    if _failed(executed_copy(name, first)):
        return f"failed in {first}"
    if first in manifest["begun"]:
        return f"stopped in {first}"
    return f"out of date from {first} on" if first in stale else f"stopped before {first}"


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
