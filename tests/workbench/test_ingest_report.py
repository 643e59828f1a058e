"""The first look of 01 as the workbench shows it."""

import pytest
from PIL import Image

import mmlab
from mmlab.ingest import Rules
from mmlab.items import read_table
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


def test_own_queries_are_counted_shown_and_written(run, tmp_path):
    (tmp_path / "photos" / "queries.csv").write_text("query_id,query,kind\n1,<i>red</i>,colour\n2,,colour\n")
    (tmp_path / "photos" / "qrels.csv").write_text("query_id,image,relevance\n1,a.png,2\n1,none.png,1\n")
    ingested = run.ingest(
        tmp_path / "photos" / "captions.csv", rules=Rules(ocr=False), queries="queries.csv", qrels="qrels.csv"
    )
    shown = ingested.queries()
    assert shown.table.to_numpy().tolist() == [
        ["kept", 1, 1], ["neither text nor image", 1, 0], ["unknown item", 0, 1], ["total", 2, 2],
    ]  # fmt: skip
    counted = "**1 query** came in, 1 with a text, with **1 judgement** of 1 item, which name *image*."
    assert counted in shown.sentence
    assert counted in ingested.sentence
    assert "neither text nor image" in shown._repr_html_()
    assert "this image was refused: missing file" in ingested.own.findings["detail"].tolist()
    step = start_step("01_ingest", "looked")
    ingested.write(step)
    assert read_table(step.folder / "queries.parquet")["text"].tolist() == ["red"]
    image = ingested.images["item_id"].item()
    assert read_table(step.folder / "qrels.parquet").to_numpy().tolist() == [["1", image, 2, "image"]]
    assert len(read_table(step.folder / "query_findings.parquet")) == 3
    again = run.ingest(tmp_path / "photos", rules=Rules(ocr=False))
    assert again.queries().sentence == "No queries of your own were given: the captions are the queries."
    again.write(start_step("01_ingest", "looked"))
    assert not [*step.folder.glob("qu*.parquet"), *step.folder.glob("qrels*")]
