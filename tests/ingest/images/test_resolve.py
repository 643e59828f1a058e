import base64

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.quality import DTYPES, ImageFacts
from mmlab.ingest.images.resolve import add_downloads, assess_images
from mmlab.ingest.rules import REFUSED, Rules
from mmlab.ingest.web.fetch import KIND as FETCHED

RED, BLUE = (base64.b64encode(bytes(colour) * 16).decode() for colour in ((200, 0, 0), (0, 0, 200)))


def facts(content, phash="00" * 8, colours=RED, **others):
    sound = {"width": 100, "height": 80, "brightness": 0.5, "contrast": 0.2, "sharpness": 0.1}
    return ImageFacts(content=content, phash=phash, signature=colours, **(sound | others))


def assessed(by_name, **rules):
    table = pd.DataFrame(by_name.values(), pd.Index(list(by_name), dtype="str"), ImageFacts._fields).astype(
        DTYPES
    )
    return assess_images(table, Rules(**rules))


@pytest.fixture
def cache(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        yield cache


def named(**files):
    """The names of images with their files; those without one have a reason, but for addresses."""
    reasons = [None if file or name.startswith("http") else "missing file" for name, file in files.items()]
    return pd.DataFrame(
        {"file": list(files.values()), "reason": reasons, "detail": None}, list(files)
    ).astype("str")


def test_images_on_disk_and_missing_ones_stay_as_they_are(tmp_path, cache):
    found = named(**{"a.png": "/there/a.png", "b.png": None})
    files = add_downloads(found, Rules(), cache, Blobs(tmp_path), progress=False)
    pd.testing.assert_frame_equal(files, found)


@pytest.mark.parametrize(("allowed", "number"), [(0, 1), (2, 3)])
def test_no_more_is_fetched_than_is_allowed(tmp_path, cache, allowed, number):
    """Nothing listens there: a request would come back as unreachable instead of an error."""
    addresses = {f"http://127.0.0.1:9/{n}.png": None for n in range(number)}
    rules = Rules(max_downloads=allowed, private_addresses=True)
    advice = f"{number} images lie on the web.*-p max_downloads={number} to fetch.*-p images_at=FOLDER"
    with pytest.raises(ValueError, match=advice):
        add_downloads(named(**addresses), rules, cache, Blobs(tmp_path), progress=False)
    few = dict(list(addresses.items())[:allowed])
    files = add_downloads(named(**{"a.png": "/a", **few}), rules, cache, Blobs(tmp_path), progress=False)
    assert files["reason"].fillna("").tolist() == ["", *["unreachable"] * allowed]


def test_what_was_fetched_before_does_not_count(tmp_path, cache):
    blobs, address = Blobs(tmp_path / "blobs"), "http://127.0.0.1:9/a.png"
    kept = blobs.put(b"an image").relative_to(blobs.folder.resolve())
    cache.put(FETCHED, {address: kept.as_posix()})
    files = add_downloads(named(**{address: None}), Rules(max_downloads=0), cache, blobs, progress=False)
    assert files["file"].tolist() == [str(blobs.folder / kept)]
    with pytest.raises(ValueError, match="1 images lie on the web"):
        add_downloads(
            named(**{address: None, "http://127.0.0.1:9/b.png": None}),
            Rules(max_downloads=0),
            cache,
            blobs,
            False,
        )


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
