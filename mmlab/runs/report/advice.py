"""What to look at first in a report: sentences made from the run's figures, each with a place to look."""

from typing import Any

from mmlab.runs.execute import NOTEBOOKS
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.report.measures import read_metrics, tabulate_latency

LOSS = 0.99  # recall against exact search under which an index deserves a look


def what_to_look_at(
    run: str, galleries: list[dict[str, str]], links: dict[str, str]
) -> list[tuple[str, str]]:
    """Pairs of a sentence and what to link it to ("" for nothing), the most urgent first."""
    records = read_manifest(run)["steps"]
    return [
        *_unfinished(records, links),
        *_weaker_direction(run, links),
        *_index_loss(run, links),
        *((f"Gallery: {gallery['title'].lower()}.", f"#{gallery['id']}") for gallery in galleries),
    ]


def _unfinished(records: dict[str, Any], links: dict[str, str]) -> list[tuple[str, str]]:
    missing = [name for name in NOTEBOOKS if name not in records]
    if not missing or "08_compare" in records:
        return []
    return [(f"The run did not reach its end: {missing[0]} is missing.", links.get(missing[0], ""))]


def _weaker_direction(run: str, links: dict[str, str]) -> list[tuple[str, str]]:
    """Which direction is worse, by the first measure of the Success@k kind that both have."""
    found: dict[str, dict[str, float]] = {}
    for entry in read_metrics(run_folder(run) / "metrics.json").get("measures", []):
        if entry["measure"].startswith("Success@") and entry["value"] is not None:
            found.setdefault(entry["measure"], {})[entry["direction"]] = entry["value"]
    for measure, values in found.items():
        if "05_evaluate" in links and len(values) == 2:
            worst, best = sorted(values, key=values.__getitem__)
            says = (
                f"The weaker direction is {worst}: {measure} {values[worst]:.3f} against {values[best]:.3f}."
            )
            return [(says, links["05_evaluate"])]
    return []


def _index_loss(run: str, links: dict[str, str]) -> list[tuple[str, str]]:
    """Whether the index misses much in the run's own way to search: its row stands behind that of exact search."""
    own = tabulate_latency(run_folder(run) / "index.parquet")[1:2]
    return [
        (
            f"The index loses answers: recall {row['recall']} against exact search with {row['search']}.",
            links.get("03_index", ""),
        )
        for row in own
        if row.get("recall") and float(row["recall"]) < LOSS
    ]
