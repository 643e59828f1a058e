"""`index.html`, the first page of a run's report, and the pages of its notebooks.

Works on what is there: a run that stopped half-way gets a report of its first half.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmlab.items import replacing
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.pages import TEMPLATES, write_page
from mmlab.runs.report.advice import what_to_look_at
from mmlab.runs.report.measures import tabulate_latency, tabulate_measures
from mmlab.runs.report.pieces import allow_scripts, read_figures, read_galleries, read_map
from mmlab.runs.report.summary import summarise_run
from mmlab.visualize.markup import render_markdown

LONGEST = 400  # characters of a parameter's value that are shown


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
    links = {name: f"{name}.html" for name in page_names(folder)}
    index = folder / "index.html"
    with replacing(index) as temporary:
        temporary.write_text(render_index(run, links), encoding="utf-8")
    return index


def page_names(folder: Path) -> list[str]:
    """The executed notebooks of the run that have a page, in their order."""
    names = sorted(notebook.stem for notebook in (folder / "notebooks").glob("*.ipynb"))
    return [name for name in names if (folder / f"{name}.html").is_file()]


def render_index(run: str, links: dict[str, str], without: Collection[str] = (), **more: Any) -> str:
    """The first page as HTML; `links` holds for each notebook what to link to.

    A single file leaves out the galleries or the map, if `without` says so, and adds `more`.
    """
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(TEMPLATES)
    template = Environment(loader=loader, autoescape=True).get_template("index.html.j2")
    folder, records = run_folder(run), read_manifest(run)["steps"]
    galleries = [] if "galleries" in without else read_galleries(folder, records)
    chart = "" if "map" in without else read_map(folder, records)
    shown = {
        "run": run,
        "links": links,
        "summary": summarise_run(run),
        "steps": _steps(records, links),
        "measures": tabulate_measures(folder / "metrics.json"),
        "latency": tabulate_latency(folder / "index.parquet"),
        "advice": what_to_look_at(run, galleries, links),
        "figures": read_figures(folder, records),
        "galleries": galleries,
        "map": chart,
        "scripts": allow_scripts(chart),
    }
    return template.render(**shown, **more)


def _steps(records: dict[str, dict[str, Any]], links: dict[str, str]) -> list[dict[str, Any]]:
    """What each step saw and was given, as the report shows it."""
    return [
        {
            "name": name,
            "saw": Markup(render_markdown(record["saw"])),  # noqa: S704 - render_markdown escapes
            "parameters": {key: _shorten(value) for key, value in record["parameters"].items()},
            "seconds": record["seconds"],
            "shared_from": record.get("shared_from"),
            "page": links.get(name),
        }
        for name, record in records.items()
    ]


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
