import base64

import pandas as pd
import pytest

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.images.quality import DTYPES, Look
from mmlab.ingest.images.resolve import entry_name, find_files, judge_images
from mmlab.ingest.rules import REFUSED, Rules

RED, BLUE = (base64.b64encode(bytes(colour) * 16).decode() for colour in ((200, 0, 0), (0, 0, 200)))


def look(content, phash="00" * 8, colours=RED, **facts):
    sound = {"width": 100, "height": 80, "brightness": 0.5, "contrast": 0.2, "sharpness": 0.1}
    return Look(content=content, phash=phash, signature=colours, **(sound | facts))


def judged(looks, **rules):
    table = pd.DataFrame(looks.values(), pd.Index(list(looks), dtype="str"), Look._fields).astype(DTYPES)
    return judge_images(table, Rules(**rules))


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (" a/../b.jpg ", "b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("", ""),
        (" https://example.org/a//b/../c.jpg?d=e ", "https://example.org/a//b/../c.jpg?d=e"),
        ("HTTP://example.org/a", "HTTP://example.org/a"),
    ],
)
def test_a_path_has_one_spelling_and_an_address_stays(entry, name):
    assert entry_name(entry) == name


def test_an_image_that_came_with_its_file_is_not_looked_for(tmp_path):
    (tmp_path / "b.png").write_bytes(b"b")
    named = pd.Series(
        ["/kept/a", None, None], pd.Index(["a.png", "b.png", "c.png"], dtype="str"), dtype="str"
    )
    with Memo(tmp_path / "memo.sqlite") as memo:
        files = find_files(named, tmp_path.resolve(), Rules(), memo, Blobs(tmp_path / "kept"), progress=False)
    assert files["file"].fillna("").tolist() == ["/kept/a", str(tmp_path / "b.png"), ""]
    assert files["reason"].fillna("").tolist() == ["", "", "missing file"]


def test_equal_bytes_go_to_the_first_and_near_ones_are_marked():
    images = judged({"a": look("1"), "b": look("1"), "c": look("2", phash="00" * 7 + "01")})
    assert images["pair_id"].tolist() == ["a", "a", "c"]
    assert images["outcome"].tolist() == ["image item", "duplicate image", "image item"]
    assert images["group"].tolist() == ["a", "a", "a"]
    assert images["flags"].tolist() == ["", "", "near duplicate"]
    assert images["duplicate_of"].fillna("").tolist() == ["", "a", "a"]


def test_a_copy_of_a_near_duplicate_goes_where_that_goes():
    near = {"phash": "00" * 7 + "01"}
    images = judged(
        {"a": look("1"), "b": look("2", **near), "c": look("2", **near)}, refuse=["near duplicate"]
    )
    assert images["pair_id"].tolist() == ["a", "a", "a"]
    assert images["outcome"].tolist() == ["image item", "near duplicate", "duplicate image"]
    assert images["detail"].fillna("").tolist() == ["", "looks like a", "same bytes as b"]


def test_another_colour_is_another_image():
    assert judged({"a": look("1"), "b": look("2", colours=BLUE)})["group"].tolist() == ["a", "b"]


def test_an_odd_image_is_marked_or_refused():
    looks = {"a": look("1", width=400), "b": look("2", width=8, colours=BLUE)}
    assert judged(looks)["outcome"].tolist() == ["image item", "tiny"]
    kept = judged(looks, keep=REFUSED, refuse=["extreme aspect"])
    assert kept["outcome"].tolist() == ["extreme aspect", "extreme aspect"]
    assert judged(looks, keep=REFUSED)["flags"].tolist() == ["extreme aspect", "tiny, extreme aspect"]


def test_a_refused_image_is_nobodys_first():
    images = judged({"a": look("1", brightness=0.01, contrast=0.03), "b": look("2")}, refuse=["dark"])
    assert images["outcome"].tolist() == ["dark", "image item"]
    assert images["group"].tolist() == ["a", "b"]


def test_a_file_that_could_not_be_read_keeps_its_reason():
    images = judged({"a": Look(reason="damaged file", detail="cut"), "b": look("2")})
    assert images["outcome"].tolist() == ["damaged file", "image item"]
    assert images["detail"].tolist()[0] == "cut"
