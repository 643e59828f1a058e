import re

from markupsafe import escape

from mmlab.runs import run_folder, start_step, write_index, write_overview

HOSTILE = "</td><script>alert(1)</script>\"'\u202e"


def test_every_run_is_a_row(data_folder):
    start_step("01_ingest", "a", dataset=HOSTILE).finish("")
    start_step("02_embed", "b", models=["demo", HOSTILE]).finish("")
    write_index("b")
    run_folder("c").mkdir()
    (run_folder("c") / "manifest.json").write_text("{")
    path = write_overview()
    assert path == data_folder / "runs" / "index.html"
    html = path.read_text(encoding="utf-8")
    assert html.count("<tr>") == 4
    assert f"<bdi>{escape(HOSTILE)}</bdi>" in html
    assert "damaged manifest" in html
    assert re.findall(r"<a [^>]+>", html) == ['<a href="b/index.html">']
    assert html.count("<script>") == 1


def test_without_runs_it_says_so(data_folder):
    assert "None yet: mmlab run makes one." in write_overview().read_text(encoding="utf-8")
