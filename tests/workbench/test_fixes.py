"""The repair list leads from what was found in a run to the file and the row of the dataset."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmlab
from mmlab.cli import main
from mmlab.evaluate.measures.qrels import append_labels
from mmlab.ingest import FINDINGS
from mmlab.items import write_table
from mmlab.runs import read_manifest, start_step
from mmlab.workbench.fixes import ADVICE, FixList

ROWS = """image,caption
1.png,a small black cat on a red sofa
2.png,two white dogs run over green grass
3.png,=red
gone.png,a file that is not there at all
1.png,<b>a cat</b> that sleeps on some cushions
"""
CAT, DOGS, RED, CUSHIONS = 1, 2, 3, 5  # rows of the captions


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Three noisy images with four captions, ingested as run `p`; a row is refused, one repaired, one too short."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    dataset, rng = tmp_path / "set", np.random.default_rng(0)
    dataset.mkdir()
    for name in "123":
        noise = rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)
        Image.fromarray(noise).save(dataset / f"{name}.png")
    (dataset / "captions.csv").write_text(ROWS)
    step = start_step("01_ingest", "p", dataset=str(dataset))
    opened = mmlab.open_run(step)
    opened.ingest(dataset).write(step)
    step.finish("")
    return mmlab.open_run("p")


def id_of(run, row: int, modality: str = "text") -> str:
    """The item that row `row` of the captions gave."""
    places = run.saved_table("places.parquet").merge(run.items, on="item_id")
    return places.loc[(places["row"] == row) & (places["modality"] == modality), "item_id"].iloc[0]


def evaluate(run) -> None:
    """Write what 05 would: the cat's and the dogs' texts fit each other's image, that of the red image fits the cat."""
    texts = [id_of(run, row) for row in (CAT, DOGS, RED)]
    images = [id_of(run, row, "image") for row in (CAT, DOGS, RED)]
    pairs = pd.DataFrame({"text_id": texts, "image_id": images, "cosine": 0.1, "other_cosine": 0.9})
    pairs["other_id"] = [images[1], images[0], images[0]]
    above = pd.DataFrame(columns=["query_id", "item_id", "item_text"])
    asked = [id_of(run, row) for row in (CAT, DOGS, RED, CUSHIONS)]
    lost = pd.DataFrame({"query_id": asked, "failed": ["text", "both", None, None]})
    step = start_step("05_evaluate", "p")
    step.read("items.parquet")
    write_table(pairs.assign(suspected=True), step.write("suspects/wrong_pairs.parquet"))
    write_table(above, step.write("suspects/false_negatives.parquet"))
    write_table(lost, step.write("losses/text-to-image.parquet"))
    write_table(lost.iloc[:0], step.write("losses/image-to-text.parquet"))
    step.finish("")


def test_what_was_found_is_listed_with_its_row_and_what_to_do(run):
    evaluate(run)
    table = mmlab.open_run("p").fixes().table
    assert set(table["file"]) == {"captions.csv"}
    assert table[["row", "finding", "image", "missed_queries"]].to_numpy().tolist() == [
        [1, "suspected wrong pair", "1.png", 1],
        [2, "suspected wrong pair", "2.png", 1],
        [3, "suspected wrong pair", "3.png", 0],
        [3, "short text", "3.png", 0],
        [4, "missing file", "gone.png", 0],
        [5, "text cleaned (html)", "1.png", 0],
    ]
    swapped, _, moved, *_, cleaned = table["suggestion"]
    assert swapped == "exchange the texts of 1.png and 2.png: each fits the other's image"
    assert moved == "move the text to 1.png (cosine 0.90; with its own image 0.10), or write another"
    assert cleaned == "write: a cat that sleeps on some cushions"


def test_a_text_that_was_read_in_its_image_is_listed_once_and_not_moved(run):
    evaluate(run)
    opened = mmlab.open_run("p")
    opened.items.loc[opened.items["item_id"] == id_of(run, RED), "origin"] = "ocr"
    opened.items.loc[opened.items["item_id"] == id_of(run, CUSHIONS), "origin"] = "ocr"
    table = opened.fixes().table
    read = table[table["suggestion"].str.startswith("write a text for the image: print")]
    assert read[["row", "finding"]].to_numpy().tolist() == [
        [3, "suspected wrong pair"],
        [5, "text read in the image"],
    ]


def test_an_image_has_the_findings_of_its_texts(run):
    evaluate(run)
    found = FixList.of_run(mmlab.open_run("p")).by_item.set_index("item_id")
    ids = [(row, kind) for row in (CAT, DOGS, RED) for kind in ("text", "image")]
    assert [found.at[id_of(run, *one), "place"] for one in ids] == [0, 0, 1, 1, 2, 2]
    assert set(found["finding"]) == {"suspected wrong pair"}  # the short text comes after it
    assert id_of(run, CUSHIONS) not in found.index


def test_the_last_judgement_by_hand_counts_where_it_contradicts_the_pairs(run):
    cat, dogs, cushions = (id_of(run, row) for row in (CAT, DOGS, CUSHIONS))
    first, second = id_of(run, CAT, "image"), id_of(run, DOGS, "image")
    judged = [(cat, first, 0), (cat, first, 1), (cushions, first, 0), (second, cat, 1), (dogs, second, 1)]
    labels = pd.DataFrame(judged, columns=["query_id", "item_id", "relevance"])
    append_labels(run.folder / "labels.jsonl", labels)
    table = run.fixes().table
    assert table[["row", "finding", "suggestion"]].to_numpy().tolist()[:2] == [
        [5, "judged not relevant by hand", "write a text that fits 1.png, or move this one"],
        [1, "judged relevant by hand", "it describes 2.png as well: join both pairs"],
    ]


def test_a_run_without_places_names_the_image_alone(run):
    manifest = read_manifest("p")
    manifest["steps"]["01_ingest"]["writes"].pop("places.parquet")
    (run.folder / "manifest.json").write_text(json.dumps(manifest))
    table = mmlab.open_run("p").fixes().table
    short = table[table["finding"] == "short text"].iloc[0]
    assert short["file"] == "3.png"
    assert pd.isna(short["row"])


def test_a_dataset_without_faults_has_nothing_to_repair(run, tmp_path):
    (tmp_path / "set" / "captions.csv").write_text("\n".join(ROWS.splitlines()[:3]))
    (tmp_path / "set" / "3.png").unlink()
    step = start_step("01_ingest", "q", dataset=str(tmp_path / "set"))
    mmlab.open_run(step).ingest(tmp_path / "set").write(step)
    step.finish("")
    found = mmlab.open_run("q").fixes()
    assert found.sentence == "Nothing was found that is to be repaired in the dataset."
    assert found.table.empty


def test_every_finding_of_ingest_has_an_advice():
    assert set(FINDINGS) <= set(ADVICE)


def test_the_command_writes_a_csv_that_a_spreadsheet_opens_safely(run, tmp_path, capsys):
    assert main(["export", "p", "--fixes", "--out", str(tmp_path / "out")]) == 0
    assert "missing file 1" in capsys.readouterr().out
    content = (tmp_path / "out" / "p.fixes.csv").read_text("utf-8")
    assert content.startswith("\ufefffile,row,finding,suggestion,image,text,missed_queries\n")
    assert "'=red" in content
    assert main(["export", "p", "--fixes"]) == 0
    assert (run.folder / "export" / "p.fixes.csv").read_text("utf-8") == content
