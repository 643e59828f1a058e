import os
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from mmlab.runs import run_folder, start_step, write_report
from mmlab.runs.report.html_report import write_index
from mmlab.runs.report.single_file import write_single_file


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
    monkeypatch.setattr("mmlab.runs.report.single_file.MAX_FILE_BYTES", 40_000)
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
        step.write(file).write_text(f"<p>{'x' * size}</p>")
    image = Image.frombytes("RGB", (100, 60), os.urandom(18_000))
    image.save(step.write("figures/05_noise.png"))
    step.finish("heavy")
    return made


@pytest.mark.parametrize(
    ("less", "told", "missing"),
    [
        (10_000, "stays under 15 MB: 01_ingest, 02_embed, galleries.", "gallery-0"),
        (70_000, "stays under 15 MB: 01_ingest, 02_embed, galleries, map.", "<iframe"),
    ],
)
def test_then_the_galleries_stay_out_then_the_map(heavy, monkeypatch, less, told, missing):
    """`less`: bytes of the first page that do not fit, of which galleries are 60,000 and the map 40,000."""
    most = write_index("r").stat().st_size - less
    monkeypatch.setattr("mmlab.runs.report.single_file.MAX_FILE_BYTES", most)
    path = write_single_file("r")
    html = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= most
    assert told in html
    assert missing not in html
    assert missing in (heavy / "index.html").read_text(encoding="utf-8")


def test_a_first_page_that_is_too_large_is_an_error_and_no_file(heavy, monkeypatch):
    monkeypatch.setattr("mmlab.runs.report.single_file.MAX_FILE_BYTES", 20_000)
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
