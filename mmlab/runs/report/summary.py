"""What a run is, in a few words from its manifest: dataset, models, when, how far it came."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlab.items import data
from mmlab.runs.execute import NOTEBOOKS
from mmlab.runs.manifest import NAME, read_manifest, run_folder
from mmlab.runs.working import is_at_work

SIGNS = ("manifest.json", "notebooks")  # of a run


@dataclass(frozen=True)
class Summary:
    """One run: `state` is finished, comparison, or where it works or stopped; `finished` its last time, ISO or ""."""

    name: str
    dataset: str
    models: list[str]
    finished: str
    seconds: float
    steps: list[str]
    state: str
    environment: dict[str, Any]


def run_names() -> list[str]:
    """The names of all folders in data/runs that a run made, whether it came to its first step's end or not."""
    found = {path.parent for sign in SIGNS for path in (data() / "runs").glob(f"*/{sign}")}
    return sorted(path.name for path in found if NAME.fullmatch(path.name))


def summarise_run(name: str) -> Summary:
    """The summary of a run, whether it came to its end or not; ValueError if its manifest is damaged."""
    records = read_manifest(name)["steps"]
    last = max(records.values(), key=lambda record: record["finished"], default={})
    given = given_parameters(records)
    return Summary(
        name=name,
        dataset=str(given.get("dataset") or ", ".join(map(str, given.get("runs", [])))),
        models=[str(model) for model in given.get("models", [])],
        finished=last.get("finished", ""),
        seconds=sum(record["seconds"] for record in records.values()),
        steps=list(records),
        state=_state(name, list(records)),
        environment=last.get("environment", {"packages": {}, "platform": "", "git": None}),
    )


def given_parameters(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The parameters of all steps by name; they agree where steps share a name."""
    return {
        name: value for record in reversed(records.values()) for name, value in record["parameters"].items()
    }


def _state(run: str, steps: list[str]) -> str:
    if "08_compare" in steps:
        return "comparison"
    missing = [name for name in NOTEBOOKS if name not in steps]
    if not missing:
        return "finished"
    if is_at_work(run_folder(run)):
        return f"working on {missing[0]}"
    if _failed(run_folder(run) / "notebooks" / f"{missing[0]}.ipynb"):
        return f"failed in {missing[0]}"
    return f"stopped before {missing[0]}"


def _failed(copy: Path) -> bool:
    """Whether the executed notebook ended in an error, as papermill notes it."""
    if not copy.is_file():
        return False
    try:
        metadata = json.loads(copy.read_text(encoding="utf-8"))["metadata"]
        return bool(metadata["papermill"]["exception"])
    except (ValueError, KeyError, TypeError):
        return False
