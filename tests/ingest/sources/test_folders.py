import pytest

from mmlab.ingest.sources.folders import folder_tags, match_texts, texts_in


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
    source = read({"a.jpg": b"", "._b.jpg": b"", ".thumbs/c.jpg": b"", "d.psd": b""})
    assert source.rows["image"].tolist() == ["a.jpg"]


WRAPPED = (
    "A red card lies on a wooden table beside a cup of coffee, and the light of\n"
    "the afternoon falls through the window onto both of them. Somebody has left\n"
    "a pen there.\n"
)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (WRAPPED, [WRAPPED.replace("\n", " ").strip()]),
        (WRAPPED.replace("\n", "\r\n"), [WRAPPED.replace("\n", " ").strip()]),
        (WRAPPED + "\n" + "Another one.\n", [WRAPPED.replace("\n", " ").strip(), "Another one."]),
        ("A dog runs\nTwo dogs run on the grass\nAn animal", ["A dog runs", "Two dogs run on the grass", "An animal"]),
        ("two dogs run on the grass\na dog runs", ["two dogs run on the grass", "a dog runs"]),
        ("A brown dog that runs over the green grass of the park in summer .\nA dog runs .",
         ["A brown dog that runs over the green grass of the park in summer .", "A dog runs ."]),
        ("1girl, red hair, smile", ["1girl, red hair, smile"]),
        (" \n\n", []),
    ],
)  # fmt: skip
def test_lines_that_an_editor_broke_are_one_text(content, texts):
    assert texts_in(content) == texts


@pytest.mark.parametrize(
    ("images", "others", "found"),
    [
        (["a.jpg"], ["a.txt", "a.caption", "a.json"], {"a.jpg": "a.caption"}),
        (["a.jpg"], ["a.jpg.txt"], {"a.jpg": "a.jpg.txt"}),
        (["a.JPG"], ["a.TXT"], {"a.JPG": "a.TXT"}),
        (["images/a.jpg"], ["captions/a.txt"], {"images/a.jpg": "captions/a.txt"}),
        (
            ["train/images/a.jpg"],
            ["train/texts/a.txt", "test/texts/a.txt"],
            {"train/images/a.jpg": "train/texts/a.txt"},
        ),
        (["x/a.jpg"], ["y/a.txt"], {}),
        (
            ["x/a.jpg", "x/b.jpg"],
            ["y/1/a.txt", "y/2/b.txt"],
            {"x/a.jpg": "y/1/a.txt", "x/b.jpg": "y/2/b.txt"},
        ),
        (["x/a.jpg", "x/b.jpg", "z/b.jpg"], ["y/1/a.txt", "y/2/b.txt"], {}),
        (["a.jpg"], ["readme.txt", "b.txt"], {}),
    ],
)
def test_the_text_of_an_image(images, others, found):
    assert match_texts(images, others) == found


def test_what_a_json_file_beside_an_image_says(read):
    files = {
        "a.jpg": b"", "a.json": {"caption": "A red card", "label": "card", "url": "http://x.example/a", "tags": ["x"]},
        "b.jpg": b"", "b.json": ["One card", "Two cards"], "c.jpg": b"", "c.json": "{broken",
    }  # fmt: skip
    rows = read(files).rows
    assert rows["caption"].tolist() == ["A red card", "One card", "Two cards", ""]
    assert rows["label"].tolist()[0] == "card" and rows["address"].tolist()[0] == "http://x.example/a"
    assert rows["problem"].notna().tolist() == [False, False, False, True]


def test_shards_are_no_labels(read):
    files = {f"0000{shard}/{number}.jpg": b"" for shard in (0, 1) for number in "ab"}
    assert read(files).rows["label"].isna().all()
