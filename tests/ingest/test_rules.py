import pandas as pd
import pytest

from mmlab.ingest import FINDINGS, REFUSED, Rules
from mmlab.ingest.rules import join_flags


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
    with pytest.raises(ValueError, match=r"refuse: \['blurry'\] are not findings; expected .*'blurred'"):
        Rules(refuse=["blurry", "dark"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_words": -1}, "min_words: expected at least 0, found -1"),
        ({"max_chars": 0}, "max_chars: expected at least 1, found 0"),
        ({"vague_from": 1}, "vague_from: expected at least 2, found 1"),
        ({"near_bits": 17}, "near_bits: expected 0 to 16, found 17"),
        ({"max_downloads": -1}, "max_downloads: expected at least 0, found -1"),
        ({"ocr_confidence": 101}, "ocr_confidence: expected 0 to 100, found 101"),
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
