import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mmlab.ingest.sources.cells import (
    image_of,
    images_of,
    is_image_cell,
    is_image_name,
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
        ({"caption": ["a", "b"], "caption/tokenized": ["x"]}, ["a", "b"]),
        ({"en": "a", "de": "b"}, ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("['it''s', \"b\"]", ["its", "b"]),
        ("['a' 'b'\n 'c']", ["a", "b", "c"]),
        ("[1, 2]", ["[1, 2]"]),
        ("[sic] a dog [x]", ["[sic] a dog [x]"]),
        ("[" * 50_000 + "]", ["[" * 50_000 + "]"]),
        ('{"text": ["a", "b"]}', ["a", "b"]),
        ([{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a"}], ["a"]),
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


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("a.png;b.png", ["a.png", "b.png"]),
        ("a.png, b.png ,", ["a.png", "b.png"]),
        ("https://x.example/1|https://x.example/2", ["https://x.example/1", "https://x.example/2"]),
        ("['a.png', 'b.png']", ["a.png", "b.png"]),
        ('["a.png"]', ["a.png"]),
        ("a, b.png", ["a, b.png"]),
        ("", [""]),
        ([], [""]),
        (["a.png", b"x"], ["a.png", b"x"]),
    ],
)
def test_the_images_of_a_cell(cell, images):
    assert images_of(cell, is_image_name) == images


@pytest.mark.parametrize(
    ("cell", "is_image"),
    [
        ("a.JPG", True), ("x/a b.avif", True), ("a.jpg?size=1", True), ("http://x.example/1", True), (b"x", True),
        ({"bytes": b"x", "path": None}, True), (["a.png", "b.png"], True), ("a.png; b.png", True),
        ("A dog.", False), ("a.txt", False), ("", False), (5, False), (None, False), ([], False),
        ("x" * 3000 + ".png", False), ("1\ta.jpg", False), ({"x": 1}, False),
    ],
)  # fmt: skip
def test_cells_that_look_like_images(cell, is_image):
    assert is_image_cell(cell) is is_image
