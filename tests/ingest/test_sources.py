import pytest

from mmlab.ingest.sources import read_folder

HEADER = ("image", "caption")


def test_cells_are_text_as_written(dataset):
    rows = read_folder(dataset({}, [("a.jpg", "NA"), ("007", " 1.50 "), ("null", "")], HEADER))
    assert rows["image"].tolist() == ["a.jpg", "007", "null"]
    assert rows["caption"].tolist() == ["NA", " 1.50 ", ""]
    assert rows.index.tolist() == [1, 2, 3]
    assert rows.index.name == "row"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_with_and_without_its_mark(dataset, encoding):
    rows = read_folder(dataset({}, [("ä.jpg", "Ein Käfer")], HEADER, encoding))
    assert rows.columns.tolist() == ["image", "caption", "label", "split"]
    assert rows["caption"].tolist() == ["Ein Käfer"]


def test_the_users_columns_survive(dataset):
    header = ("caption", "price", "image", "split", "modality", "reason")
    rows = read_folder(
        dataset({}, [("a dog", "5", "a.jpg", "train", "photo", ""), ("", "", "", "", "", "x")], header)
    )
    assert rows.columns.tolist() == [
        "image",
        "caption",
        "label",
        "split",
        "price",
        "source_modality",
        "reason",
    ]
    assert rows.loc[1].tolist()[:2] + rows.loc[1].tolist()[3:6] == ["a.jpg", "a dog", "train", "5", "photo"]
    assert rows["label"].isna().all()
    assert rows.isna().loc[2].tolist() == [False, False, True, True, True, True, False]


def test_two_columns_never_get_one_name(dataset):
    header = ("image", "caption", "text", "source_text", " text ")
    rows = read_folder(dataset({}, [("a.jpg", "b", "1", "2", "3")], header))
    assert rows.columns.is_unique
    assert rows.loc[1].dropna().tolist() == ["a.jpg", "b", "1", "2", "3"]


def test_rows_that_end_early_have_empty_cells(dataset):
    rows = read_folder(dataset({}, [("a.jpg",), ("b.jpg", "text", "shoes")], ("image", "caption", "label")))
    assert rows["caption"].tolist() == ["", "text"]
    assert rows["label"].isna().tolist() == [True, False]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder with a captions.csv, found nothing there"
    ):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=r"found a file there"):
        read_folder(tmp_path / "file")


def test_a_folder_without_captions(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(FileNotFoundError, match=r"expected captions.csv .*found \['labels.csv'\]"):
        read_folder(tmp_path)


def test_missing_columns(dataset):
    with pytest.raises(ValueError, match=r"columns \['caption'\] are missing; found \['image', 'title'\]"):
        read_folder(dataset({}, [("a.jpg", "b")], ("image", "title")))


def test_no_rows(dataset):
    with pytest.raises(ValueError, match=r"has a header but no rows: add one row per caption"):
        read_folder(dataset({}, []))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: expected a header"),
        (b"image,caption\na.jpg,caf\xe9\n", "is not UTF-8 .*save it as UTF-8"),
        (b"image,caption\na.jpg,x\na.jpg,a dog, a cat\n", "line 3, saw 3.*quote captions that hold commas"),
        (b'image,caption\na.jpg,"never closed\nb.jpg,x\n', "EOF inside string.*quote captions"),
        (b"image,caption\na.jpg,a dog, a cat\n", "more fields than the header: name every column"),
    ],
)
def test_a_csv_that_cannot_be_read(tmp_path, content, message):
    (tmp_path / "captions.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)
