"""The report of a run as HTML pages, or all in one file, with its first page `index.html`; and the index of all runs.

The pages are the executed notebooks. A run that stopped half-way gets a report of what there is. A page needs nothing
but itself: no script, no font, no request. Widgets are left out, since what they show stands beside them. A content
policy in the page forbids the browser to run scripts or to load anything, whatever a caption holds. It allows one
script by its hash: that of the interactive map, which has a frame of its own.
"""

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mmlab.items import data, replacing
from mmlab.items.sentences import milliseconds
from mmlab.runs.record.lineage import held_file, is_copy_of, read_held
from mmlab.runs.record.manifest import Manifest, read_manifest
from mmlab.runs.record.run_files import (
    COPIES,
    EXECUTED,
    FIXES,
    INDEX,
    INDEX_PAGE,
    executed_copy,
    is_own,
    run_folder,
)
from mmlab.runs.report.sections import (
    Gallery,
    allow_scripts,
    draw_runs,
    read_figures,
    read_galleries,
    read_map,
    shrink_figures,
)
from mmlab.runs.report.summary import (
    ROW_KEYS,
    rank_runs,
    run_costs,
    run_metrics,
    summarize_run,
    summarize_runs,
    tabulate_latency,
    tabulate_measures,
)
from mmlab.runs.report.verdict import Action, make_verdict
from mmlab.visualize.map_figures import script_hash
from mmlab.visualize.markup import render_markdown

if TYPE_CHECKING:
    from nbconvert import HTMLExporter

# characters of the value of a parameter that the report shows
MAX_VALUE_CHARS = 400
# what mail programmes and chats still take
MAX_FILE_BYTES = 15_000_000
# sections of the first page, in the order in which they are left out
LARGE_SECTIONS = ("galleries", "map")
CHECKED, SEEN = ("## Check", "## Save"), "## What we saw"
MAIN = re.compile(r"<main>(.*)</main>", re.DOTALL)
HEADING = re.compile("<h2>")
WITH_TABLE = re.compile(r'(<div class="[^"]*output_subarea[^"]*")(>(?:(?!</div>).)*?<table)', re.DOTALL)
LINKED_PAGE = re.compile(r'href="(\w+)\.html(?:#[^"]*)?"')
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def write_report(name: str) -> Path:
    """Write the pages of all notebooks of a run and its index.html, and return the path of the latter.

    Raises FileNotFoundError if there is no such run.
    """
    folder = existing_folder(name)
    for step in {*(copy.stem for copy in _executed(folder)), *read_manifest(name)["steps"]}:
        (folder / f"{step}.html").unlink(missing_ok=True)
    return write_index(name)


def write_index(name: str) -> Path:
    """Write the index.html of a run, with links to its pages, and return its path.

    A page that is older than its executed copy, or is not there, is written. Raises FileNotFoundError if there is no
    such run.
    """
    folder, manifest = existing_folder(name), read_held(name)
    links = {page: f"{page}.html" for page in page_names(manifest)}
    return _write(folder / INDEX_PAGE, render_index(manifest, links))


def write_single_file(name: str) -> Path:
    """Write `<name>-report.html` into the folder of a run, which holds the first page and all pages; return its path.

    What pages hold is not on the first page as well, and figures become WebP images. Where that is more than 15 MB, the
    largest pages are left out, then the galleries, then the map, and the file says which. Raises FileNotFoundError if
    there is no such run, and ValueError if the file is too large even so.
    """
    folder, manifest = existing_folder(name), read_held(name)
    pages = {
        page: shrink_figures((folder / f"{page}.html").read_text("utf-8")) for page in page_names(manifest)
    }
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
    """Write `data/runs/index.html`, the leaderboard of all runs that can be sorted, and return its path.

    Quality is drawn against cost for each dataset of several runs. A run whose manifest is damaged says so in its row.
    """
    script, table = (TEMPLATES / "sort.js").read_text(encoding="utf-8"), rank_runs()
    settings = list(table.columns[len(ROW_KEYS) + 1 :])
    rows = [
        {**row, "link": (run_folder(row["name"]) / INDEX_PAGE).is_file()} for row in table.to_dict("records")
    ]
    shown = {
        "rows": rows,
        "settings": settings,
        "sentence": summarize_runs(table),
        "drawings": draw_runs(table),
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


def page_names(manifest: Manifest) -> list[str]:
    """Return the names of the executed notebooks of a run that may be shown, in their order; each has its page.

    `manifest`: of `read_held`. Of a step that holds the copy has to be its own and whole; of one that failed or was
    stopped the page shows how far it came; what a step did that is out of date is not shown, nor a damaged copy.
    """
    folder, records = run_folder(manifest["run"]), read_manifest(manifest["run"])["steps"]
    names = []
    for copy in _executed(folder):
        record, page = records.get(copy.stem), folder / f"{copy.stem}.html"
        if f"{EXECUTED}/{copy.name}" in manifest.get("damaged", {}):
            continue
        if record is not None and is_copy_of(copy, record) != (copy.stem in manifest["steps"]):
            continue
        own = page.is_file() and is_own(page, folder)
        if not own or page.stat().st_mtime_ns < copy.stat().st_mtime_ns:
            page.unlink(missing_ok=True)
            write_page(copy, folder)
        names.append(copy.stem)
    return names


def _executed(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / EXECUTED).glob(COPIES) if is_own(path, folder))


def find_left_out(manifest: Manifest) -> list[str]:
    """Return what a report of a run does not show, each with the reason; `manifest`: of `read_held`."""
    copies = {step: executed_copy(manifest["run"], step) for step in manifest["steps"]}
    by_hand = [
        f"the page of {step}, which was run by hand after its executed copy; mmlab run --from makes a new one"
        for step, copy in copies.items()
        if copy.is_file()
        and f"{EXECUTED}/{copy.name}" not in manifest.get("damaged", {})
        and not is_copy_of(copy, manifest["steps"][step])
    ]
    return [*manifest.get("stale", {}).values(), *manifest.get("damaged", {}).values(), *by_hand]


def render_index(
    manifest: Manifest, links: Mapping[str, str], without: Collection[str] = (), **more: Any
) -> str:
    """Return the first page as HTML; `links`: notebook -> what to link to.

    A report in a single file leaves out what `without` names, galleries or map, and adds `more`; what its `parts`, the
    pages, show is not shown twice. `manifest`: of `read_held`; what that left out is named.
    """
    measures = tabulate_measures(run_metrics(manifest))
    pages = more.get("parts", {})
    galleries = [] if "galleries" in without else read_galleries(manifest, pages)
    chart = "" if "map" in without else read_map(manifest, pages)
    verdict = make_verdict(manifest)
    shown = {
        "run": manifest["run"],
        "links": links,
        "titles": {name: title_of_page(name) for name in links},
        "summary": summarize_run(manifest),
        "steps": _steps(manifest, links),
        "faults": find_left_out(manifest),
        "verdict": verdict,
        "directions": measures.directions,
        "actions": [_action(one, links, galleries, manifest) for one in verdict.actions],
        "measures": measures,
        "latency": tabulate_latency(held_file(manifest, INDEX)),
        "cost": _cost(manifest),
        "figures": read_figures(manifest, pages),
        "galleries": galleries,
        "map": chart,
        # of our own map alone, here or in one of the pages
        "scripts": f"'{script_hash()}'" if chart or pages else "",
    }
    return _fill("index.html.j2", shown | more)


def title_of_page(name: str) -> str:
    """Return the title of a notebook's page.

    >>> title_of_page("05_evaluate")
    '05 Evaluate'
    """
    number, _, words = name.partition("_")
    return f"{number} {words.replace('_', ' ').capitalize()}".strip()


def _action(
    action: Action, links: Mapping[str, str], galleries: Sequence[Gallery], manifest: Manifest
) -> dict[str, Any]:
    """Return an action of the verdict with its links: the repair list, a gallery, a page, as far as they are there."""
    found = []
    if action.link == "suspects":
        if held_file(manifest, FIXES) and not _is_single(links):
            found.append({"name": "the repair list", "to": FIXES})
        found += [
            {"name": "examples", "to": f"#{one.id}"} for one in galleries if one.title.lower() == action.link
        ]
    page = action.link if action.link in links else "05_evaluate"
    if not found and page in links:
        found.append({"name": title_of_page(page), "to": links[page]})
    text = _inline(action.text)
    return {"text": text, "gain": action.gain, "links": found}


def _is_single(links: Mapping[str, str]) -> bool:
    return any(link.startswith("#") for link in links.values())


def _inline(text: str) -> Markup:
    """Return one paragraph of Markdown as HTML without the paragraph."""
    return _markup(render_markdown(text).strip().removeprefix("<p>").removesuffix("</p>"))


def _cost(manifest: Manifest) -> str:
    """Say what a query takes as 03_index measured it, and how large store and vectors are."""
    import pandas as pd

    index = held_file(manifest, INDEX)
    if index is None:
        return ""
    costs = run_costs({manifest["run"]: pd.read_parquet(index)}).iloc[0]
    taken = f"A query takes {milliseconds(costs['p50_ms'])} in the index, by the median, without the time to embed it"
    return f"{taken}. The store and the vectors take {costs['disk_mb']:,.1f} MB on disk."


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
    return _markup(LINKED_PAGE.sub(r'href="#page-\1"', found.group(1)) if found else "")


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - our own pages, escaped when they were written


def _steps(manifest: Manifest, links: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what each step was given and concluded, as the report shows it."""
    return [
        {
            "name": name,
            "title": title_of_page(name),
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
    templates.filters["markdown"] = lambda text: _markup(render_markdown(text))
    templates.filters["decimals"] = _decimals
    templates.filters["basename"] = lambda path: Path(path).name
    return templates.get_template(template).render(shown)


def _decimals(value: float | None, places: int = 3) -> str:
    """Return a number with so many decimals, "" for none."""
    return "" if value is None or value != value else f"{value:.{places}f}"


WIDGET = "application/vnd.jupyter.widget-view+json"
TEMPLATES = Path(__file__).parent / "templates"
# an exporter serves one thread at a time
_EXPORTER_LOCK = threading.Lock()


def write_page(notebook: Path, folder: Path, coming: Iterable[str] = ()) -> Path:
    """Write an executed notebook as `folder/NAME.html` and return the path: its conclusion first, its checks folded.

    It has links to the pages before and after it, among those of the executed notebooks and of those still to come.
    """
    content = _read_notebook(notebook)
    for number, cell in enumerate(content.cells):
        # of the switch of its code: unique among all pages, which the single file puts together
        cell["id"] = f"{notebook.stem}-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    content.cells = _arrange(content.cells, notebook.stem)
    before, after = _neighbours(notebook, coming)
    resources = {"metadata": {"name": notebook.stem}, "map_script": script_hash()}
    with _EXPORTER_LOCK:
        body, _ = _exporter().from_notebook_node(content, resources | {"before": before, "after": after})
    page = folder / f"{notebook.stem}.html"
    with replacing(page) as temporary:
        temporary.write_text(_with_anchors(body, notebook.stem), encoding="utf-8")
    return page


def _read_notebook(path: Path) -> Any:
    import nbformat

    try:
        content = nbformat.read(path, as_version=4)
        for cell in content.cells:
            _ = cell.source, cell.metadata, cell.outputs if cell.cell_type == "code" else None
    except (ValueError, AttributeError, KeyError, TypeError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0][:MAX_VALUE_CHARS]
        raise ValueError(f"{path} is damaged ({reason}): run that notebook of the run again") from error
    return content


def _arrange(cells: list[Any], name: str) -> list[Any]:
    """Return the cells of a page: the title, what was seen, the contents, the sections, and last what is folded.

    Folded are the parameters, the checks, the files and the versions. The metadata of a cell say where a part begins
    and ends; the headings are numbered as `_with_anchors` numbers them.
    """
    parts = _divide(cells)
    for kind in ("seen", "folded"):
        if parts[kind]:
            parts[kind][0].metadata["place"] = f"first {kind}"
            parts[kind][-1].metadata["last"] = kind
    ordered = [cell for cells in parts.values() for cell in cells]
    texts = [cell.source for cell in ordered if cell.cell_type == "markdown"]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("## ")]
    contents = [{"title": line[3:], "id": f"{name}-part-{place}"} for place, line in enumerate(lines)]
    shown = [one for one, line in zip(contents, lines, strict=True) if line not in (*CHECKED, SEEN)]
    if ordered:
        (parts["seen"] or parts["title"] or ordered)[-1].metadata["contents"] = shown
    return ordered


def _divide(cells: list[Any]) -> dict[str, list[Any]]:
    """Return the cells of each part of a page: title, seen, shown, folded; without a section all are the title."""
    parts: dict[str, list[Any]] = {"title": [], "seen": [], "shown": [], "folded": []}
    part, has_sections = "title", any(cell.source.startswith("## ") for cell in cells)
    for cell in cells:
        first = cell.source.partition("\n")[0].strip()
        if cell.cell_type == "markdown" and first.startswith("## "):
            part = "folded" if first in CHECKED else "seen" if first == SEEN else "shown"
        elif part == "seen" and len(parts["seen"]) > 1:
            part = "folded"
        begins = part == "title" and cell.cell_type == "code" and has_sections
        parts["folded" if begins else part].append(cell)
    return parts


def _neighbours(notebook: Path, coming: Iterable[str]) -> list[dict[str, str] | None]:
    """Return title and link of the pages before and after that of a notebook, None where there is none."""
    names = ["", *sorted({*coming, *(path.stem for path in notebook.parent.glob(COPIES))}), ""]
    place = names.index(notebook.stem)
    return [
        {"title": title_of_page(name), "link": f"{name}.html"} if name else None
        for name in (names[place - 1], names[place + 1])
    ]


def _with_anchors(body: str, name: str) -> str:
    """Return a page whose second headings have anchors, and whose wide tables can be scrolled by keys."""
    numbers = count()
    body = HEADING.sub(lambda _: f'<h2 id="{name}-part-{next(numbers)}">', body)
    return WITH_TABLE.sub(r'\1 tabindex="0"\2', body)


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
