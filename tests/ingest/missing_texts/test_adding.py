import pandas as pd
import pytest
from PIL import Image

from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.missing_texts.adding import add_texts
from mmlab.ingest.rules import Rules


@pytest.fixture
def memo(tmp_path):
    with Memo(tmp_path / "memo.sqlite") as memo:
        yield memo


@pytest.fixture
def silent(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    return pd.Series({"content of a": str(tmp_path / "a.png")}, dtype="str").rename_axis("content")


def test_where_nothing_is_asked_for_nothing_is_done(silent, memo):
    found, notes = add_texts(silent, Rules(ocr=False), memo, progress=False)
    assert found.empty
    assert found.columns.tolist() == ["text", "origin"]
    assert notes == []


def test_where_every_image_has_a_text_no_reader_is_needed(silent, memo, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found, notes = add_texts(silent[:0], Rules(captioner="no/such-model"), memo, progress=False)
    assert (len(found), notes) == (0, [])


def test_without_tesseract_a_note_says_how_many_and_what_to_install(silent, memo, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found, (note,) = add_texts(silent, Rules(), memo, progress=False)
    assert found.empty
    assert note.startswith("1 images without text were not searched for print: ")
    assert "apt install tesseract-ocr" in note


def test_an_image_that_is_gone_is_told(silent, memo, tmp_path):
    pytest.importorskip("pytesseract")
    (tmp_path / "a.png").unlink()
    _, notes = add_texts(silent, Rules(), memo, progress=False)
    assert notes[0].startswith("1 images")
