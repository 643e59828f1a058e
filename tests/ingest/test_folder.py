import hashlib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmlab
from mmlab.ingest import ingest_folder
from mmlab.items import ITEM_COLUMNS, SKIPPED_COLUMNS, item_id, read_items, write_items

PHOTOS = Path(mmlab.__file__).parents[2] / "shared" / "photos" / "flickr8k-200"
LONG = "a red square on nothing"


def test_an_image_comes_before_its_texts(dataset):
    folder = dataset(
        {"a.png": "red", "b.png": "blue"}, [("a.png", LONG), ("b.png", LONG), ("a.png", LONG + "!")]
    )
    items = ingest_folder(folder, progress=False).items
    assert items["modality"].tolist() == ["image", "text", "image", "text", "text"]
    assert items["pair_id"].tolist() == ["a.png", "a.png", "b.png", "b.png", "a.png"]
    assert items["origin"].tolist() == ["image", "caption", "image", "caption", "caption"]
    assert items["image"].dropna().tolist() == [str(folder / "a.png"), str(folder / "b.png")]
    assert items["width"].tolist() == [30, pd.NA, 30, pd.NA, pd.NA]


def test_ids_come_from_pair_and_content(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)])
    first, again = (ingest_folder(folder, progress=False).items for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    content = hashlib.sha256(LONG.encode()).hexdigest()
    assert first.loc[1, ["content", "item_id"]].tolist() == [content, item_id("text", "a.png", content)]


def test_captions_of_a_duplicate_go_to_the_first(dataset):
    folder = dataset(
        {"a.png": "red", "b.png": "red"}, [("a.png", LONG), ("b.png", "another text for the same")]
    )
    ingested = ingest_folder(folder, progress=False)
    assert ingested.items["pair_id"].tolist() == ["a.png"] * 3
    assert ingested.skipped[["source", "reason", "detail"]].values.tolist() == [
        ["b.png", "duplicate image", "same bytes as a.png"]
    ]
    assert ingested.skipped["row"].isna().all()


def test_an_image_whose_captions_are_refused_stays(dataset):
    ingested = ingest_folder(dataset({"a.png": "red"}, [("a.png", "red"), ("a.png", "blue")]), progress=False)
    assert ingested.items["modality"].tolist() == ["image"]
    assert ingested.skipped["row"].tolist() == [1, 2]
    assert ingested.skipped["text"].tolist() == ["red", "blue"]


def test_label_split_and_own_columns_follow_their_row(dataset):
    header = ("image", "caption", "split", "label", "reason", "path", "width")
    rows = [
        ("a.png", LONG, "test", "square", "why", "there", "9"),
        ("a.png", LONG + "!", "train", "", "", "", ""),
    ]
    items = ingest_folder(dataset({"a.png": "red"}, rows, header), progress=False).items
    assert items.columns.tolist() == [*ITEM_COLUMNS, "reason", "path", "source_width"]
    assert items["split"].tolist() == ["test", "test", "train"]
    assert items[["label", "reason", "path", "source_width"]].isna().all(axis=1).tolist() == [
        False,
        False,
        True,
    ]
    assert items.loc[0, ["label", "reason", "path", "source_width", "width"]].tolist() == [
        *("square", "why", "there", "9", 30)
    ]


def test_changes_show_before_and_after(dataset):
    ingested = ingest_folder(
        dataset({"a.png": "red"}, [("a.png", LONG), ("a.png", f"<p>{LONG} \n &amp;")]), 0, False
    )
    assert ingested.changes.values.tolist() == [[2, f"<p>{LONG} \n &amp;", f"{LONG} &", "html, whitespace"]]


def test_items_come_back_from_disk_as_they_were(dataset, tmp_path):
    header = ("image", "caption", "price")
    folder = dataset({"a.png": "red", "b.png": "blue"}, [("a.png", LONG, "5"), ("b.png", "", "")], header)
    items = ingest_folder(folder, progress=False).items
    pd.testing.assert_frame_equal(read_items(write_items(items, tmp_path / "items.parquet")), items)


def test_nothing_usable_is_still_told(dataset):
    ingested = ingest_folder(dataset({}, [("none.png", LONG), ("", LONG)]), progress=False)
    assert ingested.items.empty
    assert ingested.items.columns.tolist() == list(ITEM_COLUMNS)
    assert ingested.skipped["reason"].tolist() == ["missing file", "no image named"]


def test_a_dataset_is_given_from_the_project(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-dataset: expected a folder with a captions.csv"):
        ingest_folder("no-such-dataset")


NAMES = st.sampled_from(["a.png", "b.png", "same.png", "bad.png", "./a.png", "..", "", "/etc", "none.png"])
CAPTIONS = st.text(max_size=12) | st.sampled_from(["", LONG, f"<b>{LONG}", "<br>", "NA"])


@given(rows=st.lists(st.tuples(NAMES, CAPTIONS), min_size=1, max_size=12), min_words=st.integers(0, 3))
@settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_ledger_balances_whatever_comes(dataset, rows, min_words):
    """Balance is checked when the result is made; here only that any table of rows gets there."""
    folder = dataset({"a.png": "red", "b.png": "blue", "same.png": "red"}, rows)
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    try:
        ingested = ingest_folder(folder, min_words, progress=False)
    except ValueError as error:
        assert "comma-separated table" in str(error)  # noqa: PT017
        return
    assert ingested.skipped.columns.tolist() == list(SKIPPED_COLUMNS)
    assert ingested.ledger()["rows"].iloc[:-1].sum() == ingested.rows


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the 200 photos are not here")
def test_the_200_photos_give_200_images_and_1000_texts():
    ingested = ingest_folder(PHOTOS, min_words=0, progress=False)
    assert ingested.items["modality"].value_counts().to_dict() == {"text": 1000, "image": 200}
    assert ingested.skipped.empty
