import base64
import os

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.quality import DTYPES, ImageFacts
from mmlab.ingest.images.resolve import assess_images, find_files, locate, normalize_name
from mmlab.ingest.rules import REFUSED, Rules
from mmlab.items import ImageError

RED, BLUE = (base64.b64encode(bytes(colour) * 16).decode() for colour in ((200, 0, 0), (0, 0, 200)))


def facts(content, phash="00" * 8, colours=RED, **others):
    sound = {"width": 100, "height": 80, "brightness": 0.5, "contrast": 0.2, "sharpness": 0.1}
    return ImageFacts(content=content, phash=phash, signature=colours, **(sound | others))


def assessed(by_name, **rules):
    table = pd.DataFrame(by_name.values(), pd.Index(list(by_name), dtype="str"), ImageFacts._fields).astype(
        DTYPES
    )
    return assess_images(table, Rules(**rules))


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        (" a/c/../b.jpg ", "a/b.jpg"),
        ("../b.jpg", "../b.jpg"),
        (" ", ""),
        (" https://example.org/a//b/../c.jpg?d=e ", "https://example.org/a//b/../c.jpg?d=e"),
        ("HTTP://example.org/a", "HTTP://example.org/a"),
    ],
)
def test_a_path_has_one_spelling_and_an_address_stays(entry, name):
    assert normalize_name(entry) == name


@pytest.fixture
def folder(tmp_path):
    """A folder with good.png, and outside.png beside it."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    for path in (folder / "good.png", tmp_path / "outside.png"):
        path.write_bytes(b"an image")
    return folder


def located(root, name):
    try:
        return locate(root, name)
    except ImageError as error:
        return str(error)


def test_a_file_is_located_below_the_root(folder):
    (folder / "inner.png").symlink_to(folder / "good.png")
    assert located(folder, "good.png") == located(folder, str(folder / "good.png")) == folder / "good.png"
    assert located(folder, "inner.png") == folder / "inner.png"
    assert located(folder, "") == "no image named"


@pytest.mark.parametrize(
    "name", ["none.png", "nul\0.png", "x" * 5000, "loop.png", "pipe.png", "folder.png", "."]
)
def test_what_is_no_file_is_missing(folder, name):
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    assert located(folder, name) == "missing file"


@pytest.mark.parametrize("name", ["link.png", "../outside.png", "/dev/zero", "/etc/passwd"])
def test_a_path_that_leaves_the_dataset_is_not_located(folder, name):
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    assert located(folder, name) == "path leaves the dataset"
    assert located(folder, str(folder.parent / "outside.png")) == "path leaves the dataset"


def test_an_image_that_came_with_its_file_is_not_looked_for(tmp_path):
    (tmp_path / "b.png").write_bytes(b"b")
    named = pd.Series(
        ["/kept/a", None, None], pd.Index(["a.png", "b.png", "c.png"], dtype="str"), dtype="str"
    )
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        files = find_files(
            named, tmp_path.resolve(), Rules(), cache, Blobs(tmp_path / "kept"), progress=False
        )
    assert files["file"].fillna("").tolist() == ["/kept/a", str(tmp_path / "b.png"), ""]
    assert files["reason"].fillna("").tolist() == ["", "", "missing file"]


def test_equal_bytes_go_to_the_first_and_near_ones_are_marked():
    images = assessed({"a": facts("1"), "b": facts("1"), "c": facts("2", phash="00" * 7 + "01")})
    assert images["pair_id"].tolist() == ["a", "a", "c"]
    assert images["outcome"].tolist() == ["image item", "duplicate image", "image item"]
    assert images["group"].tolist() == ["a", "a", "a"]
    assert images["flags"].tolist() == ["", "", "near duplicate"]
    assert images["duplicate_of"].fillna("").tolist() == ["", "a", "a"]


def test_a_copy_of_a_near_duplicate_goes_where_that_goes():
    near = {"phash": "00" * 7 + "01"}
    images = assessed(
        {"a": facts("1"), "b": facts("2", **near), "c": facts("2", **near)}, refuse=["near duplicate"]
    )
    assert images["pair_id"].tolist() == ["a", "a", "a"]
    assert images["outcome"].tolist() == ["image item", "near duplicate", "duplicate image"]
    assert images["detail"].fillna("").tolist() == ["", "looks like a", "same bytes as b"]


def test_another_colour_is_another_image():
    assert assessed({"a": facts("1"), "b": facts("2", colours=BLUE)})["group"].tolist() == ["a", "b"]


def test_an_odd_image_is_marked_or_refused():
    by_name = {"a": facts("1", width=400), "b": facts("2", width=8, colours=BLUE)}
    assert assessed(by_name)["outcome"].tolist() == ["image item", "tiny"]
    kept = assessed(by_name, keep=REFUSED, refuse=["extreme aspect"])
    assert kept["outcome"].tolist() == ["extreme aspect", "extreme aspect"]
    assert assessed(by_name, keep=REFUSED)["flags"].tolist() == ["extreme aspect", "tiny, extreme aspect"]


def test_a_refused_image_is_nobodys_first():
    images = assessed({"a": facts("1", brightness=0.01, contrast=0.03), "b": facts("2")}, refuse=["dark"])
    assert images["outcome"].tolist() == ["dark", "image item"]
    assert images["group"].tolist() == ["a", "b"]


def test_a_file_that_could_not_be_read_keeps_its_reason():
    images = assessed({"a": ImageFacts(reason="damaged file", detail="cut"), "b": facts("2")})
    assert images["outcome"].tolist() == ["damaged file", "image item"]
    assert images["detail"].tolist()[0] == "cut"
