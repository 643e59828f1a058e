from pathlib import Path

import mmlab
from mmlab.items import data
from mmlab.items.paths import project, resolve


def test_the_project_holds_the_package():
    assert project() / "mmlab" / "__init__.py" == Path(mmlab.__file__).resolve()


def test_relative_paths_start_at_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("data/demo") == project() / "data" / "demo"
    assert resolve(Path("../beside")) == project().parent / "beside"
    assert resolve(tmp_path / "x") == tmp_path / "x"


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/photos") == tmp_path / "photos"


def test_data_lies_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MMLAB_DATA", raising=False)
    assert data() == project() / "data"
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    assert data() == tmp_path
