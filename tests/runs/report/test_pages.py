import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mmlab.runs.report.pages import write_page

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
