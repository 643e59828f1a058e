import json
import os
import re
import shutil
import subprocess

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image, PngImagePlugin

from mmlab.runs import begin_step, run_folder, write_report
from mmlab.runs.report import tabulate_measures, title_of

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
HOSTILE = (
    "<script>document.title='run'</script>\"'><img src=https://example.org/x.png onerror=alert(1)>\u202e"
)


def entry(direction, measure, value, **more):
    return {"direction": direction, "measure": measure, "value": value, "queries": 10, **more}


@pytest.fixture
def full():
    """The folder of a run whose every text is hostile."""
    step = begin_step("01_ingest", run="r", dataset=HOSTILE, seed=0)
    with Image.new("RGB", (40, 20), "red") as picture:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("Description", f"**Red** is best {HOSTILE}")
        picture.save(step.write("figures/01_by_<b>category.png"), pnginfo=info)
    step.write("galleries/05_worst_queries.html").write_text("<p>a gallery</p>")
    step.finish(f"**12** items {HOSTILE}")
    step = begin_step("05_evaluate", run="r", models=["demo"], seed=0)
    measures = [
        entry("text->image", "Success@1", 0.8125, low=0.7, high=0.9),
        entry("image->text", "Success@1", 0.5, low=0.25, high=0.75),
        entry("text->image", "RR", 1.0),
    ]
    protocol = [{"direction": "text->image", "queries": 10}]
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
        "<h2>Worst queries</h2>",
        "<p>a gallery</p>",
        "0.812",
        "0.700 to 0.900",
        "numpy",
    ):
        assert text in html
    assert '<a href="05_evaluate.html">' in html


def test_figures_are_inside_with_the_sentence_that_reads_them(html):
    assert (
        len(re.findall(r'<img src="data:image/png;base64,iVBOR[^"]+" alt="By &lt;b&gt;category">', html)) == 1
    )
    assert "<strong>Red</strong> is best" in html


def test_hostile_text_stays_text(html):
    assert "<script" not in html
    assert re.findall(r"<img[^>]+>", html) == re.findall(r'<img src="data:image/png;base64,[^>]+>', html)
    assert "&lt;script&gt;" in html


def test_nothing_is_fetched(full):
    write_report("r")
    for page in full.glob("*.html"):
        assert not re.findall(
            r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", page.read_text()
        )


def test_the_banner_is_for_the_demo_model_only(html):
    assert "Made with the demo model" in html
    begin_step("02_embed", run="other", models=["openai/clip-vit-base-patch32"]).finish("")
    assert "Made with the demo model" not in write_report("other").read_text(encoding="utf-8")


def test_a_run_of_which_nothing_finished_has_a_report_too():
    run_folder("r").mkdir(parents=True)
    html = write_report("r").read_text(encoding="utf-8")
    assert "05_evaluate writes metrics.json" in html
    assert "No notebook has reached its end yet." in html


def test_there_is_no_report_of_no_run():
    with pytest.raises(FileNotFoundError, match="no run 'r' in .*runs"):
        write_report("r")


def test_measures_are_a_row_each_and_directions_a_column_each(full):
    table = tabulate_measures(full / "metrics.json")
    assert table["directions"] == ["text->image", "image->text"]
    assert table["rows"] == [
        {"measure": "Success@1", "cells": [("0.812", "0.700 to 0.900"), ("0.500", "0.250 to 0.750")]},
        {"measure": "RR", "cells": [("1.000", ""), ("", "")]},
    ]


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("05_similarity_histogram", "Similarity histogram"),
        ("umap", "Umap"),
        ("05", "05"),
        ("06_t-sne", "T sne"),
    ],
)
def test_a_figures_title_is_its_file_name_as_words(stem, title):
    assert title_of(stem) == title


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_without_network_shows_it(full, tmp_path):
    index = write_report("r")
    log = tmp_path / "net.json"
    command = ["chromium", *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", index.as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert "<title>mmlab run r</title>" in shown.stdout  # the planted script would have changed it
    assert "CONSOLE" not in shown.stderr
    assert "example.org" not in log.read_text()
