"""Opens the panels of a run: what they show is what the plain calls return."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmlab.embed import load_for
from mmlab.panels import compare_panel, inspect_panel, map_panel, query_panel
from mmlab.retrieve.query.systems import crop_matcher
from mmlab.workbench.evaluation import Evaluation
from mmlab.workbench.run_data import RunData
from mmlab.workbench.studies import CalibrationStudy

if TYPE_CHECKING:
    import ipywidgets

HITS = 8


def open_panel(
    data: RunData,
    kind: str,
    calibrate: Callable[[], CalibrationStudy],
    evaluate: Callable[[], Evaluation],
    settings: Mapping[str, Any],
) -> "ipywidgets.VBox":
    """Return the panel of `Run.panel`; `calibrate` and `evaluate` give what some panels need."""
    openers = {
        "query": lambda: _ask(data, query_panel, calibrate, **settings),
        "compare": lambda: _ask(data, compare_panel, calibrate, **settings),
        "inspect": lambda: _inspect(data, evaluate(), **settings),
        "map": lambda: _map(data, **settings),
    }
    if kind not in openers:
        raise ValueError(f"panel: expected one of {', '.join(openers)}, found {kind!r}")
    return openers[kind]()


def _ask(
    data: RunData,
    panel: Callable[..., "ipywidgets.VBox"],
    calibrate: Callable[[], CalibrationStudy],
    query: str = "",
    k: int = HITS,
) -> "ipywidgets.VBox":
    fitted = {next(iter(data.systems)): calibrate().fitted}
    return panel(data.systems, data.embedded_items, query, k, fitted, crop_matcher(data.systems))


def _inspect(data: RunData, evaluation: Evaluation, k: int = 5, by: str | None = None) -> "ipywidgets.VBox":
    losses, labels = evaluation.failures().per_query, data.folder / "labels.jsonl"
    answers, qrels = evaluation.rankings.answers, evaluation.qrels
    return inspect_panel(losses, answers, qrels, data.embedded_items, labels, k, by)


def _map(data: RunData, maps: Any) -> "ipywidgets.VBox":
    return map_panel(maps.umap().table, maps.vectors[0], data.items, load_for)
