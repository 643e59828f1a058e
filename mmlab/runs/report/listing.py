"""All runs of data/runs, a row each, for `mmlab list` and the index over all runs."""

from typing import Any

from mmlab.runs.manifest import run_folder
from mmlab.runs.report.measures import first_measure
from mmlab.runs.report.summary import run_names, summarise_run


def list_runs() -> list[dict[str, Any]]:
    """name, dataset, models, finished (UTC), seconds, measure, value (None without one) and state of every run."""
    return [_row(name) for name in run_names()]


def _row(name: str) -> dict[str, Any]:
    try:
        found = summarise_run(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        state = f"damaged manifest: {error}"
        return dict.fromkeys(("dataset", "finished", "seconds", "measure"), "") | {
            "name": name, "models": [], "value": None, "state": state
        }  # fmt: skip
    measure, value = first_measure(run_folder(name) / "metrics.json")
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
