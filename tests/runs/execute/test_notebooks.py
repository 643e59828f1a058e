import pytest

from mmlab.runs import find_notebooks
from mmlab.runs.execute.notebooks import choose_notebooks, find_studies, find_study, notebook_number
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
    assert len(choose_notebooks()) == 10


def test_studies_are_found_by_looking_and_a_comparison_is_none(project):
    assert [path.stem for path in find_studies()] == ["07_tune", "09_fusion"]


@pytest.mark.parametrize("name", ["fusion", "09", "09_fusion"])
def test_a_study_goes_by_its_name_with_or_without_its_number(project, name):
    assert find_study(name).stem == "09_fusion"


@pytest.mark.parametrize("name", ["compare", "08", "01_ingest", "scratch", ""])
def test_what_is_no_study_lists_the_studies(project, name):
    with pytest.raises(ValueError, match=f"no study is called '{name}'; known: tune, fusion"):
        find_study(name)
