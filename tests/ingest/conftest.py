"""Small real datasets, written as a user would."""

import csv

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What ingest finds out is kept in a folder of the test's own."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))


@pytest.fixture
def dataset(tmp_path):
    """Write a dataset: colours of image files, then the rows of captions.csv; returns the folder."""

    def write(images, rows, header=("image", "caption"), encoding="utf-8"):
        folder = tmp_path / "dataset"
        for name, colour in images.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 20), colour).save(path)
        folder.mkdir(exist_ok=True)
        with open(folder / "captions.csv", "w", newline="", encoding=encoding) as file:
            csv.writer(file).writerows([header, *rows])
        return folder

    return write


@pytest.fixture
def make(tmp_path):
    """A function: files below a folder of the test's own, images where their names say so -> that folder."""

    def write(files, folder="dataset"):
        for name, content in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                Image.new("RGB", (30, 20), "red").save(path)
            else:
                path.write_text(content, encoding="utf-8")
        return tmp_path / folder

    return write
