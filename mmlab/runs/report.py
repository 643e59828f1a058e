"""The report of a run: `index.html` with the summary, and a page for each executed notebook.

Works on what is there: a run that stopped half-way gets a report of its first half.
"""

import base64
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmlab.items import replacing
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.markdown import render_markdown
from mmlab.runs.pages import TEMPLATES, write_page


def write_report(run: str) -> Path:
    """Write the run's pages and index.html, return the latter; FileNotFoundError if there is no such run."""
    folder = run_folder(run)
    for notebook in sorted((folder / "notebooks").glob("*.ipynb")):
        write_page(notebook, folder)
    return write_index(run)


def write_index(run: str) -> Path:
    """Write index.html, with links to the pages that are there; FileNotFoundError if there is no such run."""
    folder = run_folder(run)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run {run!r} in {folder.parent}")
    names = sorted(notebook.stem for notebook in (folder / "notebooks").glob("*.ipynb"))
    pages = [f"{name}.html" for name in names if (folder / f"{name}.html").is_file()]
    index = folder / "index.html"
    with replacing(index) as temporary:
        temporary.write_text(_render(run, folder, pages), encoding="utf-8")
    return index


def _render(run: str, folder: Path, pages: list[str]) -> str:
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(TEMPLATES)
    template = Environment(loader=loader, autoescape=True).get_template("index.html.j2")
    records = read_manifest(run)["steps"]
    shown = {
        "measures": tabulate_measures(folder / "metrics.json"),
        "figures": read_figures(folder, records),
        "galleries": read_galleries(folder, records),
    }
    return template.render(run=run, pages=pages, **shown, **summarise(records, pages))


def summarise(records: dict[str, dict[str, Any]], pages: list[str]) -> dict[str, Any]:
    """What the manifest's steps say, as the report shows it."""
    steps = [
        {
            "name": name,
            "saw": Markup(render_markdown(record["saw"])),  # noqa: S704 - render_markdown escapes
            "parameters": record["parameters"],
            "page": f"{name}.html" if f"{name}.html" in pages else None,
        }
        for name, record in records.items()
    ]
    parameters = {name: value for step in reversed(steps) for name, value in step["parameters"].items()}
    last = max(records.values(), key=lambda record: record["finished"], default={})
    return {
        "steps": steps,
        "dataset": parameters.get("dataset", "unknown"),
        "models": parameters.get("models", ["unknown"]),
        "finished": last.get("finished", "")[:16].replace("T", " ") + (" UTC" if last else ""),
        "seconds": sum(record["seconds"] for record in records.values()),
        **last.get("environment", {"packages": {}, "platform": "", "git": None}),
    }


def tabulate_measures(path: Path) -> dict[str, Any]:
    """The measures of metrics.json, a row per measure, a column per direction; no rows without it."""
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries = {(entry["measure"], entry["direction"]): entry for entry in metrics.get("measures", [])}
    directions = list(dict.fromkeys(direction for _, direction in entries))
    rows = [
        {
            "measure": measure,
            "cells": [_figure(entries.get((measure, direction))) for direction in directions],
        }
        for measure in dict.fromkeys(measure for measure, _ in entries)
    ]
    return {"directions": directions, "rows": rows, "protocol": metrics.get("protocol", [])}


def _figure(entry: dict[str, Any] | None) -> tuple[str, str]:
    """A measure's value and its interval as the report writes them, the interval empty where there is none."""
    if entry is None:
        return "", ""
    interval = f"{entry['low']:.3f} to {entry['high']:.3f}" if "low" in entry else ""
    return f"{entry['value']:.3f}", interval


def read_figures(folder: Path, records: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The steps' PNGs, as they were written: data URI, title from the file's name, sentence that reads it."""
    return [
        {
            "source": f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
            "title": title_of(path.stem),
            "says": Markup(render_markdown(_description(path))),  # noqa: S704 - render_markdown escapes
        }
        for path in _written(folder, records, ".png")
    ]


def read_galleries(folder: Path, records: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The steps' pieces of HTML: title from the file's name, and the piece as `mmlab.visualize` escaped it."""
    return [
        {"title": title_of(path.stem), "html": Markup(path.read_text(encoding="utf-8"))}  # noqa: S704 - see above
        for path in _written(folder, records, ".html")
    ]


def _written(folder: Path, records: dict[str, dict[str, Any]], ending: str) -> list[Path]:
    """The files with this ending that the steps wrote and that are still there, in the order they were written."""
    files = [folder / file for record in records.values() for file in record["writes"]]
    return [path for path in files if path.suffix == ending and path.is_file()]


def _description(path: Path) -> str:
    """What `mmlab.visualize.show` wrote into the file, empty for a picture from elsewhere."""
    from PIL import Image

    with Image.open(path) as picture:
        return str(picture.info.get("Description", ""))


def title_of(stem: str) -> str:
    """A file's stem as words: "05_similarity_histogram" becomes "Similarity histogram"."""
    words = stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ").strip() or stem
    return words[0].upper() + words[1:]
