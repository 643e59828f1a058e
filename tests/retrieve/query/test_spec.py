"""A query with its settings as one value."""

from pathlib import Path

import pytest
from PIL import Image

from mmlab.retrieve import Query
from mmlab.retrieve.query.spec import differing_settings, image_path, names_image, summarize_settings


def test_a_query_says_who_asks() -> None:
    image = Image.new("RGB", (2, 2))
    assert Query(text="mug").source == "text"
    assert Query(image=image).source == "image"
    both = Query(text="mug", image=image, weight=0.25)
    assert (both.source, both.contents) == ("both", ["mug", image])
    assert Query(text="mug", image=image, weight=0).contents == [image]
    assert Query(text="mug", image=image, weight=1).source == "text"
    assert Query(text="mug", weight=0).contents == ["mug"]  # a weight counts where there are both
    where = {"label": ["mug", "cup"], "price": {"gte": 2}}
    shown = Query(text="mug", image=image, image_name="a.png", where=where)
    assert shown.describe() == "“mug” + a.png (image) → image, label = mug or cup, price ≥ 2"


def test_examples_may_ask_alone() -> None:
    photo = Path("photos/a.jpg")
    alike = Query(plus=(photo,), minus=("blue",), recommend="best_score")
    assert (alike.source, alike.contents, alike.examples) == ("image", [], [photo, "blue"])
    assert alike.describe() == "like a.jpg, not like “blue” → image"
    between = Query(context=(("red", photo),), to="text")
    assert (between.source, between.describe()) == ("text", "nearer “red” than a.jpg → text")
    assert Query(text="mug", plus=(photo,)).describe() == "“mug” → image"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "the query is empty"),
        ({"text": " "}, "the query is empty"),
        ({"plus": ("a",)}, "or give an image; recommend='rocchio' needs one"),
        ({"plus": ("a",), "minus": ("b",), "recommend": "feedback"}, "recommend='feedback' needs one"),
        ({"minus": ("a",), "recommend": "best_score"}, "to ask by examples alone, give some in plus"),
        (
            {"text": "a", "minus": ("b",), "recommend": "feedback"},
            "feedback compares right examples with wrong",
        ),
        ({"text": "a", "plus": ("b",), "context": (("c", "d"),)}, "context holds pairs of examples"),
        ({"text": "a", "context": (("c",),)}, r"context: expected pairs .* found \('c',\)"),
        ({"text": "a", "to": "video"}, "to: expected one of text, image, found 'video'"),
        (
            {"text": "a", "weight": 2},
            "weight: expected a number from 0 to 1, or 'confidence', found 2",
        ),
        ({"text": "a", "weight": "x"}, "or 'confidence', found 'x'"),
        (
            {"text": "a", "fusion": "x"},
            "fusion: expected one of early, weighted_sum, rrf, dbsf, composed, found 'x'",
        ),
        ({"text": "a", "calibration": "platt"}, "parameter calibration: expected one of none, temperature"),
        ({"text": "a", "shares": (0.8, 0.7)}, r"shares: expected to add up to 1, found 1\.5"),
    ],
)
def test_a_query_that_cannot_be_asked_says_what_is_wrong(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Query(**wrong)


def test_settings_are_summarized_where_they_are_not_the_defaults() -> None:
    assert summarize_settings(Query(text="a", where={"label": ["mug"]})) == ""
    assert summarize_settings(Query(text="a", weight=1)) == ""  # which counts with an image only
    query = Query(text="a", k=3, models=("one", "two"), fusion="rrf", exact=False)
    assert summarize_settings(query) == "k 3, fusion rrf, models one + two, exact False"


def test_queries_differ_in_their_settings() -> None:
    assert differing_settings(Query(text="a"), Query(text="a", k=3)) == {"k": (8, 3)}


def test_a_query_is_limited_to_what_there_is() -> None:
    assert [Query(text="a", k=8).limited_to(items).k for items in (0, 5, 9)] == [1, 5, 8]


def test_a_query_is_kept_in_plain_values() -> None:
    plain = Query(image=Path("a.jpg"), image_name="x", models=("a", "b")).to_dict()
    assert (plain["image"], plain["models"]) == ("a.jpg", ["a", "b"])
    assert "image_name" not in plain
    assert Query(image=Image.new("RGB", (2, 2)), image_name="mine.png").to_dict()["image"] == "mine.png"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dog.jpg", True),
        ("a dog", False),
        ("a photo, dog.jpg", False),
        ("https://x.org/dog", True),
        ("see https://x.org/dog", False),
    ],
)
def test_a_text_names_an_image_by_its_ending_or_as_an_address(text, named) -> None:
    assert names_image(text) is named


def test_a_file_with_a_space_in_its_name_is_named_where_it_is_there(tmp_path) -> None:
    (tmp_path / "my dog.jpg").touch()
    assert names_image(str(tmp_path / "my dog.jpg"))
    assert not names_image(str(tmp_path / "no dog.jpg"))


@pytest.mark.parametrize("outside", [-0.01, 1.01])
def test_diversity_is_a_share(outside) -> None:
    assert [Query(text="mug", diversity=share).diversity for share in (0, 1)] == [0, 1]
    with pytest.raises(ValueError, match=f"diversity: expected a number from 0 to 1, found {outside}"):
        Query(text="mug", diversity=outside)


def test_an_image_that_is_named_is_a_file_of_this_machine(tmp_path) -> None:
    (tmp_path / "dog.jpg").touch()
    assert image_path(str(tmp_path / "dog.jpg")) == tmp_path / "dog.jpg"
    with pytest.raises(ValueError, match="fetches nothing: save the image of 'https://x.org/dog' to a file"):
        image_path("https://x.org/dog")
    with pytest.raises(FileNotFoundError, match="there is no image 'no/dog.jpg' in "):
        image_path("no/dog.jpg")


def test_a_query_looks_at_100_hits_of_each_part() -> None:
    assert Query(text="mug").depth == 100
