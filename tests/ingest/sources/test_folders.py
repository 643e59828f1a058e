import pytest

from mmlab.ingest.sources.folders import folder_tags


def test_a_text_beside_an_image_has_a_caption_per_line(read):
    files = {
        "a.jpg": b"",
        "a.txt": "one\n\n  two\r\n \n",
        "b.JPG": b"",
        "c.png": b"",
        "c.txt": "",
        "notes.txt": "x",
    }
    source = read(files)
    assert source.kind == "sidecar"
    assert source.rows["image"].tolist() == ["a.jpg", "a.jpg", "b.JPG", "c.png"]
    assert source.rows["caption"].tolist() == ["one", "two", "", ""]


def test_texts_in_other_encodings(read):
    files = {"a.jpg": b"", "a.txt": "Käfer".encode("cp1252"), "b.jpg": b"", "b.txt": "Käfer".encode("utf-16")}
    assert read(files).rows["caption"].tolist() == ["Käfer", "Käfer"]


def test_a_broken_text_costs_itself_only(read):
    files = {
        "a.jpg": b"",
        "a.txt": b"\xff\xfex",
        "b.jpg": b"",
        "b.txt": b"x" * 1_000_001,
        "c.jpg": b"",
        "c.txt": "C",
    }
    rows = read(files).rows
    assert rows["problem"].notna().tolist() == [True, True, False]
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg"] and rows.loc[3, "caption"] == "C"
    assert rows.loc[2, "detail"] == "expected at most 1,000,000 bytes in b.txt, found more"


@pytest.mark.parametrize(
    ("names", "labels", "splits"),
    [
        (["x/1.jpg", "y/z/2.jpg"], ["x", "y"], [None, None]),
        (["x/1.jpg", "2.jpg"], [None, None], [None, None]),
        (["images/1.jpg", "images/2.jpg"], [None, None], [None, None]),
        (["train/x/1.jpg", "Test/y/2.jpg"], ["x", "y"], ["train", "test"]),
        (["train/1.jpg", "val/2.jpg"], [None, None], ["train", "val"]),
    ],
)
def test_folders_tell_label_and_split(names, labels, splits):
    assert folder_tags(names) == list(zip(labels, splits, strict=True))


def test_folders_tell_them_in_both_kinds(read):
    files = {"x/1.jpg": b"", "y/2.jpg": b""}
    assert read(files).rows["label"].tolist() == ["x", "y"]
    source = read(files | {"x/1.txt": "one\ntwo"})
    assert (source.kind, source.rows["label"].tolist()) == ("sidecar", ["x", "x", "y"])


def test_hidden_files_are_not_seen(read):
    source = read({"a.jpg": b"", "._b.jpg": b"", ".thumbs/c.jpg": b"", "d.heic": b""})
    assert source.rows["image"].tolist() == ["a.jpg"]
