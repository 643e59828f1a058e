import json
import shutil

import nbformat
import pytest

import mmlab
from mmlab.cli import main
from mmlab.cli.finished_runs import read_filter
from mmlab.runs.execute.kernels import notebook_to_ask


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Usage: mmlab")
    assert "\n  ask " in shown.out
    assert shown.err == ""


def test_a_question_prints_the_hits_of_the_run(demo_run, capsys):
    assert main(["ask", "demo", "a red mug", "-k", "3"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["rank", "score", "image", "file"]
    expected = demo_run.search("a red mug", k=3).table
    assert [line.split()[-1] for line in lines[:3]] == expected["image"].tolist()
    assert "**" not in lines[3]


def test_hits_as_json_are_those_of_the_api(demo_run, capsys):
    image = demo_run.sample("image")
    assert main(["ask", "demo", "--image", str(image), "--to", "text", "-k", "2", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["item_id"] for hit in hits] == demo_run.search(image, to="text", k=2).table[
        "item_id"
    ].tolist()


def test_a_filter_is_read_by_value(demo_run, capsys):
    label = demo_run.items["label"].dropna().iloc[0]
    assert main(["ask", "demo", "a product", "-k", "4", "--where", f"label={label}", "--json"]) == 0
    assert {hit["label"] for hit in json.loads(capsys.readouterr().out)} == {label}
    assert read_filter(["price=9.5", "sold=true", "size=007", "name=1e"]) == {
        "price": 9.5,
        "sold": True,
        "size": "007",
        "name": "1e",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ask", "demo"], "nothing is asked: give a text"),
        (["ask", "none", "a mug"], "there is no run 'none'"),
        (["ask", "demo", "a mug", "--where", "label"], "--where takes NAME=VALUE, as in --where label=mug"),
        (["open", "none"], "no run 'none'"),
        (["lab", "none"], "there is no run 'none'"),
    ],
)
def test_what_cannot_be_asked_is_said(demo_run, capsys, words, message):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_the_report_is_opened(demo_run, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("click.launch", lambda address: opened.append(address) or 0)
    assert main(["open", "demo"]) == 0
    page = demo_run.folder / "index.html"
    assert capsys.readouterr().out == f"Report: {page}\n"
    assert opened == [page.as_uri()]


@pytest.fixture
def folder(tmp_path, monkeypatch, demo_data):
    """A project folder of one's own, in which we are, over the shared data."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "."]) == 0
    monkeypatch.setenv("MMLAB_DATA", str(demo_data))
    return tmp_path


def test_the_notebook_that_asks_is_written_once_for_each_run(folder):
    own = notebook_to_ask("photos-2")
    assert own == folder / "work" / "00_ask_photos-2.ipynb"
    assert 'run = mmlab.open_run("photos-2")' in nbformat.read(own, as_version=4).cells[1].source
    own.write_text("mine")
    assert notebook_to_ask("photos-2").read_text() == "mine"
    assert 'open_run("demo")' in nbformat.read(notebook_to_ask("demo"), as_version=4).cells[1].source


def test_a_store_that_is_damaged_is_named_and_built_anew_and_one_that_is_gone_is_told(demo_copy, capsys):
    largest = max(
        (demo_copy / "store").glob("**/vector_storage/**/*"), key=lambda path: path.stat().st_blocks
    )
    content = bytearray(largest.read_bytes())
    content[max(place for place, byte in enumerate(content) if byte)] ^= 1
    largest.write_bytes(content)
    assert main(["ask", "demo", "a red mug"]) == 2
    assert f"{largest} is damaged (its bytes are not those that were written): run 03_index again" in (
        capsys.readouterr().err
    )
    built = mmlab.open_run("demo").build_index(progress=False)
    assert built.sentence.endswith("were damaged: dropped and built anew.")
    assert main(["ask", "demo", "a red mug"]) == 0
    shutil.rmtree(demo_copy / "store" / "demo-unified")
    assert main(["ask", "demo", "a red mug"]) == 1
    assert "no collection 'demo (unified layout)'" in capsys.readouterr().err
