"""Small real sources, written as their tools write them."""

import csv
import io
import json

import pytest
from PIL import Image

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.formats import read_source


@pytest.fixture
def image():
    """The bytes of a small PNG of one colour."""

    def paint(colour="red"):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
        return buffer.getvalue()

    return paint


@pytest.fixture
def write(tmp_path):
    """Write files by their names below one folder: bytes, text, rows of a csv or tsv, JSON Lines or JSON."""

    def write(files):
        folder = tmp_path / "dataset"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encoded(path.suffix, content))
        return folder

    return write


@pytest.fixture
def read(write, tmp_path):
    """Write files, then read their folder, or the file `name` in it; images from inside it are kept below blobs/."""

    def read(files, kind="auto", columns=(), name=""):
        return read_source(write(files) / name, kind, columns, Blobs(tmp_path / "blobs"))

    return read


def _encoded(suffix, content):
    if isinstance(content, bytes | str):
        return content if isinstance(content, bytes) else content.encode()
    if suffix in (".csv", ".tsv"):
        buffer = io.StringIO()
        csv.writer(buffer, delimiter="\t" if suffix == ".tsv" else ",").writerows(content)
        return buffer.getvalue().encode()
    if suffix == ".jsonl":
        return "".join(json.dumps(line) + "\n" for line in content).encode()
    return json.dumps(content).encode()
