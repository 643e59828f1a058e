import os

import pandas as pd
import pytest
from PIL import Image

from mmlab.ingest.images import image_name, read_pictures
from mmlab.items import file_hash


@pytest.fixture
def folder(tmp_path):
    """good.png (30 x 20), a note, a truncated JPEG, an empty file, and a picture beside the folder."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    for path in (folder / "good.png", tmp_path / "outside.png", folder / "cut.jpg"):
        Image.effect_noise((30, 20), 80).convert("RGB").save(path)
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-200])
    (folder / "note.png").write_text("no picture")
    (folder / "empty.png").touch()
    return folder


def reasons(folder, *names):
    return read_pictures(folder, names, progress=False)["reason"].tolist()


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        (" a/c/../b.jpg ", "a/b.jpg"),
        ("../b.jpg", "../b.jpg"),
        (" ", ""),
    ],
)
def test_one_file_has_one_name(entry, name):
    assert image_name(entry) == name


def test_a_picture_is_measured_and_hashed(folder):
    pictures = read_pictures(folder, ["good.png"], progress=False)
    path = folder / "good.png"
    assert pictures.loc["good.png", ["path", "content"]].tolist() == [str(path), file_hash(path)]
    assert pictures.loc["good.png", ["width", "height"]].tolist() == [30, 20]
    assert pictures[["reason", "detail"]].isna().all(axis=None)


def test_the_size_is_that_of_the_upright_picture(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (30, 20)).save(folder / "side.jpg", exif=exif)
    pictures = read_pictures(folder, ["side.jpg"], progress=False)
    assert pictures.loc["side.jpg", ["width", "height"]].tolist() == [20, 30]


def test_what_cannot_be_opened_has_a_reason(folder):
    found = reasons(folder, "cut.jpg", "note.png", "empty.png", "none.png", "", "nul\0.png", "x" * 5000)
    expected = ["damaged file", "not a picture", "empty file", "missing file", "no image named"]
    assert found == [*expected, "missing file", "missing file"]


def test_folders_and_pipes_are_not_opened(folder):
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    assert reasons(folder, "pipe.png", "folder.png", ".") == ["missing file"] * 3


def test_a_path_that_leaves_the_dataset_is_not_opened(folder):
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "inner.png").symlink_to(folder / "good.png")
    (folder / "loop.png").symlink_to("loop.png")
    outside = folder.parent / "outside.png"
    assert reasons(folder, "link.png", "../outside.png", str(outside)) == ["path leaves the dataset"] * 3
    assert reasons(folder, str(folder / "good.png"), "/dev/zero") == ["path leaves the dataset"] * 2
    found = reasons(folder, "inner.png", "loop.png")
    assert pd.isna(found[0])
    assert found[1] == "missing file"


def test_many_pictures_keep_their_order(folder):
    names = [f"{number}.png" for number in range(1205)]
    for number in range(0, 1205, 100):
        Image.new("L", (number + 1, 1)).save(folder / f"{number}.png")
    pictures = read_pictures(folder, names, progress=False)
    assert pictures.index.tolist() == names
    assert pictures["width"].dropna().tolist() == [number + 1 for number in range(0, 1205, 100)]
