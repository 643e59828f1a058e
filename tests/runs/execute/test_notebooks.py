import json

import pytest

from mmlab.runs import find_notebooks
from mmlab.runs.execute.notebooks import (
    choose_notebooks,
    find_studies,
    find_study,
    fingerprint,
    notebook_number,
    older_notebooks,
    read_written,
    record_written,
)
from mmlab.runs.record.run_files import NOTEBOOKS


@pytest.fixture
def project(make_notebook, tmp_path, monkeypatch):
    """A project with the six notebooks, two studies, a comparison and a notebook of the user's own."""
    for name in (*NOTEBOOKS, "07_tune", "09_fusion", "scratch"):
        make_notebook(name, 'name: str = "d"\nseed: int = 0')
    make_notebook("08_compare", 'name: str = "d"\nruns: list = []')
    (tmp_path / "data").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)


def test_the_notebooks_of_a_folder(tmp_path):
    for name in NOTEBOOKS:
        (tmp_path / f"{name}.ipynb").touch()
    assert [path.stem for path in find_notebooks(tmp_path)] == list(NOTEBOOKS)


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lacks 01_ingest\.ipynb, 02_embed\.ipynb"):
        find_notebooks(tmp_path)


def test_a_notebook_goes_by_its_number_or_its_name(project):
    assert notebook_number("01") == notebook_number("01_ingest") == 0
    assert notebook_number("06_visualize") == 5
    with pytest.raises(ValueError, match="no notebook is called '4'; known: 01_ingest, 02_embed"):
        notebook_number("4")
    assert [path.stem for path in choose_notebooks("08")] == ["08_compare"]
    assert "scratch" not in [path.stem for path in choose_notebooks()]


def test_notebooks_of_ones_own_in_the_folder_break_nothing(project, tmp_path):
    known = choose_notebooks()
    for name in ("Untitled", "11_mine", "12_broken"):
        write_cells(tmp_path / "notebooks" / f"{name}.ipynb", "x = (")
    (tmp_path / "notebooks" / "12_broken.ipynb").write_text("no notebook")
    assert choose_notebooks() == known
    assert [path.stem for path in find_studies()] == ["07_tune", "09_fusion"]


def test_studies_are_found_by_looking_and_a_comparison_is_none(project):
    assert [path.stem for path in find_studies()] == ["07_tune", "09_fusion"]


@pytest.mark.parametrize("name", ["fusion", "09", "09_fusion"])
def test_a_study_goes_by_its_name_with_or_without_its_number(project, name):
    assert find_study(name).stem == "09_fusion"


@pytest.mark.parametrize("name", ["compare", "08", "01_ingest", "scratch", ""])
def test_what_is_no_study_lists_the_studies(project, name):
    with pytest.raises(ValueError, match=f"no study is called '{name}'; known: tune, fusion"):
        find_study(name)


def write_cells(path, *sources, outputs=()):
    cells = [{"cell_type": "code", "source": source, "outputs": list(outputs)} for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_a_fingerprint_is_of_what_the_cells_say(tmp_path):
    plain = fingerprint(write_cells(tmp_path / "a.ipynb", "a = 1\nb = 2"))
    assert fingerprint(write_cells(tmp_path / "b.ipynb", ["a = 1\n", "b = 2"], "  ", outputs=["3"])) == plain
    assert fingerprint(write_cells(tmp_path / "c.ipynb", "a = 1")) != plain
    (tmp_path / "d.ipynb").write_text("no notebook")
    (tmp_path / "e.ipynb").write_text("[]")
    assert len({plain, fingerprint(tmp_path / "d.ipynb"), fingerprint(tmp_path / "e.ipynb")}) == 3


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A package with two notebooks, and a project with the same two, in which we are; both folders."""
    package, folder = tmp_path / "package", tmp_path / "bench"
    for name in ("01_ingest", "02_embed"):
        for parent in (package / "project", folder):
            write_cells(parent / "notebooks" / f"{name}.ipynb", f"'{name}, as it was'")
    (folder / "data").mkdir()
    monkeypatch.setattr("mmlab.__file__", str(package / "__init__.py"))
    monkeypatch.chdir(folder)
    return package / "project" / "notebooks", folder / "notebooks"


def test_notebooks_of_an_older_version_are_told_from_edited_ones(written):
    newer, own = written
    record_written(own.parent)
    assert older_notebooks() == []
    for name in ("01_ingest", "02_embed"):
        write_cells(newer / f"{name}.ipynb", "'as it is now'")
    write_cells(own / "02_embed.ipynb", "'mine'")
    assert older_notebooks() == ["01_ingest.ipynb"]
    record_written(own.parent)  # once more, the old one being kept
    assert older_notebooks() == ["01_ingest.ipynb"]
    (own / "01_ingest.ipynb").write_bytes((newer / "01_ingest.ipynb").read_bytes())
    record_written(own.parent)
    assert older_notebooks() == []
    assert set(read_written(own.parent)) == {"01_ingest.ipynb", "02_embed.ipynb"}


@pytest.mark.parametrize("kept", [None, "[]", "no json", '{"01_ingest.ipynb": 3}'])
def test_where_nothing_was_kept_all_that_differ_count(written, kept):
    newer, own = written
    if kept is not None:
        (own / ".written.json").write_text(kept)
    write_cells(newer / "02_embed.ipynb", "'as it is now'")
    assert older_notebooks() == ["02_embed.ipynb"]
    record_written(own.parent)  # what is kept from now on is the user's own
    assert older_notebooks() == []


def test_a_checkout_has_its_own_notebooks(written, monkeypatch):
    newer, own = written
    write_cells(own / "02_embed.ipynb", "'as it is now'")
    monkeypatch.chdir(newer)
    assert older_notebooks() == []
