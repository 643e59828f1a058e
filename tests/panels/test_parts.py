"""The small parts that panels are made of: questions, filters, export, errors, pictures."""

import pandas as pd
import pytest
from PIL import Image

from mmlab.panels.errors import show_in, tell_error
from mmlab.panels.export import download_link, to_csv
from mmlab.panels.filters import chosen_by, filter_fields, where_of
from mmlab.panels.pictures import MOST_BYTES, open_upload, picture_card
from mmlab.panels.question import Question, differing


def test_a_question_says_who_asks():
    picture = Image.new("RGB", (2, 2))
    assert Question(text="mug").source == "text"
    assert Question(picture=picture).source == "image"
    assert Question(text="mug", picture=picture, weight=0.25).parts == [("mug", 0.25), (picture, 0.75)]
    assert Question(text="mug", picture=picture, weight=0).source == "image"
    shown = Question(
        text="mug", picture=picture, name="a.png", where={"label": ["mug", "cup"], "price": {"gte": 2}}
    )
    assert shown.describe() == "“mug” + a.png (picture) → image, label = mug or cup, price = gte 2"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "the query is empty"),
        ({"text": "a", "weight": 2}, "0 to 1"),
        ({"text": "a", "fusion": "x"}, "one of early"),
    ],
)
def test_a_question_that_cannot_be_asked(wrong, says):
    with pytest.raises(ValueError, match=says):
        Question(**wrong)


def test_questions_differ_in_their_settings():
    assert differing(Question(text="a"), Question(text="a", k=3)) == {"k": (8, 3)}


def test_filters_are_built_from_the_items_and_read_back():
    items = pd.DataFrame(
        {
            "item_id": list("abcd"),
            "modality": "image",
            "label": ["mug", "mug", "cup", None],
            "price": [1.5, 2.5, 9.0, 3.0],
            "stock": [1, 2, 3, 4],
            "same": [7, 7, 7, 7],
        }
    )
    fields = filter_fields(items)
    assert fields == {"label": ["mug", "cup"], "price": (1.5, 9.0), "stock": (1, 4)}
    chosen = {"label": ("mug",), "price": (1.5, 5.0), "stock": (1, 4)}
    where = where_of(fields, chosen)
    assert where == {"label": ["mug"], "price": {"gte": 1.5, "lte": 5.0}}
    assert chosen_by(fields, where) == chosen


def test_what_looks_like_a_formula_is_quoted_and_numbers_are_not():
    table = pd.DataFrame(
        {"words": ["=1+1", "+a", "-b", "@c", "\t=d", "fine", None], "score": [-0.5, 1, 2, 3, 4, 5, 6]}
    )
    lines = to_csv(table).splitlines()
    assert lines[:6] == ["words,score", "'=1+1,-0.5", "'+a,1.0", "'-b,2.0", "'@c,3.0", "'\t=d,4.0"]
    assert lines[6:] == ["fine,5.0", ",6.0"]


def test_a_name_of_a_column_or_file_cannot_break_out():
    html = str(download_link(pd.DataFrame({"=cmd": ["a"]}), '"><script>.csv'))
    assert "<script" not in html


def test_an_error_is_told_with_its_causes():
    class Area:
        value = ""

    def fail():
        try:
            raise KeyError("<deep>")
        except KeyError as error:
            raise ValueError("on top") from error

    area = Area()
    assert not show_in(area, fail)
    assert "ValueError: on top\ncaused by KeyError: &#x27;&lt;deep&gt;&#x27;" in area.value
    assert "where it happened" in area.value
    assert show_in(area, lambda: "fine")
    assert area.value == "fine"


def test_a_hidden_cause_stays_hidden():
    error = ValueError("outer")
    error.__context__, error.__suppress_context__ = KeyError("inner"), True
    assert "caused by" not in str(tell_error(error))


def test_an_upload_is_bounded():
    with pytest.raises(ValueError, match="has 20 MB, expected 20 at most"):
        open_upload(bytes(MOST_BYTES + 1), "huge.png")


def test_the_querys_picture_is_shown_small():
    assert len(str(picture_card(Image.new("RGB", (4000, 3000), "red")))) < 10_000
