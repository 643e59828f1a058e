import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mmlab.ingest.sources.cells import (
    image_of,
    texts_of,
    to_plain,
    to_text,
)
from mmlab.ingest.sources.text_files import replace_surrogates


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (" a dog ", [" a dog "]),
        (None, [""]),
        (math.nan, [""]),
        ([], [""]),
        (["a", None, "b"], ["a", "", "b"]),
        ([{"raw": "a", "tokens": ["a"]}, {"text": "b"}, {"caption": "c"}], ["a", "b", "c"]),
        ({"raw": "a"}, ["a"]),
        (5, ["5"]),
    ],
)
def test_the_texts_of_a_cell(cell, texts):
    assert texts_of(cell) == texts


@pytest.mark.parametrize("cell", [[["a"]], {"tokens": []}, [{"raw": 1}]])
def test_cells_without_a_text(cell):
    with pytest.raises(
        ValueError, match=r"expected a text, or an object with raw, text or caption, found an?"
    ):
        texts_of(cell)


@pytest.mark.parametrize(
    ("cell", "image"),
    [
        ("a.jpg", ("a.jpg", None)),
        (None, ("", None)),
        (b"x", ("", b"x")),
        ({"bytes": b"x", "path": "a.jpg"}, ("a.jpg", b"x")),
        ({"bytes": b"x", "path": None}, ("", b"x")),
        ({"bytes": None, "path": "a.jpg"}, ("a.jpg", None)),
        ({"path": "a.jpg"}, ("a.jpg", None)),
        (7, ("7", None)),
    ],
)
def test_the_image_of_a_cell(cell, image):
    assert image_of(cell) == image


@pytest.mark.parametrize("cell", [["a.jpg"], {"tokens": "a"}, {"bytes": "text", "path": "a"}, {"path": 1}])
def test_cells_without_an_image(cell):
    with pytest.raises(ValueError, match=r"expected an image's path, address or bytes, found an?"):
        image_of(cell)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("", None),
        (math.nan, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (1.5, 1.5),
        (Decimal("2.5"), 2.5),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01T12:00:00+00:00"),
        ({"a": [1, "ä"], "b": None}, '{"a":[1,"ä"],"b":null}'),
        ([date(2024, 5, 1), b"123"], '["2024-05-01","3 bytes"]'),
        (b"123", "3 bytes"),
    ],
)
def test_plain_values(cell, value):
    assert to_plain(cell) == value and type(to_plain(cell)) is type(value)


def test_values_as_text_are_json_without_its_quotes():
    assert [to_text(value) for value in (None, "a", True, 3, 2.5)] == [None, "a", "true", "3", "2.5"]


def test_halves_of_characters_are_replaced():
    assert replace_surrogates("a\ud83dß") == "a�ß" and replace_surrogates("😀") == "😀"
