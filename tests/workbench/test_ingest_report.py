"""The first look of 01 as the workbench shows it."""

import pytest
from PIL import Image

import mmlab
from mmlab.ingest import Rules
from mmlab.runs import start_step


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A new run, and beside it a dataset of one image in a folder, a hostile text, and a row without its image."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    (tmp_path / "photos" / "images").mkdir(parents=True)
    Image.new("RGB", (30, 20), "red").save(tmp_path / "photos" / "images" / "a.png")
    rows = "image,caption\na.png,<script>x</script> a red square\nnone.png,a blue square\n"
    (tmp_path / "photos" / "captions.csv").write_text(rows)
    return mmlab.open_run(start_step("01_ingest", "looked"))


def test_a_look_shows_pairs_refusals_and_guesses_and_is_ingested(run, tmp_path):
    looked = run.inspect(tmp_path / "photos", rules=Rules(ocr=False))
    assert looked.table.to_numpy().tolist() == [["images", 1], ["texts", 1], ["refused: missing file", 1]]
    assert looked.sentence.startswith("Read as csv from captions.csv: 1 images and 1 texts")
    assert "1 images found by name in another folder" in looked.sentence
    html = looked._repr_html_()
    assert "<script>x" not in html
    assert "&lt;script&gt;x" in html
    assert "none.png" in html
    ingested = run.ingest(looked)
    assert ingested.rules == Rules(ocr=False)
    assert "1 images were found by name in another folder" in ingested.overview().sentence


def test_a_look_stops_where_nothing_useful_comes_out(run, tmp_path):
    (tmp_path / "photos" / "images" / "a.png").unlink()
    with pytest.raises(
        ValueError, match="0 of 2 images found under these names; looked below .*photos for a.png"
    ):
        run.inspect(tmp_path / "photos")
