"""Every kind of file of a run, damaged in every manner: named and not shown, or healed, never as if it were whole."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, PngImagePlugin

import mmlab
from mmlab.cli import main
from mmlab.items import write_table
from mmlab.runs import read_manifest, run_folder, start_step, verify_run, write_report
from mmlab.runs.record.lineage import is_done
from mmlab.runs.record.manifest import record_copy
from mmlab.runs.record.run_files import unmark
from mmlab.runs.report.summary import list_runs
from tests.conftest import data_in
from tests.made_run import make_judged_run

SHOWN = "a figure of the run"  # what stands in each file that a report shows
VALUE = 0.937


def nothing(content: bytes) -> bytes:
    return b""


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """One bit of one byte in the middle; of a text a letter becomes another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def garbage(content: bytes) -> bytes:
    return b"\x00\xff{]" * 8


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (nothing, half, flip, garbage, gone, folder)
VECTORS = "vectors/*.arrow"
# a file of each kind -> the notebook that reads it next, and what asks an opened run for it; None: nothing does
FILES = {
    "items.parquet": ("02_embed", lambda run: run.items),
    VECTORS: ("03_index", lambda run: run.all_vectors),
    "index.parquet": ("04_retrieve", lambda run: run.benchmark),
    "rankings/text-to-image.parquet": (
        "05_evaluate",
        lambda run: run.saved_table("rankings/text-to-image.parquet"),
    ),
    "rankings/text-to-image/exact.parquet": ("05_evaluate", lambda run: run.ranking_steps("text-to-image")),
    "per_query/text-to-image.parquet": ("06_visualize", lambda run: run.per_query("text-to-image")),
    "metrics.json": ("06_visualize", lambda run: run.protocol),
    "suspects/wrong_pairs.parquet": ("07_tune", lambda run: run.saved_table("suspects/wrong_pairs.parquet")),
    "figures/05_measures.png": ("07_tune", None),
    "galleries/05_worst_queries.html": ("07_tune", None),
    "map.html": ("07_tune", None),
}
PAGES = ("05_evaluate.html", "index.html")  # made again from what they show


def write_whole_run() -> None:
    """The run `r` with a file of each kind, as the six notebooks and `mmlab run` leave it."""
    make_judged_run("r", noise=0.5, pairs=6)
    step = start_step("05_evaluate", "r")
    for file in ("items.parquet", "rankings/text-to-image.parquet"):
        step.read(file)
    measures = [{"direction": "text-to-image", "measure": "Success@1", "value": VALUE, "queries": 6}]
    step.write("metrics.json").write_text(json.dumps({"measures": measures, "protocol": []}))
    write_table(pd.DataFrame({"query_id": ["a"], "RR": [1.0]}), step.write("per_query/text-to-image.parquet"))
    write_table(pd.DataFrame({"suspected": [True]}), step.write("suspects/wrong_pairs.parquet"))
    described = PngImagePlugin.PngInfo()
    described.add_text("Description", SHOWN)
    Image.new("RGB", (30, 20), "red").save(step.write("figures/05_measures.png"), pnginfo=described)
    step.write("galleries/05_worst_queries.html").write_text(f"<b>{SHOWN}</b>")
    step.finish("Judged.")
    step = start_step("06_visualize", "r")
    step.read("per_query/text-to-image.parquet")
    step.write("map.html").write_text(f"<b>{SHOWN}</b>")
    step.finish("Laid out.")
    cell = new_code_cell("1", outputs=[new_output("stream", text=SHOWN)], execution_count=1)
    times = {"start_time": "2000", "end_time": "3000", "exception": None}
    copy = run_folder("r") / "notebooks" / "05_evaluate.ipynb"
    copy.parent.mkdir()
    nbformat.write(new_notebook(cells=[cell], metadata={"papermill": times}), copy)
    record_copy(copy)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data folder with a finished run and its report. Only read from it."""
    made = tmp_path_factory.mktemp("whole") / "data"
    with data_in(made):
        write_whole_run()
        write_report("r")
        assert list_runs()[0]["state"] == "finished"
    return made


@pytest.fixture
def spoil(whole, tmp_path, monkeypatch):
    """A function: a file of the run and a damage -> the file's name, once it is damaged in a copy of the run."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("mmlab.runs.upkeep.run_notebooks", lambda *_, **__: pytest.fail("it was run again"))
    shutil.copytree(whole, tmp_path / "data")

    def damage(pattern, harm):
        (path,) = run_folder("r").glob(pattern)
        if harm in (gone, folder):
            harm(path)
        else:
            path.write_bytes(harm(path.read_bytes()))
        return str(path.relative_to(run_folder("r")))

    return damage


def refusal(ask) -> str:
    """What an error says, which has to come."""
    with pytest.raises((ValueError, FileNotFoundError)) as found:
        ask()
    return str(found.value)


each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@each_damage
def test_damaged_files_are_named_and_not_shown(spoil, capsys, damage):
    files = {spoil(kind, damage): asked for kind, asked in FILES.items()}
    (row,) = list_runs()
    assert re.fullmatch(rf"damaged: ({'|'.join(files)}) and {len(FILES) - 1} more", row["state"])
    assert row["value"] is None
    assert main(["report", "r"]) == 0
    notes = capsys.readouterr().err
    report = (run_folder("r") / "index.html").read_text(encoding="utf-8")
    assert SHOWN not in report
    assert str(VALUE) not in report
    found = verify_run("r")
    assert found.folder is None
    assert sorted(found.differences["file"]) == sorted(files)
    for file, (notebook, ask) in files.items():
        assert f"not shown: {file} " in notes
        assert f"<li>{file} " in report
        assert file in refusal(lambda: start_step(notebook, "r").read(file))  # noqa: B023 - asked at once
        if ask is not None:
            assert file in refusal(lambda: ask(mmlab.open_run("r")))  # noqa: B023
        unmark(run_folder("r"))


@pytest.mark.parametrize("kind", ["items.parquet", "metrics.json", "galleries/05_worst_queries.html"])
def test_what_is_whole_is_shown_beside_a_damaged_file(spoil, kind):
    """A figure that 05 measured still holds where the items are damaged since."""
    file = spoil(kind, flip)
    (row,) = list_runs()
    assert row["state"] == f"damaged: {file}"
    assert row["value"] == (None if kind == "metrics.json" else VALUE)
    report = write_report("r").read_text(encoding="utf-8")
    assert report.count(SHOWN) == (1 if kind.startswith("galleries") else 2)  # the map's script is not ours
    assert (str(VALUE) in report) == (kind != "metrics.json")


@each_damage
def test_a_damaged_manifest_shows_nothing(spoil, damage):
    spoil("manifest.json", damage)
    (row,) = list_runs()
    assert row["value"] is None
    if damage is gone:
        assert row["state"] == "stopped before 01_ingest"
        assert SHOWN not in write_report("r").read_text(encoding="utf-8").partition("More of this run")[0]
        assert "there is no run 'r'" in refusal(lambda: mmlab.open_run("r"))
        assert "names no step that wrote it" in refusal(
            lambda: start_step("02_embed", "r").read("items.parquet")
        )
        assert "no finished notebook" in refusal(lambda: verify_run("r"))
        return
    assert row["state"].startswith("damaged manifest: ")
    asked = (write_report, verify_run, mmlab.open_run, lambda name: start_step("02_embed", name))
    assert all("manifest.json" in refusal(lambda: ask("r")) for ask in asked)  # noqa: B023 - asked at once


@each_damage
def test_a_damaged_copy_of_a_notebook_has_no_page(spoil, capsys, damage):
    file = spoil("notebooks/05_evaluate.ipynb", damage)
    assert list_runs()[0]["state"] == f"damaged: {file}"
    assert main(["report", "r"]) == 0
    assert f"not shown: {file} " in capsys.readouterr().err
    report = (run_folder("r") / "index.html").read_text(encoding="utf-8")
    assert f"<li>{file} " in report
    assert 'href="05_evaluate.html"' not in report
    assert not (run_folder("r") / "05_evaluate.html").exists()
    assert verify_run("r").differences["file"].tolist() == [file]


@pytest.mark.parametrize("damage", [nothing, half, flip, garbage, gone], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_page_is_made_again(spoil, whole, page, damage):
    spoil(page, damage)
    assert list_runs()[0]["state"] == "finished"
    write_report("r")
    assert (run_folder("r") / page).read_bytes() == (whole / "runs" / "r" / page).read_bytes()


def test_a_run_that_was_killed_before_its_page_was_whole_is_not_finished(spoil, whole):
    """Between the record of a step, its last cell but one, and the executed copy."""
    spoil("notebooks/05_evaluate.ipynb", gone)
    start_step("05_evaluate", "r").finish("Judged again.")
    start_step("06_visualize", "r").finish("Laid out again.")
    copy = run_folder("r") / "notebooks" / "05_evaluate.ipynb"
    times = {"start_time": "2000", "end_time": None, "exception": None}
    nbformat.write(new_notebook(cells=[new_code_cell("1")], metadata={"papermill": times}), copy)
    assert list_runs()[0]["state"] == "damaged: notebooks/05_evaluate.ipynb"
    report = write_report("r").read_text(encoding="utf-8")
    assert "notebooks/05_evaluate.ipynb ends before its notebook did: the run was stopped there" in report
    assert 'href="05_evaluate.html"' not in report
    assert not is_done(read_manifest("r"), run_folder("r"), "05_evaluate", {})
    times["end_time"] = "2001"  # of an earlier execution, before the notebook was run by hand
    nbformat.write(new_notebook(cells=[new_code_cell("1")], metadata={"papermill": times}), copy)
    assert list_runs()[0]["state"] == "finished"
    report = write_report("r").read_text(encoding="utf-8")
    assert 'href="05_evaluate.html"' not in report
    assert "<li>the page of 05_evaluate, which was run by hand after its executed copy" in report
