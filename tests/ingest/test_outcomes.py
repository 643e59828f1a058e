import base64

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.fetch import KIND as FETCHED
from mmlab.ingest.images.quality import DTYPES, ImageFacts
from mmlab.ingest.outcomes import (
    add_downloads,
    assess_images,
    assign_splits,
    decide_outcomes,
    evaluation_split,
)
from mmlab.ingest.rules import REFUSED, Rules

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
    assert images["group"].tolist() == [0, 0, 0]
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
    assert assessed({"a": facts("1"), "b": facts("2", colours=BLUE)})["group"].tolist() == [0, 1]


def test_an_odd_image_is_marked_or_refused():
    by_name = {"a": facts("1", width=400), "b": facts("2", width=8, colours=BLUE)}
    assert assessed(by_name)["outcome"].tolist() == ["image item", "tiny"]
    kept = assessed(by_name, keep=REFUSED, refuse=["extreme aspect"])
    assert kept["outcome"].tolist() == ["extreme aspect", "extreme aspect"]
    assert assessed(by_name, keep=REFUSED)["flags"].tolist() == ["extreme aspect", "tiny, extreme aspect"]


def test_a_refused_image_is_nobodys_first():
    images = assessed({"a": facts("1", brightness=0.01, contrast=0.03), "b": facts("2")}, refuse=["dark"])
    assert images["outcome"].tolist() == ["dark", "image item"]
    assert images["group"].tolist() == [0, 1]


def test_a_file_that_could_not_be_read_keeps_its_reason():
    images = assessed({"a": ImageFacts(reason="damaged file", detail="cut"), "b": facts("2")})
    assert images["outcome"].tolist() == ["damaged file", "image item"]
    assert images["detail"].tolist()[0] == "cut"


def strings(*values):
    return pd.Series(values, dtype="str")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train", "test"], "test"),
        (["train", "val", "train"], "val"),
        (["dev", "TEST"], "TEST"),
        (["a", "b"], "a"),
        ([None, "train"], "train"),
    ],
)
def test_the_split_that_is_evaluated_on_comes_first(splits, expected):
    groups = strings(*["g"] * len(splits))
    assert evaluation_split(strings(*splits), groups).tolist() == [expected] * len(splits)


def test_groups_do_not_mix():
    assert evaluation_split(strings("train", "test", "val"), strings("g", "h", "g")).tolist() == [
        *("val", "test", "val")
    ]


def assigned(splits, pair_ids, groups, **rules):
    """One row per image a, b, c ... with its split."""
    names = pd.Index(list("abcde")[: len(splits)])
    rows = pd.DataFrame({"name": names, "split": splits}, dtype="str")
    images = pd.DataFrame(
        {"pair_id": pair_ids, "group": groups, "outcome": "image item", "detail": None, "flags": ""},
        names,
        dtype="str",
    )
    return assign_splits(rows, images, Rules(**rules))


def test_the_copy_outside_of_the_evaluated_split_is_the_leak():
    images = assigned(["test", "train", "train"], ["a", "b", "c"], ["a", "a", "c"])
    assert images["flags"].tolist() == ["", "split leak", ""]
    assert images["outcome"].eq("image item").all()


def test_the_evaluated_copy_stays_even_where_it_comes_later():
    images = assigned(["train", "test"], ["a", "b"], ["a", "a"])
    assert images["flags"].tolist() == ["split leak", ""]


def test_a_leak_is_refused_where_the_rules_say_so():
    images = assigned(["test", "train"], ["a", "b"], ["a", "a"], refuse=["split leak"])
    assert images["outcome"].tolist() == ["image item", "split leak"]
    assert images.loc["b", "detail"] == "a near duplicate is in split test"


def test_merged_images_take_the_split_that_is_evaluated_on():
    images = assigned(["train", "test"], ["a", "a"], ["a", "a"])
    assert images["split"].tolist() == ["test", "test"]
    assert images["flags"].tolist() == ["", ""]


def test_without_splits_nothing_leaks():
    images = assigned([None, None], ["a", "b"], ["a", "a"])
    assert images["split"].isna().all()
    assert images["flags"].tolist() == ["", ""]


IMAGES = {  # name: pair_id, split of its group, outcome, detail
    "a": ("a", "test", "image item", None),
    "copy of a": ("a", "test", "duplicate image", "same bytes as a"),
    "b": ("b", None, "image item", None),
    "bad": ("bad", None, "damaged file", "cut"),
}


def decided(*entries, unlisted=(), problems=None, **rules):
    """Decide the outcomes of (name, caption, split) entries; captions need two words."""
    rows = pd.DataFrame([(*entry, None)[:3] for entry in entries], columns=["name", "caption", "split"])
    rows = rows.set_axis(range(1, len(rows) + 1)).astype("str")
    rows = rows.assign(origin="caption", problem=None, detail=None).astype("str")
    rows["listed"] = ~rows["name"].isin(unlisted)
    for row, problem in (problems or {}).items():
        rows.loc[row, ["problem", "detail"]] = [problem, "why"]
    texts = pd.DataFrame({"text": rows["caption"].str.strip(), "steps": ""}, dtype="str")
    columns = ["pair_id", "group_split", "outcome", "detail"]
    images = pd.DataFrame(IMAGES.values(), list(IMAGES), columns, dtype="str")
    return decide_outcomes(rows, texts, images, Rules(**{"min_words": 2} | rules))


def test_each_row_has_one_outcome():
    outcomes = decided(
        ("a", "red shoe"), ("a", ""), ("b", "shoe"), ("bad", "red shoe"), ("bad", ""), ("b", "red shoe")
    )
    expected = ["text item", "no caption", "text item", "damaged file", "damaged file", "text item"]
    assert outcomes["outcome"].tolist() == expected
    assert outcomes["detail"].dropna().to_dict() == {4: "cut", 5: "cut"}


def test_a_row_that_could_not_be_read_says_so_before_all_else():
    outcomes = decided(("", ",,,"), ("a", "red shoe"), problems={1: "malformed row"})
    assert outcomes["outcome"].tolist() == ["malformed row", "text item"]
    assert outcomes["detail"].tolist()[0] == "why"


def test_a_caption_is_repeated_within_its_pair_only():
    outcomes = decided(("a", "red shoe"), ("b", "red shoe"), ("a", " red shoe"), ("copy of a", "red shoe"))
    assert outcomes["outcome"].tolist() == ["text item", "text item", "repeated caption", "repeated caption"]
    assert outcomes["detail"].tolist()[2:] == ["same caption as row 1"] * 2


def test_a_refused_row_is_no_first_time():
    outcomes = decided(("a", "red shoe", "train"), ("a", "red shoe", "test"), refuse=["split leak"])
    assert outcomes["outcome"].tolist() == ["split leak", "text item"]
    assert outcomes["detail"].tolist()[0] == "its image is in split test"


def test_repetitions_may_stay_and_are_told_apart():
    outcomes = decided(*[("a", "red shoe")] * 3, keep=REFUSED)
    assert outcomes["outcome"].tolist() == ["text item"] * 3
    assert outcomes["repetition"].tolist() == [0, 1, 2]
    assert outcomes["flags"].tolist() == ["", "repeated caption", "repeated caption"]


def test_a_short_text_is_marked_or_refused_with_its_number_of_words():
    entries = [("a", "shoe"), ("b", "red shoe"), ("a", "..."), ("b", "")]
    marked = decided(*entries)
    assert marked["outcome"].tolist() == ["text item"] * 3 + ["no caption"]
    assert marked["flags"].tolist() == ["short text", "", "short text", ""]
    refused = decided(*entries, refuse=["short text"])
    assert refused["outcome"].tolist() == ["short text", "text item", "short text", "no caption"]
    assert refused["detail"].tolist()[::2] == ["1 words, expected at least 2", "0 words, expected at least 2"]


def test_words_are_counted_where_no_spaces_part_them():
    outcomes = decided(("a", "一只黑狗在草地上奔跑"), ("b", "สุนัขวิ่งบนหญ้า"), min_words=4)
    assert outcomes["flags"].tolist() == ["", ""]
    assert decided(("a", "红色杯子"), min_words=3)["flags"].tolist() == ["short text"]


def test_without_min_words_nothing_is_too_short():
    outcomes = decided(("a", "shoe"), ("b", "shoe"), min_words=0, refuse=["short text"])
    assert outcomes["outcome"].tolist() == ["text item", "text item"]
    assert outcomes["flags"].tolist() == ["", ""]


@pytest.mark.parametrize(("keep", "outcome"), [((), "no image named"), (REFUSED, "text item")])
def test_a_caption_without_image_is_refused_or_marked(keep, outcome):
    outcomes = decided(("", "red shoe"), ("a", "blue shoe"), keep=keep)
    assert outcomes["outcome"].tolist() == [outcome, "text item"]
    assert outcomes["flags"].tolist() == ["no image named", ""]
    assert outcomes["pair_id"].str.startswith("text/").tolist() == [True, False]


def test_a_file_that_the_table_does_not_name_is_refused_or_marked():
    assert decided(("b", ""), unlisted=["b"])["outcome"].tolist() == ["unlisted image"]
    outcomes = decided(("b", ""), unlisted=["b"], keep=REFUSED)
    assert outcomes[["outcome", "flags"]].to_numpy().tolist() == [["no caption", "unlisted image"]]


@pytest.mark.parametrize(("vague_from", "flags"), [(2, "vague caption"), (3, "")])
def test_a_caption_of_many_images_is_vague(vague_from, flags):
    outcomes = decided(("a", "nice image"), ("b", "nice image"), vague_from=vague_from)
    assert outcomes["flags"].tolist() == [flags, flags]


def test_copies_of_one_image_do_not_make_a_caption_vague():
    outcomes = decided(("a", "nice image"), ("copy of a", "nice image"), vague_from=2, keep=REFUSED)
    assert "vague caption" not in ", ".join(outcomes["flags"])


def test_vague_captions_are_refused_with_their_number():
    outcomes = decided(("a", "nice image"), ("b", "nice image"), vague_from=2, refuse=["vague caption"])
    assert outcomes["outcome"].tolist() == ["vague caption"] * 2
    assert outcomes["detail"].tolist() == ["shared by 2 images"] * 2
