"""JSON in the forms that people and tools write, under any suffix."""

import gzip
import json

import pytest

A, B = "A red card lies on the table", "A blue card stands beside it"
LIST = [{"image": "a.jpg", "caption": [A, B]}, {"image": "b.jpg", "caption": B}]
PAIRS = [["a.jpg", A], ["a.jpg", B], ["b.jpg", B]]


def by_columns(of_column):
    return {name: of_column([one[name] for one in LIST]) for name in ("image", "caption")}


FORMS = {
    "a list": LIST,
    "a list, indented": json.dumps(LIST, indent=1),
    "a list with one entry a line": "[\n" + ",\n".join(map(json.dumps, LIST)) + "\n]",
    "JSON Lines": "\n".join(map(json.dumps, LIST)),
    "JSON Lines with a mark": "\ufeff" + "\n\n".join(map(json.dumps, LIST)) + "\n",
    "JSON Lines in UTF-16": "\n".join(map(json.dumps, LIST)).encode("utf-16"),
    "data": {"version": 1, "data": LIST},
    "annotations": {"info": {}, "annotations": LIST},
    "by name": {"a.jpg": [A, B], "b.jpg": B},
    "by name, objects": {"a.jpg": {"caption": [A, B], "n": 1}, "b.jpg": {"caption": B}},
    "by key": {"0": LIST[0], "1": LIST[1]},
    "lists of columns": by_columns(list),
    "objects of columns": by_columns(lambda cells: dict(enumerate(cells))),
    "columns and data": {
        "columns": ["image", "caption"],
        "index": [0, 1],
        "data": [list(one.values()) for one in LIST],
    },
    "texts as objects": [
        {"image": "a.jpg", "captions": [{"raw": A}, {"value": B}]},
        {"image": "b.jpg", "captions": [{"text": B}]},
    ],
}


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(read, form, suffix):
    content = FORMS[form]
    source = read({f"captions{suffix}": content if isinstance(content, str | bytes) else json.dumps(content)})
    assert source.kind == suffix[1:]
    assert source.rows[["image", "caption"]].values.tolist() == PAIRS
    assert source.rows["problem"].isna().all()


def test_splits_by_name(read):
    rows = read({"captions.json": {"train": LIST[:1], "test": LIST[1:]}}).rows
    assert rows["split"].tolist() == ["train", "train", "test"]


def test_a_packed_file(read):
    files = {"captions.jsonl.gz": gzip.compress("\n".join(map(json.dumps, LIST)).encode())}
    assert read(files).rows[["image", "caption"]].values.tolist() == PAIRS


def test_names_without_a_suffix_are_images_where_files_are_called_so(read):
    content = {"a": A, "b": B}
    rows = read({"captions.json": content, "x/a.jpg": b"", "x/b.jpg": b""}).rows
    assert rows[["image", "caption"]].values.tolist() == [["a", A], ["b", B]]


def test_names_that_look_like_nothing_are_no_images(read):
    with pytest.raises(ValueError, match=r"found \['key', 'caption'\]"):
        read({"own.json": {"a": A, "b": B}}, name="own.json")


def test_an_entry_that_is_no_object_costs_itself_only(read):
    rows = read({"captions.json": [*LIST, 5, ["x"]]}).rows
    assert rows["problem"].notna().tolist() == [False] * 3 + [True] * 2
    assert rows["detail"].tolist()[3:] == [
        "expected a JSON object, found int",
        "expected a JSON object, found list",
    ]


def test_nested_values_of_great_size_are_not_kept(read):
    rows = read({"captions.json": [LIST[1] | {"traces": [list(range(9)) for _ in range(1000)]}]}).rows
    assert rows.loc[1, "traces"] == f"{1000 * len('[0,1,2,3,4,5,6,7,8],') + 1} characters"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("5", "expected a list of objects, or objects by name, found int"),
        ("[]", "expected JSON objects, a list of them or one per line, found none"),
        ("{}", "expected JSON objects, a list of them or one per line, found none"),
        ('[{"image": ', "is not valid JSON"),
        ('{"status": 5}', r"expected a column with the images .*found \['key', 'caption'\]"),
    ],
)
def test_a_file_that_holds_no_entries(read, content, message):
    with pytest.raises(ValueError, match=message):
        read({"captions.json": content})
