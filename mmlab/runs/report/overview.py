"""`data/runs/index.html`: all runs in a table that can be sorted."""

from pathlib import Path

from markupsafe import Markup

from mmlab.items import data, replacing
from mmlab.runs.manifest import run_folder
from mmlab.runs.pages import TEMPLATES
from mmlab.runs.report.listing import list_runs
from mmlab.runs.report.pieces import allow_scripts


def write_overview() -> Path:
    """Write the table of all runs and return its path; a run whose manifest is damaged says so in its row."""
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    rows = [{**row, "link": (run_folder(row["name"]) / "index.html").is_file()} for row in list_runs()]
    html = templates.get_template("runs.html.j2").render(
        rows=rows,
        script=Markup(script),  # noqa: S704 - our own file
        scripts=allow_scripts(f"<script>{script}</script>"),
    )
    target = data() / "runs" / "index.html"
    with replacing(target) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return target
