import pandas as pd
import pytest

from mmlab.ingest import FINDINGS, REFUSED, Rules
from mmlab.ingest.rules import join_flags, parse_columns


def test_what_is_usually_refused_is_a_finding():
    assert set(REFUSED) < set(FINDINGS)
    assert Rules().refused == set(REFUSED)


def test_refuse_adds_to_the_usual_and_keep_takes_away():
    rules = Rules(refuse=["blurred"], keep=["tiny"])
    assert rules.refused == {*REFUSED, "blurred"} - {"tiny"}


def test_a_finding_is_either_refused_or_kept():
    with pytest.raises(
        ValueError, match=r"refuse and keep both list \['dark'\]: list each finding in one of them"
    ):
        Rules(refuse=["dark", "tiny"], keep=["dark"])


def test_an_unknown_finding_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match=r"parameter refuse: expected .*; did you mean blurred\?"):
        Rules(refuse=["blurry", "dark"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_words": -1}, "min_words: expected a whole number from 0 to 1,000, found -1"),
        ({"max_chars": 0}, "max_chars: expected a whole number from 1 to 1,000,000, found 0"),
        ({"vague_from": 1}, "vague_from: expected a whole number from 2, found 1"),
        ({"near_bits": 17}, "near_bits: expected a whole number from 0 to 16, found 17"),
        ({"max_downloads": -1}, "max_downloads: expected a whole number from 0 to 100,000,000, found -1"),
        ({"ocr_confidence": 101}, "ocr_confidence: expected a whole number from 0 to 100, found 101"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Rules(**setting)


def test_flags_are_joined_in_their_order():
    index = pd.Index(["a", "b", "c"])
    holds = {
        "dark": pd.Series([True, False, True], index),
        "tiny": pd.Series([True, False, False], index),
    }
    assert join_flags(holds, index).tolist() == ["dark, tiny", "", "dark"]


@pytest.mark.parametrize(
    "columns",
    [
        {"image": "photo", "caption": ["title", "note"]},
        {"image": ["photo"], "caption": ["title", "note"]},
        ["image=photo", "caption=title", "caption=note"],
        ("image = photo", "caption=title; caption=note"),
        "image=photo,caption=title,caption=note",
        "image=photo; caption=title; caption=note",
        '{"image": "photo", "caption": ["title", "note"]}',
        '["image=photo", "caption=title", "caption=note"]',
    ],
)
def test_every_form_that_columns_are_given_in(columns):
    assert parse_columns(columns) == {"image": ["photo"], "caption": ["title", "note"]}


def test_no_columns():
    assert parse_columns(()) == parse_columns("") == parse_columns([]) == parse_columns({}) == {}


def test_names_with_commas_and_equals_signs():
    assert parse_columns("caption=a, b=c,image=d") == {"caption": ["a, b=c"], "image": ["d"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["image"], "columns: expected texts like 'image=url', found 'image'"),
        ("image=", "columns: expected texts like 'image=url', found 'image='"),
        ([5], "columns: expected texts like 'image=url', found 5"),
        ({"image": 5}, "columns: expected the name of a column, or a list of names, found 5"),
        ('{"image": ', "columns: expected JSON such as"),
        ({"photo": "image"}, r"columns: \['photo'\] cannot be mapped; expected some of \['image', 'caption'"),
    ],
)
def test_columns_that_are_given_in_no_form(columns, message):
    with pytest.raises(ValueError, match=message):
        parse_columns(columns)
