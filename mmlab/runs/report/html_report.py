"""The report of a run as HTML pages, or all in one file, with its first page `index.html`; and the index of all runs.

The pages are the executed notebooks. A run that stopped half-way gets a report of what there is. A page needs nothing
but itself: no script, no font, no request. Widgets are left out, since what they show stands beside them. A content
policy in the page forbids the browser to run scripts or to load anything, whatever a caption holds. It allows one
script by its hash: that of the interactive map, which has a frame of its own.
"""

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mmlab.items import data, replacing
from mmlab.runs.record.manifest import Manifest, read_manifest
from mmlab.runs.record.run_files import EXECUTED, INDEX, INDEX_PAGE, METRICS, run_folder
from mmlab.runs.report.sections import allow_scripts, find_findings, read_figures, read_galleries, read_map
from mmlab.runs.report.summary import (
    list_runs,
    read_metrics,
    summarize_run,
    tabulate_latency,
    tabulate_measures,
)
from mmlab.visualize.map_page import script_hash
from mmlab.visualize.markup import render_markdown

if TYPE_CHECKING:
    from nbconvert import HTMLExporter

# characters of the value of a parameter that the report shows
MAX_VALUE_CHARS = 400
# what mail programmes and chats still take
MAX_FILE_BYTES = 15_000_000
# sections of the first page, in the order in which they are left out
LARGE_SECTIONS = ("galleries", "map")
MAIN = re.compile(r"<main>(.*)</main>", re.DOTALL)
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def write_report(name: str) -> Path:
    """Write the pages of all notebooks of a run and its index.html, and return the path of the latter.

    Raises FileNotFoundError if there is no such run.
    """
    folder = run_folder(name)
    for notebook in sorted((folder / EXECUTED).glob("*.ipynb")):
        write_page(notebook, folder)
    return write_index(name)


def write_index(name: str) -> Path:
    """Write the index.html of a run, with links to the pages that exist, and return its path.

    Raises FileNotFoundError if there is no such run.
    """
    folder = existing_folder(name)
    links = {notebook: f"{notebook}.html" for notebook in page_names(folder)}
    return _write(folder / INDEX_PAGE, render_index(read_manifest(name), links))


def write_single_file(name: str) -> Path:
    """Write `<name>-report.html` into the folder of a run, which holds the first page and all pages; return its path.

    Where that is more than 15 MB, the largest pages are left out, then the galleries, then the map, and the file says
    which. Raises FileNotFoundError if there is no such run, and ValueError if the file is too large even so.
    """
    folder, manifest = existing_folder(name), read_manifest(name)
    pages = {page: (folder / f"{page}.html").read_text(encoding="utf-8") for page in page_names(folder)}
    largest_last = sorted(pages, key=lambda page: len(pages[page]))
    parts, left_out = [*reversed(LARGE_SECTIONS), *largest_last], list[str]()
    while (size := len((content := _render_single(manifest, pages, left_out)).encode())) > MAX_FILE_BYTES:
        if not parts:
            raise ValueError(
                f"the first page of {name} alone, without galleries and map, has {size / 1e6:.1f} MB, and a "
                f"file to send has {MAX_FILE_BYTES / 1e6:.0f} MB at most: send {folder} as an archive"
            )
        left_out.append(parts.pop())
        pages.pop(left_out[-1], None)
    return _write(folder / f"{name}-report.html", content)


def write_overview() -> Path:
    """Write `data/runs/index.html`, a table of all runs that can be sorted, and return its path.

    A run whose manifest is damaged says so in its row.
    """
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    rows = [{**row, "link": (run_folder(row["name"]) / INDEX_PAGE).is_file()} for row in list_runs()]
    shown = {
        "rows": rows,
        "script": Markup(script),  # noqa: S704 - our own file
        "scripts": allow_scripts(f"<script>{script}</script>"),
    }
    return _write(data() / "runs" / INDEX_PAGE, _fill("runs.html.j2", shown))


def existing_folder(name: str) -> Path:
    """Return the folder of a run; raise FileNotFoundError if there is no such run."""
    folder = run_folder(name)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run {name!r} in {folder.parent}")
    return folder


def page_names(folder: Path) -> list[str]:
    """Return the names of the executed notebooks of a run that have a page, in their order."""
    names = sorted(notebook.stem for notebook in (folder / EXECUTED).glob("*.ipynb"))
    return [name for name in names if (folder / f"{name}.html").is_file()]


def render_index(
    manifest: Manifest, links: Mapping[str, str], without: Collection[str] = (), **more: Any
) -> str:
    """Return the first page as HTML; `links`: notebook -> what to link to.

    A report in a single file leaves out what `without` names, galleries or map, and adds `more`.
    """
    folder = run_folder(manifest["run"])
    metrics, latency = read_metrics(folder / METRICS), tabulate_latency(folder / INDEX)
    galleries = [] if "galleries" in without else read_galleries(manifest)
    chart = "" if "map" in without else read_map(manifest)
    shown = {
        "run": manifest["run"],
        "links": links,
        "summary": summarize_run(manifest),
        "steps": _steps(manifest, links),
        "measures": tabulate_measures(metrics),
        "latency": latency,
        "findings": find_findings(manifest, metrics, latency, galleries, links),
        "figures": read_figures(manifest),
        "galleries": galleries,
        "map": chart,
        "scripts": allow_scripts(chart),
    }
    return _fill("index.html.j2", shown | more)


def _render_single(manifest: Manifest, pages: Mapping[str, str], left_out: Sequence[str]) -> str:
    styles = [style for page in pages.values() for style in STYLE.findall(page)]
    return render_index(
        manifest,
        {name: f"#page-{name}" for name in pages},
        without=left_out,
        parts={name: _body(page) for name, page in pages.items()},
        left_out=sorted(left_out),
        styles=_markup("\n".join(dict.fromkeys(styles))),
    )


def _body(page: str) -> Markup:
    """Return what a page holds between its <main> tags, which `write_page` wrote once."""
    found = MAIN.search(page)
    return _markup(found.group(1) if found else "")


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - our own pages, escaped when they were written


def _steps(manifest: Manifest, links: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what each step was given and concluded, as the report shows it."""
    return [
        {
            "name": name,
            "summary": Markup(render_markdown(record["summary"])),  # noqa: S704 - render_markdown escapes
            "parameters": {key: _shorten(value) for key, value in record["parameters"].items()},
            "seconds": record["seconds"],
            "shared_from": record.get("shared_from"),
            "page": links.get(name),
        }
        for name, record in manifest["steps"].items()
    ]


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}… ({len(text):,} characters)"


def _write(path: Path, html: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _fill(template: str, shown: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    return templates.get_template(template).render(shown)


WIDGET = "application/vnd.jupyter.widget-view+json"
TEMPLATES = Path(__file__).parent / "templates"
# an exporter serves one thread at a time
_EXPORTER_LOCK = threading.Lock()


def write_page(notebook: Path, folder: Path) -> Path:
    """Write an executed notebook as `folder/NAME.html` and return the path."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    for number, cell in enumerate(content.cells):
        # of the switch of its code: unique among all pages, which the single file puts together
        cell["id"] = f"{notebook.stem}-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    resources = {"metadata": {"name": notebook.stem}, "map_script": script_hash()}
    with _EXPORTER_LOCK:
        body, _ = _exporter().from_notebook_node(content, resources)
    page = folder / f"{notebook.stem}.html"
    with replacing(page) as temporary:
        temporary.write_text(body, encoding="utf-8")
    return page


# it compiles its templates, which takes longer than most pages
@lru_cache(maxsize=1)
def _exporter() -> "HTMLExporter":
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        # for report.css
        extra_template_paths=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
