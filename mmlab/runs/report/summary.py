"""What a run is, in a few words from its manifest: dataset, models, when, how far it came; and a row for each run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlab.runs.record.machine import Environment
from mmlab.runs.record.manifest import Manifest, given_parameters, read_manifest
from mmlab.runs.record.run_files import COMPARISON, METRICS, NOTEBOOKS, executed_copy, run_folder, run_names
from mmlab.runs.record.run_lock import is_locked
from mmlab.runs.report.metrics_table import first_measure, read_metrics

# what reading a damaged manifest may raise
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


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
