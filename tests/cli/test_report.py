import csv
import json

import pytest

from mmlab.cli import main
from mmlab.runs import start_step
from mmlab.runs.execute.notebooks import choose_notebooks
from mmlab.runs.record.parameters import notebook_parameters
from tests.made_run import make_judged_run


def test_the_report_is_written_again_from_the_files(here, tmp_path, capsys):
    runs = tmp_path / "data" / "runs"
    (runs / "p").mkdir(parents=True)
    assert main(["report", "p"]) == 0
    message = f"Report: {runs / 'p' / 'index.html'}\nIndex: {runs / 'index.html'}\n"
    assert capsys.readouterr().out == message
    assert main(["report", "p", "--single-file"]) == 0
    assert f"Single file: {runs / 'p' / 'p-report.html'}\n" in capsys.readouterr().out
    assert (runs / "p" / "p-report.html").is_file()


def test_all_reports_at_once(here, tmp_path, capsys):
    for name in ("a", "b"):
        start_step("01_ingest", name).finish("")
    assert main(["report", "--all"]) == 0
    assert capsys.readouterr().out.count("Report: ") == 2
    assert (tmp_path / "data" / "runs" / "b" / "index.html").is_file()


def test_a_damaged_run_does_not_stop_the_reports_of_the_others(here, tmp_path, capsys):
    for name in ("a", "b", "c"):
        start_step("01_ingest", name).finish("")
    (tmp_path / "data" / "runs" / "a" / "manifest.json").write_text("{")
    (tmp_path / "data" / "runs" / "b" / "manifest.json").write_text('{"steps": {"01_ingest": 5}}')
    assert main(["report", "--all"]) == 1
    shown = capsys.readouterr()
    assert "runs/c/index.html" in shown.out
    failed = shown.err.splitlines()
    assert len(failed) == 3
    assert failed[0].startswith("failed: a: ")
    assert "is not JSON" in failed[0]
    assert failed[1].startswith("failed: b: ")
    assert failed[2] == "mmlab: error: 2 of 3 runs failed"
    assert "damaged manifest" in (tmp_path / "data" / "runs" / "index.html").read_text()


def test_runs_are_listed(here, capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "No runs yet: mmlab run makes one.\n"
    start_step("01_ingest", "p", dataset="photos").finish("")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "name",
        "dataset",
        "models",
        "finished",
        "seconds",
        "measure",
        "value",
        "latency",
        "state",
    ]
    assert lines[1].startswith("p     photos")
    assert lines[1].endswith("stopped before 02_embed")


def test_runs_are_listed_for_a_reader_who_may_not_write(here, tmp_path, capsys, read_only):
    start_step("01_ingest", "p", dataset="photos").finish("")
    read_only(tmp_path / "data" / "runs")
    assert main(["list"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith("p     photos")
    assert shown.err.startswith("note: the index is not written again, nobody may write here: ")
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"cells": [1]}', '{"nbformat": 4, "cells": [{}]}', "\x00"]
)
def test_a_damaged_notebook_is_named_by_the_report(here, tmp_path, capsys, content):
    start_step("01_ingest", "p").finish("")
    copy = tmp_path / "data" / "runs" / "p" / "notebooks" / "01_ingest.ipynb"
    copy.parent.mkdir()
    copy.write_text(content)
    assert main(["report", "p"]) == 0
    assert "not shown: notebooks/01_ingest.ipynb is no executed notebook; run" in capsys.readouterr().err
    copy.rename(copy.with_name(".01_ingest.7.8.ipynb"))  # what a kill left of one that was being written
    assert main(["report", "p"]) == 0
    assert capsys.readouterr().err == ""


def test_runs_are_listed_for_other_tools(here, capsys):
    for name, seed in (("a", 1), ("b", 2)):
        start_step("01_ingest", name, dataset="=photos()", seed=seed).finish("")
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["seed"], row["models"]) for row in rows] == [("a", "1", []), ("b", "2", [])]
    assert main(["list", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["name"], row["dataset"], row["value"]) for row in rows] == [
        ("a", "'=photos()", ""), ("b", "'=photos()", "")
    ]  # fmt: skip
    assert main(["list", "--csv", "--json"]) == 2
    assert "--csv or --json, not both" in capsys.readouterr().err


def test_every_parameter_of_every_notebook_is_listed(capsys):
    assert main(["parameters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for notebook in choose_notebooks():
        assert notebook.stem in lines
        for found in notebook_parameters(notebook).values():
            rows = [row for row, line in enumerate(lines) if line.endswith(found.help)]
            shown = [(lines[row].split()[0], lines[row + 1].strip()) for row in rows]
            assert (found.name, found.kind.expected) in shown


def test_one_notebook_by_its_number(capsys):
    assert main(["parameters", "04"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "04_retrieve"
    assert lines[1].split() == ["name", "default"]
    assert any(line.split()[:2] == ["fusion", '"none"'] for line in lines)
    assert "01_ingest" not in lines


def test_a_run_is_written_for_other_tools(here, tmp_path, capsys):
    make_judged_run("p", 0.5)
    assert main(["export", "p", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert all(name in shown for name in files)
    assert len(files) == 7
    assert main(["export", "p"]) == 0
    assert sorted(path.name for path in (tmp_path / "data/runs/p/export").iterdir()) == files


def test_a_run_without_rankings_says_what_comes_first(here, tmp_path, capsys):
    start_step("01_ingest", "p").finish("")
    assert main(["export", "none"]) == 2
    assert "there is no run 'none'" in capsys.readouterr().err
    assert main(["export", "p"]) == 2
    assert "run 04_retrieve for this run first" in capsys.readouterr().err
    assert not (tmp_path / "data/runs/p/export").exists()
