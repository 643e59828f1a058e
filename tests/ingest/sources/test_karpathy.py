import pytest


def entry(name, *captions, **fields):
    return {"filename": name, "split": "train", "sentences": [{"raw": text} for text in captions], **fields}


def test_sentences_and_splits_as_written(read):
    images = [entry("a.jpg", "A", "B"), entry("b.jpg", split="restval"), entry("c.jpg", "C", split=None)]
    rows = read({"dataset_own.json": {"images": images}}).rows
    assert rows["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["A", "B", "", "C"]
    assert rows["split"].tolist()[:3] == ["train", "train", "restval"] and rows["split"].isna()[4]


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        ("", "a.jpg"),
        ("val2014/", "val2014/a.jpg"),
        ("images/val2014/", "images/val2014/a.jpg"),
        ("images/", "images/a.jpg"),
    ],
)
def test_images_are_found_by_their_filepath_or_without(read, folder, named):
    images = [entry("a.jpg", "A", filepath="val2014")]
    source = read({"dataset_coco.json": {"images": images}, f"{folder}a.jpg": b""})
    assert source.rows["image"].tolist() == [named]


def test_a_broken_entry_costs_itself_only(read):
    images = [
        entry("a.jpg", "A"),
        entry("b.jpg") | {"sentences": [{"tokens": []}]},
        {"filename": "c.jpg"},
        3,
        {},
    ]
    rows = read({"dataset_own.json": {"images": images}}).rows
    assert rows["problem"].notna().tolist() == [False, True, True, True, True]
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "", ""]
    assert rows["caption"].tolist() == ["A", '[{"tokens":[]}]', '{"filename":"c.jpg"}', "3", "{}"]
    assert rows.loc[3, "detail"] == "expected an image with filename and sentences"


@pytest.mark.parametrize("content", [{"images": []}, {"images": {}}, [], {}])
def test_a_file_that_is_not_karpathys(read, content):
    with pytest.raises(ValueError, match=r"own.json is not Karpathy's: expected an object with a list"):
        read({"own.json": content}, "karpathy", name="own.json")
