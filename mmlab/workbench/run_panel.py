"""Opens the panels of a run: what they show is what the plain calls return."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmlab.embed import load_for
from mmlab.evaluate.losses import MissedQueries
from mmlab.panels import PanelData, compare_panel, inspect_panel, map_panel, query_panel
from mmlab.panels.outputs import notice
from mmlab.retrieve.query.systems import crop_matcher
from mmlab.runs.record import run_files
from mmlab.workbench.evaluation import Evaluation
from mmlab.workbench.map_report import MapReport
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
    lay_out: Callable[[], MapReport],
    settings: Mapping[str, Any],
) -> "ipywidgets.VBox":
    """Return the panel of `Run.panel`; `calibrate`, `evaluate` and `lay_out` give what some panels need."""
    openers: dict[str, Callable[..., ipywidgets.VBox]] = {
        "query": lambda query="", k=HITS: query_panel(panel_data(data, calibrate), query, k),
        "compare": lambda query="", k=HITS: compare_panel(panel_data(data, calibrate), query, k),
        "inspect": lambda k=5, by=None: inspect_panel(missed_queries(evaluate()), data.embedded_items, k, by),
        "map": lambda maps=None: open_map(maps or lay_out()),
    }
    if kind not in openers:
        raise ValueError(f"panel: expected one of {', '.join(openers)}, found {kind!r}")
    return openers[kind](**settings)


def open_map(maps: MapReport) -> "ipywidgets.VBox":
    """Return the panel of the UMAP map of a report."""
    if not len(maps.umap().table):
        return notice(maps.umap().sentence)
    return map_panel(maps.umap().table, maps.vectors[0], maps.data.items, load_for)


def panel_data(data: RunData, calibrate: Callable[[], CalibrationStudy]) -> PanelData:
    """Return what the panels search: all models of the run; the main one is calibrated when that is first asked for."""
    main = next(iter(data.systems))
    matcher = crop_matcher(data.systems)
    return PanelData(data.systems, data.embedded_items, {main: lambda: calibrate().fitted}, matcher)


def missed_queries(evaluation: Evaluation) -> dict[str, MissedQueries]:
    """Return the missed queries of an evaluation by direction; judgements go to labels.jsonl in the run's folder."""
    labels, rankings = evaluation.data.folder / run_files.LABELS, evaluation.rankings.answers
    return {
        direction: MissedQueries(explained, rankings[direction], evaluation.qrels[direction], labels)
        for direction, explained in evaluation.failures().per_query.items()
    }
