from dataclasses import replace

import pandas as pd
import pytest

from mmlab.ingest import Rules, ingest_items


@pytest.fixture
def result(dataset):
    """Seven rows: two texts, an image without text, and one of each common refusal; a copy of an image."""
    folder = dataset(
        {"a.png": "red", "b.png": "blue", "copy.png": "red"},
        [
            ("a.png", "a red square on nothing"),
            ("a.png", "red"),
            ("b.png", ""),
            ("none.png", "a square that is not there"),
            ("none.png", "nothing to be seen here"),
            ("copy.png", "the same square once more"),
            ("copy.png", "<p>a red square on nothing</p>"),
        ],
    )
    return ingest_items(folder, rules=Rules(refuse=["short text"]), progress=False)


def test_the_counts_add_up(result):
    expected = [
        ("text item", 2, 0),
        ("no caption", 1, 0),
        ("image item", 0, 2),
        ("missing file", 2, 1),
        ("short text", 1, 0),
        ("repeated caption", 1, 0),
        ("duplicate image", 0, 1),
        ("total", 7, 4),
    ]
    found = result.balance()
    assert found.columns.tolist() == ["outcome", "rows", "images"]
    assert sorted(found.itertuples(index=False, name=None)) == sorted(expected)
    assert found["outcome"].iloc[-1] == "total"
    assert found[["rows", "images"]].iloc[:-1].sum().tolist() == found[["rows", "images"]].iloc[-1].tolist()


def test_it_says_what_it_is(result):
    assert result.rows == 7
    expected = "IngestResult(2 images and 2 texts from 7 rows; 4 rows skipped, 1 texts cleaned)"
    assert repr(result) == expected
    shown = replace(result, counts={"images decoded": 3}, notes=["no Tesseract"])._repr_markdown_()
    assert shown == f"{expected}\n\nRead as *csv*: 3 images decoded.\n\n> no Tesseract"


def test_flags_are_counted_one_by_one(result):
    flags = ["dark, tiny", "dark", None, None]
    assert replace(result, items=result.items.assign(flags=flags)).flag_counts().to_dict() == {
        "dark": 2,
        "tiny": 1,
    }


def test_examples_show_each_reason_with_its_image(result):
    examples = result.examples(each=1)
    assert examples["reason"].tolist() == [
        *("duplicate image", "missing file", "repeated caption", "short text")
    ]
    files = examples["file"].fillna("(none)").map(lambda path: path.rsplit("/", 1)[-1])
    assert files.tolist() == ["copy.png", "(none)", "copy.png", "a.png"]
    assert examples["caption"].tolist()[-1] == "short text: red (1 words, expected at least 5)"


def test_a_result_that_does_not_balance_is_refused(result):
    text = result.items.index[result.items["modality"] == "text"][0]
    image = result.items.index[result.items["modality"] == "image"][0]
    with pytest.raises(ValueError, match="of 7 rows, 2 should be texts and 4 skipped; found 1 texts"):
        replace(result, items=result.items.drop(text))
    with pytest.raises(ValueError, match="found 2 texts and 3 skipped rows"):
        replace(result, skipped=result.skipped.iloc[1:])
    with pytest.raises(ValueError, match="found 2 texts and 5 skipped rows"):
        replace(result, skipped=pd.concat([result.skipped.iloc[:1], result.skipped]))
    with pytest.raises(
        ValueError, match="name 4 images, 4 have an outcome and 2 should be items; found 1 items"
    ):
        replace(result, items=result.items.drop(image))
    with pytest.raises(ValueError, match="name 4 images, 3 have an outcome"):
        replace(result, images=result.images.iloc[1:])


def test_every_item_and_every_refused_row_has_a_place(result):
    places, refused = result.places, result.skipped["row"].dropna()
    assert sorted(places["item_id"].dropna()) == sorted(result.items["item_id"])
    assert sorted(places.loc[places["item_id"].isna(), "row"]) == sorted(refused)
    assert (places["record"] == places["row"]).all()  # of one table with one text a row
