"""The names held against those of the rooms that know them, and the kinds of values."""

import math

import numpy as np
import pytest

from mmlab.embed.models.adapter import PRECISIONS
from mmlab.embed.multi_model import LOCAL, RAY
from mmlab.index.engines.bm25 import BM25, WordSettings, _tokenizer
from mmlab.index.store.layouts import LAYOUTS
from mmlab.index.store.schema import DEFAULT_SIZES
from mmlab.ingest.rules import FINDINGS, OURS
from mmlab.ingest.sources.kinds import KINDS
from mmlab.items.options import MAX_CHARS, OPTIONS, Choice, Many, Number, Text, Truth, Whole, check_value
from mmlab.items.vectors import DENSE, LATE, SPARSE
from mmlab.retrieve import CALIBRATIONS, FUSIONS, RESCORINGS
from mmlab.retrieve.query.rank import KEEP, LEAVE_OUT
from mmlab.retrieve.units import BEST, MEAN


def test_the_rooms_know_the_same_names():
    names = {name: set(known) for name, known in OPTIONS.items()}
    assert {name.partition("-")[0] for name in names.pop("quantization")} == {"none", *DEFAULT_SIZES}
    assert names.pop("retriever") == {DENSE, SPARSE, LATE, BM25}
    assert all(_tokenizer(WordSettings(language)) for language in names.pop("bm25_language"))
    assert names == {
        "source": {"auto", *KINDS},
        "column": set(OURS),
        "finding": set(FINDINGS),
        "precision": set(PRECISIONS),
        "layout": set(LAYOUTS),
        "fusion": {"none", *FUSIONS},
        "siblings": {LEAVE_OUT, KEEP},
        "engine": {LOCAL, RAY},
        "unit_score": {BEST, MEAN},
        "rescoring": {"none", "centring", *RESCORINGS},
        "calibration": {"none", *CALIBRATIONS},
    }


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Whole(1, 3), [1, 3, np.int64(2)]),
        (Whole(), [1 - 2**63, 0, 2**63 - 1]),
        (Number(1, 2), [1, 2, 1.5, np.float32(1.5)]),
        (Number(0, 1, above=True), [1e-300, 1]),
        (Number(0, 1, name="confidence"), [0, 1, "confidence"]),
        (Number(), [-1e300, 10**300]),
        (Truth(), [True, False]),
        (Choice(("a", "b")), ["a", "b"]),
        (Text(), ["", "ein Becher", "馬克杯 👍🏽", "x" * MAX_CHARS]),
        (Text("a word", str.isalpha), ["a"]),
        (Many(Whole(1, 3), 1, 2), [[1], (3, 1)]),
        (Many(None, 0), [[], [1, "a", [2]]]),
    ],
)
def test_a_kind_accepts_its_values_to_both_ends(kind, values):
    assert [value for value in values if not kind.accepts(value)] == []


NOT_NUMBERS = [True, np.True_, "1", None, [1], math.nan, math.inf, -math.inf, 10**400, -(10**400), 1j]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Whole(1, 3), [*NOT_NUMBERS, 0, 4, 2.0]),
        (Number(1, 2), [*NOT_NUMBERS, math.nextafter(1, 0), math.nextafter(2, 3), "", "confidence"]),
        (Number(0, 1, above=True), [0, -0.0]),
        (Number(0, 1, name="confidence"), [*NOT_NUMBERS, "", "sure"]),
        (Number(), NOT_NUMBERS),
        (Truth(), [1, 0, "true", None, []]),
        (Choice(("a", "b")), ["", "A", "ab", 1, None, ["a"]]),
        (Text(), ["a\0b", "a\nb", "\x1b[31m", "\x85", "\ud800", "x" * (MAX_CHARS + 1), 1, None, ["a"], b"a"]),
        (Text("a word", str.isalpha), ["", "a b"]),
        (Many(Whole(1, 3), 1, 2), [[], [1, 1], [1, 2, 3], [4], [True], ["1"], [[1]], 1, "1", {1: 1}, None]),
    ],
)
def test_a_kind_accepts_nothing_else(kind, values):
    assert [value for value in values if kind.accepts(value)] == []


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0, Whole(1, 1000), "parameter x: expected a whole number from 1 to 1,000, found 0"),
        (0.0, Number(0, 1, above=True), "parameter x: expected a number above 0 and up to 1, found 0.0"),
        (2, Number(0, 1, name="sure"), "parameter x: expected a number from 0 to 1, or 'sure', found 2"),
        ("unifed", Choice(("unified", "named")),
         "parameter x: expected one of unified, named, found 'unifed'; did you mean unified?"),
        ([0], Many(Whole(1, 9), 1, 3),
         "parameter x: expected a list of 1 to 3 different values, each a whole number from 1 to 9, found [0]"),
        ("a\0b", Text(),
         "parameter x: expected a text of at most 4,096 characters, none of them a control character, found 'a\\x00b'"),
        (9, Whole(10), "parameter x: expected a whole number from 10, found 9"),
        ("x", Whole(), "parameter x: expected a whole number, found 'x'"),
        (-1, Number(0), "parameter x: expected a number from 0, found -1"),
    ],
)  # fmt: skip
def test_an_error_says_which_what_is_expected_and_what_was_found(value, kind, message):
    with pytest.raises(ValueError) as found:  # noqa: PT011 - the whole message is compared
        check_value("x", value, kind)
    assert str(found.value) == message


def test_a_long_value_is_shown_in_part():
    with pytest.raises(ValueError, match="expected a whole number, found a number of thousands of digits$"):
        check_value("x", 10**5000, Whole())
    with pytest.raises(ValueError, match="found 'x{78}…$"):
        check_value("x", "x" * 10**6, Text())
    check_value("x", object(), None)  # of no kind: anything


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        (Whole(), "7", 7),
        (Number(), "1e-3", 0.001),
        (Number(), 1, 1.0),
        (Truth(), "No", False),
        (Many(Whole()), "[1, 2]", [1, 2]),
        (Many(Whole()), "1, 2", [1, 2]),
        (Many(Number()), (1, 2), [1.0, 2.0]),
        (Many(Text()), "x, y=z", ["x", "y=z"]),
        (Many(Text()), '{"x": "y", "z": ["1", "2"]}', ["x=y", "z=1", "z=2"]),
        (Many(Text()), "{}", ["{}"]),
        (Many(Text()), "{} in a photo", ["{} in a photo"]),
        (Many(Text()), "[]", []),
    ],
)
def test_a_text_as_typed_in_a_shell_is_read(kind, typed, value):
    found = kind.read(typed)
    assert found == value
    assert type(found) is type(value)
