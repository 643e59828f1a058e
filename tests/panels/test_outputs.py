"""The small parts that panels are made of: questions, filters, export, errors, images."""

import pandas as pd
import pytest
from PIL import Image

from mmlab.panels.errors import BUSY, Unfinished, show_in, tell_error
from mmlab.panels.export import download_link, to_csv, with_question
from mmlab.panels.filters import (
    CHOICE,
    RANGE,
    SEARCH,
    YES_NO,
    chosen_by,
    filter_controls,
    filter_fields,
    where_of,
)
from mmlab.panels.images import MOST_BYTES, image_card, open_upload
from mmlab.retrieve import Query

KINDS = {"label": "keyword", "code": "keyword", "price": "float", "stock": "integer", "new": "bool"}
KINDS |= {"same": "integer", "modality": "keyword", "gone": "keyword"}


@pytest.fixture
def things():
    """60 items: three labels, a code each, prices and stocks, some new."""
    numbers = range(60)
    return pd.DataFrame(
        {
            "item_id": [f"i{number}" for number in numbers],
            "modality": ["image", "text"] * 30,
            "label": ["mug", "mug", "cup", "mug", "cup", None] * 10,
            "code": [f"c{number:02}" for number in numbers],
            "price": [1.5 + number for number in numbers],
            "stock": list(numbers),
            "new": pd.array([True, False, None] * 20, dtype="boolean"),
            "same": 7,
            "unknown to the schema": list(numbers),
        }
    )


def test_filters_are_built_from_the_schema_and_read_back(things):
    fields = filter_fields(things, KINDS)
    ways = {name: one.way for name, one in fields.items()}
    assert ways == {"label": CHOICE, "code": SEARCH, "price": RANGE, "stock": RANGE, "new": YES_NO}
    assert fields["label"].known == ("mug", "cup")  # the most frequent first
    assert (fields["price"].known, fields["stock"].known) == ((1.5, 60.5), (0, 59))
    nothing = {"label": (), "code": "", "price": (1.5, 60.5), "stock": (0, 59), "new": "any"}
    assert {name: one.value for name, one in filter_controls(fields).items()} == nothing
    assert where_of(fields, nothing) == {}
    chosen = {"label": ("mug",), "code": "c07", "price": (1.5, 5.0), "stock": (3, 59), "new": "no"}
    where = where_of(fields, chosen)
    assert where == {
        "label": ["mug"],
        "code": "c07",
        "price": {"gte": 1.5, "lte": 5.0},
        "stock": {"gte": 3, "lte": 59},
        "new": False,
    }
    assert chosen_by(fields, where) == chosen
    assert chosen_by(fields, {}) == nothing


def test_the_values_of_a_search_are_suggested_and_others_can_be_typed(things):
    control = filter_controls(filter_fields(things, {"code": "keyword"}))["code"]
    assert len(control.options) == 60
    control.value = "another"
    assert control.value == "another"


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


def test_a_panel_is_busy_while_it_works_and_hints_at_what_is_missing():
    class Area:
        value = ""

    area, seen = Area(), []
    assert show_in(area, lambda: seen.append(area.value) or "done")
    assert seen == [BUSY]
    assert 'role="status"' in BUSY

    def wait():
        raise Unfinished("choose a <image>")

    assert not show_in(area, wait)
    assert "choose a &lt;image&gt;" in area.value
    assert "alert" not in area.value
    assert "Unfinished" not in area.value


def test_what_was_asked_stands_beside_what_was_found():
    question = Query(text="=mug", k=3, where={"label": ["cup"]}, models=("a", "b"), fusion="rrf")
    table = with_question(pd.DataFrame({"rank": [1, 2]}), question.to_dict())
    assert table["asked_text"].tolist() == ["=mug", "=mug"]
    assert table.loc[1, ["asked_k", "asked_fusion", "asked_exact"]].tolist() == [3, "rrf", False]
    assert (table["asked_where"][0], table["asked_models"][0]) == ('{"label": ["cup"]}', '["a", "b"]')
    assert "1,'=mug," in to_csv(table)


def test_a_hidden_cause_stays_hidden():
    error = ValueError("outer")
    error.__context__, error.__suppress_context__ = KeyError("inner"), True
    assert "caused by" not in str(tell_error(error))


def test_an_upload_is_bounded():
    assert MOST_BYTES < 10 * 1024 * 1024  # of a message of the browser, which Jupyter drops without a word
    with pytest.raises(ValueError, match="has 8 MB, expected 8 at most"):
        open_upload(bytes(MOST_BYTES + 1), "huge.png")


def test_the_querys_image_is_shown_small():
    assert len(str(image_card(Image.new("RGB", (4000, 3000), "red")))) < 10_000
