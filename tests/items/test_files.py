import hashlib
from pathlib import Path

import pytest

import mmlab
from mmlab.items import data, replacing
from mmlab.items.files import file_hash, project, resolve, shorten


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(TypeError, match="must be str"), replacing(path) as temporary:
        temporary.open("w").write(1)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_the_hash_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"mmlab")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"mmlab").hexdigest()


def test_the_project_is_the_checkout_from_wherever_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project() / "mmlab" / "__init__.py" == Path(mmlab.__file__).resolve()


def test_relative_paths_start_at_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("data/demo") == project() / "data" / "demo"
    assert resolve(Path("../beside")) == project().parent / "beside"
    assert resolve(tmp_path / "x") == tmp_path / "x"


def test_a_path_inside_the_project_is_named_from_there(tmp_path):
    assert shorten(project() / "data" / "clip") == Path("data", "clip")
    assert shorten(tmp_path) == tmp_path


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/photos") == tmp_path / "photos"


def test_data_lies_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MMLAB_DATA", raising=False)
    assert data() == project() / "data"
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    assert data() == tmp_path
    monkeypatch.setenv("MMLAB_DATA", "data/other")  # the same for a command and for its kernels
    monkeypatch.chdir(tmp_path)
    assert data() == project() / "data" / "other"
