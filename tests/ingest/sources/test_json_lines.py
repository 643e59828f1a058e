import pytest


def rows_of(read, content, **settings):
    return read({"captions.jsonl": content}, **settings).rows


def test_a_row_for_each_caption_of_a_list(read):
    rows = rows_of(
        read,
        [
            {"image": "a.jpg", "captions": ["one", {"raw": "two"}], "price": 5},
            {"image": "b.jpg", "captions": [], "price": 6},
            {"captions": "no image"},
        ],
    )
    assert rows["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg", ""]
    assert rows["caption"].tolist() == ["one", "two", "", "no image"]
    assert rows["price"].tolist()[:3] == [5, 5, 6] and rows["price"].isna().tolist() == [False] * 3 + [True]


def test_the_users_values_keep_their_type(read):
    lines = [
        {
            "image": "a",
            "n": 1,
            "f": 1,
            "b": True,
            "t": "007",
            "m": 1,
            "o": {"k": [1]},
            "big": 2**70,
            "label": 3,
        },
        {"image": "b", "n": None, "f": 2.5, "b": False, "t": "", "m": "x", "o": [], "big": 1, "label": True},
        {"image": "c"},
    ]
    rows = rows_of(read, lines)
    types = {name: str(rows[name].dtype) for name in rows.columns[8:]}
    assert types == {
        "n": "Int64",
        "f": "float64",
        "b": "boolean",
        "t": "str",
        "m": "str",
        "o": "str",
        "big": "str",
    }
    assert rows.loc[1].tolist()[8:] == [1, 1.0, True, "007", "1", '{"k":[1]}', str(2**70)]
    assert rows.loc[2, ["f", "b", "m", "o", "big"]].tolist() == [2.5, False, "x", "[]", "1"]
    assert rows.isna().loc[2, ["n", "t"]].all() and rows.loc[3].tolist()[1] == ""
    assert rows["label"].dropna().tolist() == ["3", "true"]


def test_a_broken_line_costs_itself_only(read):
    lines = [
        '{"image": "a.jpg", "caption": "x"}',
        "{broken",
        "[1]",
        "",
        "[" * 50_000,
        '{"image": ["b"], "caption": "y"}',
    ]
    rows = rows_of(read, "\n".join([*lines, '{"image": "c.jpg", "caption": [["z"]]}', lines[0]]))
    assert rows["problem"].notna().tolist() == [False, True, True, True, True, True, False]
    assert rows["caption"].tolist() == ["x", "{broken", "[1]", "[" * 1000, "y", '["c.jpg",[["z"]]]', "x"]
    assert rows["image"].tolist() == ["a.jpg", "", "", "", "", "c.jpg", "a.jpg"]
    details = rows["detail"].dropna().tolist()
    assert details[0].startswith("expected a JSON object, found: Expecting property name")
    assert details[1] == "expected a JSON object, found list"
    assert details[3] == "expected an image's path, address or bytes, found a list of 1"


def test_halves_of_characters_do_no_harm(read):
    rows = rows_of(read, '{"image": "a\\ud800", "caption": "b\\ud800", "c\\ud800": "d\\ud800"}\n')
    assert rows.loc[1, ["image", "caption", "c�"]].tolist() == ["a�", "b�", "d�"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"captions.jsonl is empty"),
        ("[\n1,\n2]\n", r"captions.jsonl: expected one JSON object per line, found none"),
        ('{"title": "x"}', r"captions.jsonl: expected a column with the images"),
        (str({f"{n}": n for n in range(1001)}).replace("'", '"'), r"expected at most 1000 columns"),
    ],
)
def test_a_file_that_cannot_be_read(read, content, message):
    with pytest.raises(ValueError, match=message):
        rows_of(read, content)
