import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mmlab.runs import begin_step, run_folder, write_report, write_single


@pytest.fixture
def made():
    """A run with two executed notebooks, the second with a large output."""
    copies = run_folder("r") / "notebooks"
    copies.mkdir(parents=True)
    for name, size in (("01_ingest", 10), ("02_embed", 50_000)):
        begin_step(name, run="r").finish(f"{name} saw")
        output = new_output("stream", text="o" * size)
        cells = [new_markdown_cell(f"# {name} title"), new_code_cell("1 + 1", outputs=[output])]
        nbformat.write(new_notebook(cells=cells), copies / f"{name}.ipynb")
    write_report("r")
    return run_folder("r")


def test_all_pages_are_inside_under_their_anchors(made):
    path = write_single("r")
    html = path.read_text(encoding="utf-8")
    assert path == made / "r.html"
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
    monkeypatch.setattr("mmlab.runs.report.single.MOST", 40_000)
    html = write_single("r").read_text(encoding="utf-8")
    assert len(html.encode()) < 40_000
    assert 'id="page-01_ingest"' in html
    assert 'id="page-02_embed"' not in html
    assert "stays under 15 MB: 02_embed." in html


def test_there_is_no_file_of_no_run():
    with pytest.raises(FileNotFoundError, match="no run 'none'"):
        write_single("none")
