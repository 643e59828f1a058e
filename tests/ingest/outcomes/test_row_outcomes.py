import pandas as pd
import pytest

from mmlab.ingest.outcomes.row_outcomes import keep_book
from mmlab.ingest.rules import REFUSED, Rules

PICTURES = {  # name: pair_id, leading split, outcome, detail
    "a": ("a", "test", "image item", None),
    "copy of a": ("a", "test", "duplicate image", "same bytes as a"),
    "b": ("b", None, "image item", None),
    "bad": ("bad", None, "damaged file", "cut"),
}


def booked(*entries, unlisted=(), problems=None, **rules):
    """Keep the book of (name, caption, split) entries by rules of two words at least."""
    rows = pd.DataFrame([(*entry, None)[:3] for entry in entries], columns=["name", "caption", "split"])
    rows = rows.set_axis(range(1, len(rows) + 1)).astype("str")
    rows = rows.assign(origin="caption", problem=None, detail=None).astype("str")
    rows["listed"] = ~rows["name"].isin(unlisted)
    for row, problem in (problems or {}).items():
        rows.loc[row, ["problem", "detail"]] = [problem, "why"]
    texts = pd.DataFrame({"text": rows["caption"].str.strip(), "what": ""}, dtype="str")
    columns = ["pair_id", "leading", "outcome", "detail"]
    images = pd.DataFrame(PICTURES.values(), list(PICTURES), columns, dtype="str")
    return keep_book(rows, texts, images, Rules(**{"min_words": 2} | rules))


def test_each_row_has_one_outcome():
    book = booked(
        ("a", "red shoe"), ("a", ""), ("b", "shoe"), ("bad", "red shoe"), ("bad", ""), ("b", "red shoe")
    )
    expected = ["text item", "no caption", "short caption", "damaged file", "damaged file", "text item"]
    assert book["outcome"].tolist() == expected
    assert book["detail"].dropna().to_dict() == {3: "1 words, expected at least 2", 4: "cut", 5: "cut"}


def test_a_row_that_could_not_be_read_says_so_before_all_else():
    book = booked(("", ",,,"), ("a", "red shoe"), problems={1: "malformed row"})
    assert book["outcome"].tolist() == ["malformed row", "text item"]
    assert book["detail"].tolist()[0] == "why"


def test_a_caption_is_repeated_within_its_pair_only():
    book = booked(("a", "red shoe"), ("b", "red shoe"), ("a", " red shoe"), ("copy of a", "red shoe"))
    assert book["outcome"].tolist() == ["text item", "text item", "repeated caption", "repeated caption"]
    assert book["detail"].tolist()[2:] == ["said before in row 1"] * 2


def test_a_refused_row_is_no_first_time():
    book = booked(("a", "red shoe", "train"), ("a", "red shoe", "test"), refuse=["split leak"])
    assert book["outcome"].tolist() == ["split leak", "text item"]
    assert book["detail"].tolist()[0] == "its image in split test"


def test_repetitions_may_stay_and_are_told_apart():
    book = booked(*[("a", "red shoe")] * 3, keep=REFUSED)
    assert book["outcome"].tolist() == ["text item"] * 3
    assert book["repetition"].tolist() == [0, 1, 2]
    assert book["flags"].tolist() == ["", "repeated caption", "repeated caption"]


def test_without_min_words_only_nothing_is_too_short():
    book = booked(("a", "shoe"), ("b", "shoe"), min_words=0)
    assert book["outcome"].tolist() == ["text item", "text item"]


@pytest.mark.parametrize(("keep", "outcome"), [((), "no image named"), (REFUSED, "text item")])
def test_a_caption_without_image_is_refused_or_marked(keep, outcome):
    book = booked(("", "red shoe"), ("a", "blue shoe"), keep=keep)
    assert book["outcome"].tolist() == [outcome, "text item"]
    assert book["flags"].tolist() == ["no image named", ""]
    assert book["pair_id"].str.startswith("text/").tolist() == [True, False]


def test_a_file_that_the_table_does_not_name_is_refused_or_marked():
    assert booked(("b", ""), unlisted=["b"])["outcome"].tolist() == ["unlisted image"]
    book = booked(("b", ""), unlisted=["b"], keep=REFUSED)
    assert book[["outcome", "flags"]].to_numpy().tolist() == [["no caption", "unlisted image"]]


@pytest.mark.parametrize(("vague_from", "flags"), [(2, "vague caption"), (3, "")])
def test_a_caption_of_many_images_is_vague(vague_from, flags):
    book = booked(("a", "nice image"), ("b", "nice image"), vague_from=vague_from)
    assert book["flags"].tolist() == [flags, flags]


def test_copies_of_one_image_do_not_make_a_caption_vague():
    book = booked(("a", "nice image"), ("copy of a", "nice image"), vague_from=2, keep=REFUSED)
    assert "vague caption" not in ", ".join(book["flags"])


def test_vague_captions_are_refused_with_their_number():
    book = booked(("a", "nice image"), ("b", "nice image"), vague_from=2, refuse=["vague caption"])
    assert book["outcome"].tolist() == ["vague caption"] * 2
    assert book["detail"].tolist() == ["shared by 2 images"] * 2
