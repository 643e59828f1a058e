import csv

import pytest


def csv_rows(read, text, **settings):
    return read({"captions.csv": text}, **settings).rows


def json_rows(read, content, **settings):
    return read({"captions.jsonl": content}, **settings).rows


def test_cells_are_text_as_written(read):
    rows = csv_rows(read, "image,caption\na.jpg,NA\n007, 1.50 \nnull,\n")
    assert rows["image"].tolist() == ["a.jpg", "007", "null"]
    assert rows["caption"].tolist() == ["NA", " 1.50 ", ""]


@pytest.mark.parametrize(
    ("encoding", "end"),
    [
        *((encoding, end) for encoding in ("utf-8", "utf-8-sig", "utf-16") for end in ("\n", "\r\n", "\r")),
        ("cp1252", "\r\n"),
        ("mac_roman", "\r"),
    ],
)
def test_encodings_and_line_ends_of_every_kind(read, encoding, end):
    rows = csv_rows(read, f"image,caption{end}ä.jpg,“Ein Käfer”{end}".encode(encoding))
    assert rows[["image", "caption"]].values.tolist() == [["ä.jpg", "“Ein Käfer”"]]


def test_semicolons_of_excel(read):
    rows = csv_rows(read, 'image;caption;price\na.jpg;"a dog, asleep";1,5\n')
    assert rows.loc[1, ["image", "caption", "price"]].tolist() == ["a.jpg", "a dog, asleep", "1,5"]


def test_quoted_cells_hold_anything(read):
    rows = csv_rows(read, 'image,caption\na.jpg,"two\nlines, a ""dog"""\n\nb.jpg,x\n')
    assert rows["caption"].tolist() == ['two\nlines, a "dog"', "x"]


def test_rows_that_end_early_have_empty_cells(read):
    rows = csv_rows(read, "image,caption,label,price\na.jpg\nb.jpg,text,shoes,5\n")
    assert rows["caption"].tolist() == ["", "text"]
    assert rows["label"].isna().tolist() == [True, False] and rows["price"].isna().tolist() == [True, False]
    assert rows["problem"].isna().all()


def test_captions_may_be_absent(read):
    rows = csv_rows(read, "image,label\na.jpg,shoes\n")
    assert rows.loc[1, ["image", "caption", "label"]].tolist() == ["a.jpg", "", "shoes"]


LONG = "expected at most 131,072 characters in a row, found more"


@pytest.mark.parametrize(
    ("line", "image", "caption", "detail"),
    [
        ("a.jpg,a\0dog,5", "a.jpg", "a.jpg,a\0dog,5", "expected text, found a NUL character"),
        (
            f"a.jpg,{'x' * 140_000},5",
            "",
            f"a.jpg,{'x' * 994}",
            "expected at most 131,072 characters in a row, found more",
        ),
    ],
)
def test_a_broken_row_costs_itself_only(read, line, image, caption, detail):
    limit = csv.field_size_limit()
    rows = csv_rows(read, f'image,caption,price\nb.jpg,before,1\n{line}\nc.jpg,after,2\nd.jpg,"last",3\n')
    assert rows.loc[2, ["image", "caption", "problem", "detail"]].tolist() == [
        image, caption, "malformed row", detail,
    ]  # fmt: skip
    assert rows.drop(index=2)["caption"].tolist() == ["before", "after", "last"]
    assert rows["problem"].notna().sum() == 1
    assert rows["price"].dropna().tolist() == [1, 2, 3] and rows["price"].dtype == "Int64"
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("line", "caption", "price"),
    [
        ("a.jpg,a dog, a cat,5", "a dog, a cat", 5),
        ('a.jpg,"never closed,5', "never closed", 5),
        ('a.jpg,a "dog", a cat,5', 'a "dog", a cat', 5),
    ],
)
def test_commas_and_quotes_of_a_text_that_nobody_quoted(read, line, caption, price):
    source = read({"captions.csv": f"image,caption,price\n{line}\nc.jpg,after,2\n"})
    assert source.rows[["image", "caption", "price"]].values.tolist() == [
        ["a.jpg", caption, price],
        ["c.jpg", "after", 2],
    ]
    assert source.rows["problem"].isna().all()


def test_a_surplus_that_could_belong_to_several_columns_is_told(read):
    rows = csv_rows(read, "title,caption,image\nShoe,Red, of leather,a.jpg\n")
    assert rows["detail"].tolist() == ["expected 3 fields, found 4"] and rows["problem"].notna().all()


def test_a_surplus_at_the_end_belongs_to_the_last_text(read):
    source = read({"captions.csv": "image,title,caption\na.jpg,Shoe,Red, of leather\n"})
    assert source.rows["caption"].tolist() == ["Shoe", "Red, of leather"]
    assert "1 rows have more fields than there are columns" in source.notes[0]


def test_quotes_in_odd_places_are_read_as_spreadsheets_do(read):
    rows = csv_rows(read, 'image,caption\na.jpg,"Red" shoes\nb.jpg,5" tall\nc.jpg,x\n')
    assert rows["caption"].tolist() == ["Red shoes", '5" tall', "x"] and rows["problem"].isna().all()


def test_a_quote_that_is_never_closed_takes_in_no_other_row(read):
    rows = csv_rows(read, "image,caption\n" + 'a.jpg,"x\n' * 3)
    assert rows["caption"].tolist() == ["x"] * 3 and rows["problem"].isna().all()
    rows = csv_rows(read, 'image,caption\na.jpg,"Stop\nb.jpg,B\nc.jpg,says go"\nd.jpg,"two\nlines"\n')
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert rows["caption"].tolist() == ["Stop", "B", 'says go"', "two\nlines"]


def test_neither_does_one_in_a_table_with_the_image_last(read):
    rows = csv_rows(read, 'caption,image\n"Stop,a.jpg\nB,b.jpg\ngo",c.jpg\n"two\nlines",d.jpg\n')
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert rows["caption"].tolist() == ["Stop", "B", 'go"', "two\nlines"]


def test_many_open_quotes_are_read_in_time(read):
    count = 20_000
    rows = csv_rows(read, "name,caption\n" + 'a,"x\n' * count, columns={"image": "name"})
    assert len(rows) == count and (rows["caption"] == "x").all()


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "", "-20"], "Int64", [1, None, -20]),
        (["1", "2.50", "-0.5"], "float64", [1, 2.5, -0.5]),
        (["007", "1"], "str", ["007", "1"]),
        (["+1", "1"], "str", ["+1", "1"]),
        (["1e5", "1"], "str", ["1e5", "1"]),
        (["-0", "1"], "float64", [0, 1]),
        (["٣", "1"], "str", ["٣", "1"]),
        (["9" * 18], "Int64", [10**18 - 1]),
        (["9" * 19], "str", ["9" * 19]),
        (["nan", "1"], "str", ["nan", "1"]),
        (["", ""], "str", [None, None]),
    ],
)
def test_columns_of_numbers(read, cells, dtype, values):
    lines = "".join(f"a.jpg,{cell},{cell},{cell}\n" for cell in cells)
    rows = csv_rows(read, "image,own,label,split\n" + lines)
    assert rows["own"].dtype == dtype
    assert [
        None if value != value else value for value in rows["own"].astype(object).fillna(float("nan"))
    ] == values
    assert (rows["label"].dtype, rows["split"].dtype) == ("str", "str")
    assert rows["label"].dropna().tolist() == [cell for cell in cells if cell]


def test_any_name_of_a_column_will_do(read):
    rows = csv_rows(read, "image,self,0,row,name\na.jpg,1,2,3,4\n")
    assert rows.loc[1, ["self", "0", "row", "name"]].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"captions.csv is empty"),
        (b"\n\n", r"captions.csv: expected a header with the names of the columns, found none"),
        (b"image,caption\n", r"captions.csv has no rows: add one row per caption"),
        (b"title\nx\n", r"captions.csv: expected a column with the images"),
        (b"\xff\xfei", r"captions.csv is not UTF-16, though it begins with its mark: save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"captions.csv: expected a column with the images"),
        (b"x" * 200_000, r"captions.csv: expected a header"),
    ],
)
def test_a_table_that_cannot_be_read(read, content, message):
    with pytest.raises(ValueError, match=message):
        csv_rows(read, content)


def test_a_row_for_each_caption_of_a_list(read):
    rows = json_rows(
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


def test_values_of_json_keep_their_type(read):
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
    rows = json_rows(read, lines)
    types = {name: str(rows[name].dtype) for name in rows.columns[11:]}
    assert types == {
        "n": "Int64",
        "f": "float64",
        "b": "boolean",
        "t": "str",
        "m": "str",
        "o": "str",
        "big": "str",
    }
    assert rows.loc[1].tolist()[11:] == [1, 1.0, True, "007", "1", '{"k":[1]}', str(2**70)]
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
    rows = json_rows(read, "\n".join([*lines, '{"image": "c.jpg", "caption": [["z"]]}', lines[0]]))
    assert rows["problem"].notna().tolist() == [False, True, True, True, False, True, False]
    assert rows["caption"].tolist() == ["x", "{broken", "[1]", "[" * 1000, "y", '["c.jpg",[["z"]]]', "x"]
    assert rows["image"].tolist() == ["a.jpg", "", "", "", "b", "c.jpg", "a.jpg"]
    details = rows["detail"].dropna().tolist()
    assert details[0].startswith("expected a JSON object, found: Expecting property name")
    assert details[1] == "expected a JSON object, found list"
    assert details[3] == "expected a text, or an object with raw, text or caption, found a list of 1"


def test_halves_of_characters_do_no_harm(read):
    rows = json_rows(read, '{"image": "a\\ud800", "caption": "b\\ud800", "c\\ud800": "d\\ud800"}\n')
    assert rows.loc[1, ["image", "caption", "c�"]].tolist() == ["a�", "b�", "d�"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"captions.jsonl is empty"),
        ("[\n1,\n2]\n", r"captions.jsonl: expected JSON objects, a list of them or one per line, found none"),
        ('{"title": "x"}', r"captions.jsonl: expected a column with the images"),
        (str({f"{n}": n for n in range(1001)}).replace("'", '"') + "\n{}", r"expected at most 1000 columns"),
    ],
)
def test_a_json_lines_file_that_cannot_be_read(read, content, message):
    with pytest.raises(ValueError, match=message):
        json_rows(read, content)


def test_rows_know_their_entry_in_their_own_file(read):
    wide = "image,caption_1,caption_2\na.png,one,two\nb.png,three\nc.png,four,five\n"
    rows = read({"train.csv": wide, "test.csv": "image,caption_1,caption_2\nd.png,six,seven\n"}).rows
    found = dict(zip(rows["caption"], zip(rows["table"], rows["record"], strict=True), strict=True))
    assert [found[text] for text in ("two", "three", "five", "seven")] == [
        ("train.csv", 1),
        ("train.csv", 2),
        ("train.csv", 3),
        ("test.csv", 1),
    ]
