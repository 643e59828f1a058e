import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from html import unescape

import nbformat
import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, PngImagePlugin

from mmlab.items import write_table
from mmlab.runs import run_folder, start_step, write_report
from mmlab.runs.execute.run_sweep import share_step
from mmlab.runs.record.manifest import DamagedManifest
from mmlab.runs.report.html_report import write_index, write_overview, write_page, write_single_file
from mmlab.visualize import interactive_map
from mmlab.visualize.map_figures import script_hash

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
HOSTILE = (
    "<script>document.title='run'</script>\"'><img src=https://example.org/x.png onerror=alert(1)>\u202e"
)
PAIR = pd.DataFrame(
    {"modality": ["text", "image"], "pair_id": "p", "text": ["a <b>caption</b>", None], "image": None}
)
MAP = str(interactive_map({"UMAP": np.eye(2)}, PAIR, {"modality": PAIR["modality"]}))


def entry(direction, measure, value, **more):
    return {"direction": direction, "measure": measure, "value": value, "queries": 10, **more}


@pytest.fixture
def full():
    """The folder of a run whose every text is hostile."""
    step = start_step("01_ingest", "r", dataset=HOSTILE, query="x" * 10_000, seed=0)
    with Image.new("RGB", (40, 20), "red") as image:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("Description", f"**Red** is best {HOSTILE}")
        image.save(step.write("figures/01_by_<b>category.png"), pnginfo=info)
    step.write("galleries/05_worst_queries.html").write_text("<p>a gallery</p>")
    step.write("map.html").write_text(MAP)
    step.finish(f"**12** items {HOSTILE}")
    step = start_step("05_evaluate", "r", models=["demo"], seed=0)
    measures = [
        entry("text-to-image", "Success@1", 0.8125, low=0.7, high=0.9),
        entry("image-to-text", "Success@1", 0.5, low=0.25, high=0.75),
        entry("text-to-image", "RR", 1.0),
    ]
    protocol = [{"direction": "text-to-image", "queries": 10}]
    step.write("metrics.json").write_text(json.dumps({"measures": measures, "protocol": protocol}))
    step.finish("Success@1 0.81")
    copies = run_folder("r") / "notebooks"
    copies.mkdir()
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 1")]), copies / "05_evaluate.ipynb")
    return run_folder("r")


@pytest.fixture
def html(full):
    return write_report("r").read_text(encoding="utf-8")


def test_the_summary_is_there(html):
    for text in (
        "Run r",
        "demo model",
        "Success@1 0.81",
        "<strong>12</strong> items",
        ">Worst queries</h2>",
        "81 of 100 texts find their image first",
        "<p>a gallery</p>",
        "0.812",
        "0.700 to 0.900",
        "numpy",
    ):
        assert text in html
    assert '<a href="05_evaluate.html">' in html


def test_figures_are_inside_with_the_sentence_that_reads_them(html):
    assert (
        len(re.findall(r'<img src="data:image/png;base64,iVBOR[^"]+" alt="By &lt;b&gt;category"', html)) == 1
    )
    assert "<strong>Red</strong> is best" in html


def test_hostile_text_stays_text(html):
    assert "<script" not in html
    assert f"<bdi>{escape(HOSTILE)}</bdi>" in html
    assert "x" * 400 + "… (10,000 characters)" in html
    assert "x" * 401 not in html
    assert re.findall(r"<img[^>]+>", html) == re.findall(r'<img src="data:image/png;base64,[^>]+>', html)
    assert "&lt;script&gt;" in html


def test_the_map_is_inside_and_its_script_alone_is_allowed(html):
    document = re.search(r'<iframe class="map" [^>]*sandbox="allow-scripts" srcdoc="([^"]+)"', html)[1]
    assert unescape(document) == MAP
    (script,) = re.findall(r"<script>(.*?)</script>", MAP, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.search(r"script-src ([^;]+);", html)[1] == f"'sha256-{digest}'"
    start_step("01_ingest", "other").finish("")
    assert "script-src" not in write_report("other").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["alert(2)", "fetch('https://elsewhere.example')"])
def test_a_map_with_another_script_than_ours_is_left_out(full, script):
    """The run came from somebody else: nothing in it says which scripts may run."""
    for document in (f"<p>map</p><script>{script}</script>", f"{MAP}<script>{script}</script>"):
        (full / "map.html").write_text(document)
        html = write_report("r").read_text(encoding="utf-8")
        assert '<iframe class="map"' not in html and script not in html
        assert re.findall(r"script-src ([^;]+);", html) == []
        assert re.findall(r"script-src ([^;]+);", write_single_file("r").read_text()) == [
            f"'{script_hash()}'"
        ]


def test_what_lies_outside_of_a_run_is_not_in_its_report(full, tmp_path):
    private = tmp_path / "private.html"
    private.write_text("a private line")
    nbformat.write(new_notebook(cells=[new_markdown_cell("a private line")]), tmp_path / "private.ipynb")
    (full / "galleries/05_worst_queries.html").unlink()
    (full / "galleries/05_worst_queries.html").symlink_to(private)
    (full / "notebooks/06_visualize.ipynb").symlink_to(tmp_path / "private.ipynb")
    (full / "05_evaluate.html").symlink_to(private)
    (full / "notebooks/05_evaluate.ipynb").unlink()
    (full / "notebooks/05_evaluate.ipynb").symlink_to(tmp_path / "private.ipynb")
    assert "a private line" not in write_report("r").read_text(encoding="utf-8")
    assert "a private line" not in write_single_file("r").read_text(encoding="utf-8")
    assert not (full / "06_visualize.html").exists()


@pytest.mark.parametrize(
    "file", ["../../private.png", "/etc/passwd", "a/../../b.html", "C:\\private.html", "~/x.html"]
)
def test_a_manifest_that_names_files_outside_is_refused(full, file):
    manifest = json.loads((full / "manifest.json").read_text())
    manifest["steps"]["05_evaluate"]["writes"][file] = "0"
    manifest.pop("checksum", None)
    (full / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedManifest, match="the files of a run lie in its folder: no notebook wrote that"):
        write_report("r")


def test_a_manifest_that_names_a_maker_outside_is_refused(full):
    manifest = json.loads((full / "manifest.json").read_text())
    manifest["steps"]["05_evaluate"]["shared_from"] = "../other"
    manifest.pop("checksum", None)
    (full / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedManifest, match=r"names '../other'"):
        write_report("r")


def test_the_verdict_comes_first_and_the_rest_is_folded(html):
    order = ("<dt>Dataset", '<h2 id="verdict', '<h2 id="measures', ">Worst queries</h2>", '<h2 id="more')
    places = [html.index(text) for text in order]
    assert places == sorted(places)
    assert "The run is not finished: 02_embed is missing." in html
    folded = html[places[-1] :]
    titles = re.findall(r"<details class=\"more[^>]*><summary>([^<]+)</summary>", folded)
    assert titles[0] == "What each notebook found"
    assert titles[-2:] == ["Parameters", "Versions"]
    assert "weaker direction" not in html


def test_a_step_that_another_run_did_says_so():
    start_step("01_ingest", "r").finish("")
    share_step("01_ingest", "r", "s")
    assert "done in run r" in write_report("s").read_text(encoding="utf-8")


def test_nothing_is_fetched(full):
    write_report("r")
    for page in full.glob("*.html"):
        assert not re.findall(
            r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", page.read_text()
        )


def test_the_banner_is_for_the_demo_model_only(html):
    assert "Made with the demo model" in html
    start_step("02_embed", "other", models=["openai/clip-vit-base-patch32"]).finish("")
    assert "Made with the demo model" not in write_report("other").read_text(encoding="utf-8")


def test_a_run_of_which_nothing_finished_has_a_report_too():
    run_folder("r").mkdir(parents=True)
    html = write_report("r").read_text(encoding="utf-8")
    assert "05_evaluate writes metrics.json" in html
    assert "No notebook has finished yet." in html


def test_there_is_no_report_of_no_run():
    with pytest.raises(FileNotFoundError, match="no run 'r' in .*runs"):
        write_report("r")


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("write", [write_report, write_single_file])
def test_a_browser_without_network_shows_it(full, tmp_path, write):
    write_report("r")
    log = tmp_path / "net.json"
    command = ["chromium", *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", write("r").as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert "<title>mmlab run r</title>" in shown.stdout  # the planted script would have changed it
    assert "CONSOLE" not in shown.stderr
    assert "example.org" not in log.read_text()


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_the_map_and_the_table_of_runs_are_live(full):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    start_step("01_ingest", "a", dataset="z").finish("")
    index, single, overview = write_report("r"), write_single_file("r"), write_overview()
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET[1:])
        page = browser.new_context(offline=True).new_page()
        problems = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        for path in (index, single):
            page.goto(path.as_uri())
            page.get_by_text("Map of images and texts").click()
            page.frame_locator("iframe.map").locator("#legend button").first.wait_for(timeout=5000)
        code = page.locator("#page-05_evaluate .code")
        before = code.is_visible()
        page.get_by_text("Show the notebooks' code").click()
        assert (before, code.is_visible()) == (False, True)
        page.goto(overview.as_uri())
        for order in (["a", "r"], ["r", "a"]):
            page.get_by_role("button", name="run").click()
            assert page.locator("#runs tbody td:first-child").all_inner_texts() == order
        browser.close()
    assert problems == []


HOSTILE_CELL = "</td><script>alert(1)</script>\"'\u202e"


def test_every_run_is_a_row(data_folder):
    start_step("01_ingest", "a", dataset=HOSTILE_CELL).finish("")
    start_step("02_embed", "b", models=["demo", HOSTILE_CELL]).finish("")
    write_index("b")
    run_folder("c").mkdir()
    (run_folder("c") / "manifest.json").write_text("{")
    path = write_overview()
    assert path == data_folder / "runs" / "index.html"
    html = path.read_text(encoding="utf-8")
    assert html.count("<tr>") == 4
    assert f'title="{escape(HOSTILE_CELL)}"' in html
    assert f"<bdi>demo, {escape(HOSTILE_CELL)}</bdi>" in html
    assert "damaged manifest" in html
    assert re.findall(r"<a [^>]+>", html) == ['<a href="b/index.html">']
    assert html.count("<script>") == 1


def test_quality_is_drawn_against_cost_for_runs_of_one_dataset(data_folder):
    for name, value, latency in (("a", 0.5, 1.0), ("b", 0.75, 4.0)):
        start_step("01_ingest", name, dataset="photos", k=HOSTILE_CELL + name).finish("")
        step = start_step("03_index", name)
        table = pd.DataFrame({"search": ["exact"], "recall": [1.0], "p50_ms": [latency]})
        write_table(table, step.write("index.parquet"))
        step.finish("")
        step = start_step("05_evaluate", name)
        measures = [entry("text-to-image", "Success@1", value, low=value - 0.1, high=value + 0.1)]
        step.write("metrics.json").write_text(json.dumps({"measures": measures}))
        step.finish("")
    html = write_overview().read_text(encoding="utf-8")
    assert html.count("<circle") == html.count('class="interval"') == 2
    assert "b leads on photos: text-to-image Success@1 0.750 (0.650 to 0.850)." in html
    assert "0.400 to 0.600" in html
    assert html.count(str(escape(HOSTILE_CELL))) == 2  # the setting in which they differ
    assert html.count("<script>") == 1


def test_without_runs_it_says_so(data_folder):
    assert "None yet: mmlab run makes one." in write_overview().read_text(encoding="utf-8")


@pytest.fixture
def made():
    """A run with two executed notebooks, the second with a large output."""
    copies = run_folder("r") / "notebooks"
    copies.mkdir(parents=True)
    for name, size in (("01_ingest", 10), ("02_embed", 50_000)):
        start_step(name, "r").finish(f"{name} saw")
        output = new_output("stream", text="o" * size)
        cells = [new_markdown_cell(f"# {name} title"), new_code_cell("1 + 1", outputs=[output])]
        nbformat.write(new_notebook(cells=cells), copies / f"{name}.ipynb")
    write_report("r")
    return run_folder("r")


SECTIONS = [
    "# 05 Evaluate", "setup", "## One", "shown", "text", "## Check", "checked", "## Save", "saved", "## What we saw",
    "seen", "versions",
]  # fmt: skip


def test_a_page_begins_with_what_was_seen_and_folds_checks_and_versions(tmp_path):
    """Headings are Markdown; other words stand for a code cell that prints them."""
    cells = [
        new_markdown_cell(source)
        if "#" in source or source == "text"
        else new_code_cell(f"print('{source}')", outputs=[new_output("stream", text=source)])
        for source in SECTIONS
    ]
    for name in ("04_retrieve", "05_evaluate", "06_visualize"):
        nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    html = write_page(tmp_path / "05_evaluate.ipynb", tmp_path).read_text(encoding="utf-8")
    shown = [
        "05 Evaluate",
        "seen",
        "One",
        "shown",
        "text",
        "<details",
        "setup",
        "checked",
        "saved",
        "versions",
    ]
    body = html[html.index("<main") :]
    places = [body.index(text) for text in [f">{word}" if word[0].islower() else word for word in shown]]
    assert places == sorted(places)
    assert re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', html) == [("05_evaluate-part-1", "One")]
    assert '<h2 id="05_evaluate-part-1">One' in html
    assert {'href="04_retrieve.html"', 'href="06_visualize.html"'} <= set(re.findall(r'href="[^"]+"', html))
    assert html.count("<details") == html.count("</details>") == 1


def test_all_pages_are_inside_under_their_anchors(made):
    path = write_single_file("r")
    html = path.read_text(encoding="utf-8")
    assert path == made / "r-report.html"
    assert re.findall(r'<section class="notebook page" id="([^"]+)"', html) == [
        "page-01_ingest",
        "page-02_embed",
    ]
    assert re.search(r"<h1[^>]*>02_embed title", html)
    links = re.findall(r'href="([^"]+)"', html)
    assert {"#page-01_ingest", "#page-02_embed"} <= set(links)
    assert all(link.startswith("#") for link in links)
    switches = re.findall(r'<input class="switch"[^>]* id="([^"]+)"', html)
    assert sorted(switches) == ["all-code", "code-01_ingest-1", "code-02_embed-1"]


def test_what_is_too_large_is_left_out_and_named(made, monkeypatch):
    monkeypatch.setattr("mmlab.runs.report.html_report.MAX_FILE_BYTES", 40_000)
    html = write_single_file("r").read_text(encoding="utf-8")
    assert len(html.encode()) < 40_000
    assert 'id="page-01_ingest"' in html
    assert 'id="page-02_embed"' not in html
    assert "stays under 15 MB: 02_embed." in html


@pytest.fixture
def heavy(made):
    """The run with a gallery, a map and a figure of random bytes."""
    step = start_step("05_evaluate", "r")
    for file, size in (("galleries/05_worst.html", 60_000), ("map.html", 40_000)):
        step.write(file).write_text(f"<p>{'x' * size}</p>" + MAP * (file == "map.html"))
    image = Image.frombytes("RGB", (100, 60), os.urandom(18_000))
    image.save(step.write("figures/05_noise.png"))
    step.finish("heavy")
    return made


@pytest.mark.parametrize(
    ("less", "message", "missing"),
    [
        (10_000, "stays under 15 MB: 01_ingest, 02_embed, galleries.", "gallery-0"),
        (70_000, "stays under 15 MB: 01_ingest, 02_embed, galleries, map.", "<iframe"),
    ],
)
def test_then_the_galleries_stay_out_then_the_map(heavy, monkeypatch, less, message, missing):
    """`less`: bytes of the first page that do not fit, of which galleries are 60,000 and the map 40,000."""
    most = write_index("r").stat().st_size - less
    monkeypatch.setattr("mmlab.runs.report.html_report.MAX_FILE_BYTES", most)
    path = write_single_file("r")
    html = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= most
    assert message in html
    assert missing not in html
    assert missing in (heavy / "index.html").read_text(encoding="utf-8")


def test_what_pages_hold_is_not_on_the_first_page_of_a_single_file_as_well(heavy):
    parts = re.compile(r'<iframe|id="figures"|id="gallery-0"')
    assert len(parts.findall(write_single_file("r").read_text(encoding="utf-8"))) == 3
    nbformat.write(new_notebook(cells=[]), heavy / "notebooks" / "05_evaluate.ipynb")
    assert len(parts.findall(write_report("r").read_text(encoding="utf-8"))) == 3
    assert parts.findall(write_single_file("r").read_text(encoding="utf-8")) == []


def test_a_first_page_that_is_too_large_is_an_error_and_no_file(heavy, monkeypatch):
    monkeypatch.setattr("mmlab.runs.report.html_report.MAX_FILE_BYTES", 20_000)
    with pytest.raises(ValueError, match=r"the first page of r alone, .* send .*runs/r as an archive"):
        write_single_file("r")
    assert not (heavy / "r-report.html").exists()


@pytest.mark.parametrize("name", ["index", "01_ingest", "map"])
def test_no_name_of_a_run_takes_the_place_of_another_file(name):
    start_step("01_ingest", name, dataset="photos").finish("")
    index = write_report(name)
    before = {path: path.read_bytes() for path in run_folder(name).glob("*.html")}
    single = write_single_file(name)
    assert single not in before
    assert before == {path: path.read_bytes() for path in before}
    assert index.name == "index.html"


def test_there_is_no_file_of_no_run():
    with pytest.raises(FileNotFoundError, match="no run 'none'"):
        write_single_file("none")


WIDGET = "application/vnd.jupyter.widget-view+json"


def output(**data):
    return new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})


@pytest.fixture
def page(tmp_path):
    """The HTML of a notebook with every kind of output."""
    outputs = [
        new_output("stream", name="stdout", text="<script>printed</script>"),
        output(text_html="<table class='dataframe'><tr><td>cell of a table</td></tr></table>"),
        output(image_png="iVBORw0KGgo="),
        output(application_javascript="alert('javascript')"),
        new_output("display_data", data={WIDGET: {"model_id": "abc"}, "text/plain": "VBox()"}),
        new_output("error", ename="E", evalue="e", traceback=["\x1b[31mTraceback <b>red</b>"]),
    ]
    cells = [new_markdown_cell("# 05 Evaluate"), new_code_cell("k = '</pre><script>'", outputs=outputs)]
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}}
    notebook = tmp_path / "05_evaluate.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=metadata), notebook)
    assert write_page(notebook, tmp_path) == tmp_path / "05_evaluate.html"
    return (tmp_path / "05_evaluate.html").read_text(encoding="utf-8")


def test_a_page_has_a_link_to_the_one_that_is_still_to_come(tmp_path, page):
    assert "06_visualize.html" not in page
    html = write_page(tmp_path / "05_evaluate.ipynb", tmp_path, ["05_evaluate", "06_visualize"]).read_text(
        "utf-8"
    )
    assert 'href="06_visualize.html"' in html


def test_what_the_notebook_shows_is_there(page):
    for text in (
        "05 Evaluate",
        "cell of a table",
        "data:image/png;base64,iVBORw0KGgo",
        "printed",
        "Traceback",
    ):
        assert text in page
    assert "<title>05_evaluate</title>" in page


def test_the_code_is_there_behind_a_switch(page):
    switch = r'<input class="switch" id="code-05_evaluate-1" type="checkbox"/><label[^>]*>code</label>'
    assert re.search(switch + r'\s*<div class="code">', page)
    assert 'id="all-code"' in page
    assert ".code { display: none; }" in page
    assert '<span class="n">k</span>' in page


def test_there_is_no_script_and_no_request(page):
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href|url\()=?["']?(?:https?:)?//""", page)
    assert "default-src 'none'; img-src data:" in page


def test_widgets_and_javascript_are_left_out(page):
    assert "VBox" not in page
    assert "model_id" not in page
    assert "alert(" not in page
